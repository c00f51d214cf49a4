"""Each tile ends in one of five states, with a reason that users can act on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.catalog import Catalogue, find_scenes
from spatial_assets.catalog.access.source_access import RetryPolicy, source_access
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.failing_engines import KilledWorkerEngine
from spatial_assets_tests.fixtures.pipeline_runs import (
    computed_stages,
    failure_of,
    read_cube,
    rows,
    run_fails,
    run_tiles,
    stage_of,
    states,
    store_of,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    FILES,
    TWO_TILES,
    WEST,
    write_catalog,
    write_project,
)

FILL = -32768
AWAY = "http://127.0.0.1:9/B04.tif"
"""The discard port, where no server listens."""


def over_two_tiles(folder: Path, catalog: Path, **tables: Mapping[str, object]) -> Project:
    return write_project(folder, catalog, area={"bbox": TWO_TILES}, **tables)


def state_rows(project: Project) -> set[tuple[object, object, object]]:
    return {(row["stage"], row["state"], row["reason"]) for row in rows(project, "tile_state")}


def test_a_tile_that_no_scene_reaches_is_empty_and_written_down(tmp_path: Path) -> None:
    far = replace(WEST, left=WEST.left - 60_000)
    catalog = write_catalog(tmp_path / "catalog", [far])
    project = write_project(tmp_path / "project", catalog)

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.EMPTY}
    assert not run_fails(outcomes)
    assert np.all(read_cube(project)[0] == FILL)
    assert states(run_tiles(project)) == {State.UNCHANGED}


def test_a_tile_under_cloud_is_empty_and_has_a_row(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [replace(EAST, cloud=1.0)])
    project = over_two_tiles(tmp_path / "project", catalog)

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.EMPTY}
    assert {stage_of(each, "ndvi").state for each in outcomes.values()} == {State.EMPTY}
    assert {row["valid_fraction"] for row in rows(project, "tile_index")} == {0.0}
    shards = store_of(project).list("ndvi.zarr/ndvi/c")
    assert len(shards) == len(project.partitioning.keys)
    assert ("ndvi", "empty", None) in state_rows(project)


def find_impatiently(project: Project) -> Catalogue:
    """The catalogue, without waiting for files that are away."""
    return find_scenes(
        project, replace(source_access(project), retry_policy=RetryPolicy(attempts=1))
    )


def test_an_archive_that_does_not_answer_fails_its_tiles_and_no_others(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [EAST])
    item = WEST.item()
    item["assets"]["red"]["href"] = AWAY
    for name in ("nir", "scl"):
        item["assets"][name]["href"] = str(catalog / EAST.id / FILES[name])
    project = write_project(tmp_path / "project", catalog)
    assert states(run_tiles(project)) == {State.MATERIALIZED}
    west = catalog / WEST.id
    west.mkdir()
    (west / "item.json").write_text(json.dumps(item))

    outcomes = run_tiles(project, find=find_impatiently)

    failed = {tile for tile, outcome in outcomes.items() if outcome.state is State.FAILED}
    assert failed
    assert run_fails(outcomes)
    for tile in failed:
        assert failure_of(outcomes[tile])[0] == "source_unavailable"
        assert WEST.id in failure_of(outcomes[tile])[1]
    (west / "item.json").unlink()
    assert states(run_tiles(project)) == {State.UNCHANGED}
    # nothing was made, and yet the states are good again
    assert {row["state"] for row in rows(project, "tile_state")} == {"materialized"}


def test_a_tile_that_cannot_fit_is_refused_with_the_arithmetic(
    shared_catalog: Path, tmp_path: Path
) -> None:
    project = over_two_tiles(tmp_path / "project", shared_catalog, compute={"memory_mb": 100})

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.FAILED}
    reason, message = failure_of(next(iter(outcomes.values())))
    assert reason == "too_large"
    assert "65,536 pixels" in message
    assert "memory_mb = 100" in message


def test_a_tile_that_kills_its_worker_fails_alone(shared_catalog: Path, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", shared_catalog)
    victim = project.partitioning.keys[1]

    outcomes = run_tiles(project, engine=KilledWorkerEngine(victim=victim))

    assert outcomes[victim].state is State.FAILED
    assert failure_of(outcomes[victim])[0] == "worker_died"
    assert states({k: v for k, v in outcomes.items() if k != victim}) == {State.MATERIALIZED}
    again = run_tiles(project)
    assert set(computed_stages(again)) == {victim}
    assert states(again) == {State.MATERIALIZED, State.UNCHANGED}


def test_a_worker_that_is_killed_once_costs_nothing(shared_catalog: Path, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", shared_catalog)
    victim = project.partitioning.keys[0]

    outcomes = run_tiles(
        project, engine=KilledWorkerEngine(victim=victim, once=tmp_path / "struck")
    )

    assert (tmp_path / "struck").exists()
    assert states(outcomes) == {State.MATERIALIZED}


@pytest.mark.parametrize("stages", [["ndvi_by_boundary"], ["ndvi", "ndvi_by_boundary"]])
def test_boundaries_that_were_never_validated_are_named(
    stages: list[str], shared_catalog: Path, tmp_path: Path
) -> None:
    boundaries = {"name": "districts", "source": "districts.geojson", "key": "id"}
    project = over_two_tiles(tmp_path / "project", shared_catalog, boundaries=boundaries)
    run_tiles(project, stages=["raw_tile", "reprojected_raster", "ndvi"])

    outcomes = run_tiles(project, stages=stages)

    for outcome in outcomes.values():
        assert stage_of(outcome, "ndvi_by_boundary").state is State.FAILED
        reason, message = failure_of(outcome)
        assert reason == "missing_input"
        assert "validated_districts" in message
    assert ("ndvi", "materialized", None) in state_rows(project)
