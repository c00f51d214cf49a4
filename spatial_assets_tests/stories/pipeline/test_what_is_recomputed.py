"""Nothing is computed twice: changes decide what is read, reprojected, composed and written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.pipeline_runs import (
    changed_objects,
    computed_stages,
    read_cube,
    rows,
    run_tiles,
    stage_of,
    states,
    store_of,
    stored_objects,
    tables,
    top_folders,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    LATER,
    SEPTEMBER,
    TWO_TILES,
    WEST,
    write_granule,
    write_project,
)

FILL = -32768


def over_two_tiles(folder: Path, catalog: Path, **tables: Mapping[str, object]) -> Project:
    return write_project(folder, catalog, area={"bbox": TWO_TILES}, **tables)


@pytest.fixture
def project(catalog: Path, tmp_path: Path) -> Project:
    """A project over the shared catalogue, computed once."""
    project = over_two_tiles(tmp_path / "project", catalog)
    assert states(run_tiles(project)) == {State.MATERIALIZED}
    return project


def test_running_twice_changes_nothing(project: Project) -> None:
    stored, rows_before = stored_objects(project), tables(project)

    again = run_tiles(project)

    assert states(again) == {State.UNCHANGED}
    assert changed_objects(stored, project) == set()
    assert tables(project) == rows_before
    assert all(not outcome.preview for outcome in again.values())


def test_a_scene_that_cannot_be_used_is_recorded_once(project: Project, catalog: Path) -> None:
    write_granule(catalog, replace(EAST, id="bad"))
    (catalog / "bad" / "B04.tif").write_bytes(b"")
    run_tiles(project)
    stored, rows_before = stored_objects(project), tables(project)

    again = run_tiles(project)

    assert states(again) == {State.UNCHANGED}
    assert changed_objects(stored, project) == set()
    assert tables(project) == rows_before
    assert [row["subject"] for row in rows_before["quarantine"]] == ["bad"]


def test_a_repaired_scene_leaves_quarantine(project: Project, catalog: Path) -> None:
    write_granule(catalog, replace(EAST, id="bad"))
    (catalog / "bad" / "B04.tif").write_bytes(b"")
    run_tiles(project)
    write_granule(catalog, replace(EAST, id="bad"))

    run_tiles(project)

    assert [row["released_at"] is None for row in rows(project, "quarantine")] == [False]
    assert store_of(project).list("quarantine") == ()


def test_a_new_scene_reads_only_itself_and_recomposes_only_its_period(
    project: Project, catalog: Path
) -> None:
    stored = stored_objects(project)
    write_granule(catalog, SEPTEMBER)

    outcomes = run_tiles(project)

    written = changed_objects(stored, project)
    reached = {
        tile for tile, stages in computed_stages(outcomes).items() if "reprojected_raster" in stages
    }
    assert reached
    for stage in ("raw_tile", "reprojected_raster"):
        of_stage = {path for path in written if path.startswith(f"{stage}/")}
        assert of_stage
        assert all("west_0904" in path for path in of_stage)
        assert {path.split("/")[1] for path in of_stage} == reached
    shards = {path for path in written if re.match(r"ndvi\.zarr/(ndvi|observations)/c/", path)}
    assert {path.split("/")[3] for path in shards} == {"1"}  # c/<period>/<row>/<column>
    # every tile has the new period, with nothing in it where the scene does not reach
    assert len(shards) == 2 * len(project.partitioning.keys)
    assert top_folders(written) <= {
        "raw_tile",
        "reprojected_raster",
        "ndvi.zarr",
        "manifests",
        "manifest_parts",
        "scenes",
    }


def test_a_withdrawn_scene_is_forgotten(project: Project, catalog: Path, tmp_path: Path) -> None:
    shutil.rmtree(catalog / LATER.id)
    run_tiles(project)
    never = over_two_tiles(tmp_path / "never", catalog)
    run_tiles(never)

    assert not [
        path for path in stored_objects(project) if LATER.id in path and "scenes/" not in path
    ]
    for mine, other in zip(read_cube(project), read_cube(never), strict=True):
        assert np.array_equal(mine, other)
    counts = {row["tile"]: row["scenes"] for row in rows(project, "tile_index")}
    assert counts == {row["tile"]: row["scenes"] for row in rows(never, "tile_index")}


def test_a_period_whose_last_scene_is_withdrawn_becomes_empty(
    project: Project, catalog: Path
) -> None:
    write_granule(catalog, SEPTEMBER)
    run_tiles(project)
    assert np.any(read_cube(project, period=1)[0] != FILL)
    shutil.rmtree(catalog / SEPTEMBER.id)

    run_tiles(project)

    values, observations = read_cube(project, period=1)
    assert np.all(values == FILL)
    assert not observations.any()
    shares = {
        row["valid_fraction"] for row in rows(project, "tile_index") if row["period"] == "2023-09"
    }
    assert shares == {0.0}


def test_another_composite_recomputes_the_index_and_nothing_before(
    project: Project, catalog: Path
) -> None:
    stored = stored_objects(project)
    maximum = over_two_tiles(project.root, catalog, time={"composite": "max"})

    outcomes = run_tiles(maximum)

    assert all(stages == {"ndvi", "tile_index"} for stages in computed_stages(outcomes).values())
    assert set(computed_stages(outcomes)) == set(project.partitioning.keys)
    assert top_folders(changed_objects(stored, maximum)) == {
        "ndvi.zarr",
        "manifests",
        "manifest_parts",
    }


def test_another_rule_of_clear_sky_is_applied_to_stored_raw_pixels(
    project: Project, catalog: Path
) -> None:
    stored = stored_objects(project)
    snowy = over_two_tiles(project.root, catalog, scenes={"keep_snow": True})

    outcomes = run_tiles(snowy)

    assert not any("raw_tile" in stages for stages in computed_stages(outcomes).values())
    assert all("reprojected_raster" in stages for stages in computed_stages(outcomes).values())
    assert "raw_tile" not in top_folders(changed_objects(stored, snowy))


def test_a_wider_margin_round_clouds_reads_the_halo_and_makes_the_tiles_again(
    project: Project, catalog: Path
) -> None:
    before, _ = read_cube(project)
    wider = over_two_tiles(project.root, catalog, scenes={"cloud_buffer": "800 m"})

    outcomes = run_tiles(wider)

    after, _ = read_cube(wider)
    assert all({"raw_tile", "ndvi"} <= stages for stages in computed_stages(outcomes).values())
    assert states(run_tiles(wider)) == {State.UNCHANGED}
    assert np.count_nonzero(after != FILL) < 0.9 * np.count_nonzero(before != FILL)


def test_raw_pixels_read_with_a_narrower_margin_are_missing_input(
    project: Project, catalog: Path
) -> None:
    wider = over_two_tiles(project.root, catalog, scenes={"cloud_buffer": "800 m"})

    outcomes = run_tiles(wider, stages=["reprojected_raster", "ndvi", "tile_index"])

    for outcome in outcomes.values():
        assert stage_of(outcome, "reprojected_raster").reason == "missing_input"
        assert "read with other settings" in stage_of(outcome, "reprojected_raster").message


def test_another_database_gets_its_rows_without_a_pixel_made_again(project: Project) -> None:
    stored, before = stored_objects(project), rows(project, "tile_index")
    for path in Path(project.storage_url).glob("spatial.duckdb*"):
        path.unlink()

    outcomes = run_tiles(project)

    assert all(stages == {"tile_index"} for stages in computed_stages(outcomes).values())
    assert top_folders(changed_objects(stored, project)) <= {"manifests", "manifest_parts"}
    assert [(row["tile"], row["fingerprint"]) for row in rows(project, "tile_index")] == [
        (row["tile"], row["fingerprint"]) for row in before
    ]
    assert {row["state"] for row in rows(project, "tile_state")} == {"materialized"}
    assert states(run_tiles(project)) == {State.UNCHANGED}


def test_a_stage_whose_inputs_never_ran_fails_and_names_what_makes_them(
    catalog: Path, tmp_path: Path
) -> None:
    project = over_two_tiles(tmp_path / "project", catalog)
    run_tiles(project, stages=["raw_tile"])

    outcomes = run_tiles(project, stages=["ndvi"])

    assert states(outcomes) == {State.FAILED}
    for outcome in outcomes.values():
        assert stage_of(outcome, "ndvi").reason == "missing_input"
        assert '--select "reprojected_raster+"' in stage_of(outcome, "ndvi").message


def test_the_same_scene_moved_to_another_place_is_read_again(
    project: Project, catalog: Path
) -> None:
    before = read_cube(project)
    shutil.move(catalog / WEST.id, catalog / "elsewhere")

    outcomes = run_tiles(project)

    assert any("raw_tile" in stages for stages in computed_stages(outcomes).values())
    for one, other in zip(read_cube(project), before, strict=True):
        assert np.array_equal(one, other)
