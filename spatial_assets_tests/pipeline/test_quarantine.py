"""Bad input is quarantined with its reason while it is bad, and released once it is repaired."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    changed_objects,
    failure_of,
    read_cube,
    rows,
    run_fails,
    run_tiles,
    stage_of,
    states,
    store_of,
    stored_objects,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    FILES,
    TWO_TILES,
    write_catalog,
    write_project,
    write_scene_out_of_range,
)

FILL = -32768


def over_two_tiles(folder: Path, catalog: Path, **tables: Mapping[str, object]) -> Project:
    return write_project(folder, catalog, area={"bbox": TWO_TILES}, **tables)


def test_a_tile_whose_scenes_are_all_bad_is_quarantined_and_stands(
    catalog: Path, tmp_path: Path
) -> None:
    for folder in catalog.iterdir():
        (folder / FILES["nir"]).write_bytes(b"<html>403</html>")
    project = over_two_tiles(tmp_path / "project", catalog)

    first = run_tiles(project)
    stored = stored_objects(project)
    second = run_tiles(project)

    assert states(first) == states(second) == {State.QUARANTINED}
    assert run_fails(first)
    assert not run_fails(second)
    assert all(outcome.already_quarantined for outcome in second.values())
    assert changed_objects(stored, project) == set()
    for outcome in (*first.values(), *second.values()):
        assert failure_of(outcome)[0] == "no_usable_scene"
    assert "not_a_raster" in failure_of(next(iter(first.values())))[1]
    kinds = [str(row["kind"]) for row in rows(project, "quarantine")]
    assert sorted(kinds) == ["scene"] * 4 + ["tile"] * 2
    assert json.loads(store_of(project).get(f"quarantine/tile/{next(iter(first))}.json"))


def test_a_tile_whose_files_cannot_be_reached_now_fails_and_is_made_once_they_can(
    catalog: Path, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    for folder in catalog.iterdir():
        (folder / FILES["nir"]).rename(away / f"{folder.name}.tif")
    project = over_two_tiles(tmp_path / "project", catalog)

    first, second = run_tiles(project), run_tiles(project)
    for folder in catalog.iterdir():
        (away / f"{folder.name}.tif").rename(folder / FILES["nir"])
    third = run_tiles(project)

    assert states(first) == states(second) == {State.FAILED}
    assert not any(outcome.already_quarantined for outcome in second.values())
    assert {failure_of(outcome)[0] for outcome in first.values()} == {"no_reachable_scene"}
    assert "missing_object" in failure_of(next(iter(first.values())))[1]
    assert not [row for row in rows(project, "quarantine") if row["kind"] == "tile"]
    assert states(third) == {State.MATERIALIZED}


def test_a_standing_quarantine_is_no_failure_of_a_stage_run_alone(
    catalog: Path, tmp_path: Path
) -> None:
    for folder in catalog.iterdir():
        (folder / FILES["nir"]).write_bytes(b"")
    project = over_two_tiles(tmp_path / "project", catalog)
    run_tiles(project)

    outcomes = run_tiles(project, stages=["ndvi"])

    assert states(outcomes) == {State.QUARANTINED}
    assert not run_fails(outcomes)


def test_quarantine_ends_when_the_input_is_repaired(catalog: Path, tmp_path: Path) -> None:
    for folder in catalog.iterdir():
        (folder / FILES["nir"]).write_bytes(b"")
    project = over_two_tiles(tmp_path / "project", catalog)
    run_tiles(project)
    write_catalog(catalog)

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.MATERIALIZED}
    assert all(row["released_at"] is not None for row in rows(project, "quarantine"))
    assert {row["state"] for row in rows(project, "tile_state")} == {"materialized"}
    assert store_of(project).list("quarantine") == ()


def test_quarantine_ends_when_a_person_lets_it_go(catalog: Path, tmp_path: Path) -> None:
    for folder in catalog.iterdir():
        (folder / FILES["nir"]).write_bytes(b"")
    project = over_two_tiles(tmp_path / "project", catalog)
    first, *others = run_tiles(project)
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        assert database.release({"kind": "tile", "subject": first}, now=NOON) == 1

    outcomes = run_tiles(project, now=NOON + dt.timedelta(days=1))

    assert not outcomes[first].already_quarantined  # looked at again, and still bad
    assert outcomes[first].state is State.QUARANTINED
    assert all(outcomes[tile].already_quarantined for tile in others)
    (record,) = [row for row in rows(project, "quarantine") if row["subject"] == first]
    assert record["released_at"] is None


def test_a_bad_scene_is_quarantined_while_its_tiles_go_on(catalog: Path, tmp_path: Path) -> None:
    (catalog / EAST.id / FILES["red"]).write_bytes(b"")
    project = over_two_tiles(tmp_path / "project", catalog)

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.MATERIALIZED}
    assert not run_fails(outcomes)
    (record,) = rows(project, "quarantine")
    assert (record["kind"], record["subject"]) == ("scene", EAST.id)
    checks = {check.check: check for each in outcomes.values() for check in each.checks}
    assert not checks["source_intact"].verdict.passed
    assert EAST.id in str(checks["source_intact"].verdict.evidence["refused_scenes"])


def test_a_tile_most_of_whose_index_is_out_of_range_is_quarantined_with_the_figures(
    tmp_path: Path,
) -> None:
    catalog = tmp_path / "catalog"
    write_scene_out_of_range(catalog)
    project = over_two_tiles(tmp_path / "project", catalog)

    outcomes = run_tiles(project)

    west, east = project.partitioning.keys
    assert outcomes[west].state is State.QUARANTINED
    assert outcomes[east].state is State.MATERIALIZED
    trouble = outcomes[west].bad_stage
    assert trouble is not None
    assert (trouble.stage, trouble.reason) == ("ndvi", "index_out_of_range")
    assert float(str(trouble.evidence["removed_fraction"])) > 0.5
    for stage in ("raw_tile", "reprojected_raster"):
        assert stage_of(outcomes[west], stage).state is State.MATERIALIZED
    severe = [check for check in outcomes[west].checks if check.severe]
    assert [check.check for check in severe] == ["index_range"]
    again = run_tiles(project)
    assert again[west].already_quarantined
    assert not run_fails(again)
    assert np.all(read_cube(project, window=project.partitioning.tile(west).window)[0] == FILL)
