"""Tiles of another level or scheme are made of the former ones: no pixel is computed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import xarray as xr

from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.stages import TILE_INDEX
from spatial_assets.project import load_project
from spatial_assets_tests.fixtures.pipeline_runs import rows, run_tiles, states, store_of
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    SEPTEMBER,
    SOUTH,
    WEST,
    write_catalog,
    write_granule,
    write_project,
)
from spatial_assets_tests.pipeline.regrid.moved_products import (
    described,
    intact_objects,
    kill_before_writes,
    regrid_of,
    view,
    without_times,
)

Tables = Mapping[str, Mapping[str, object]]

FINE: Tables = {"grid": {"level": 10}}
COARSE: Tables = {"grid": {"level": 9}}
CELLS: Tables = {"grid": {"partitions": "h3", "level": 4}}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalog(tmp_path_factory.mktemp("catalog"), [WEST, EAST, SOUTH, SEPTEMBER])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(FINE, COARSE, id="coarser"),
        pytest.param(COARSE, FINE, id="finer"),
        pytest.param(FINE, CELLS, id="h3"),
    ],
)
def test_tiles_of_another_level_or_scheme_keep_pixels_and_are_up_to_date(
    before: Tables, after: Tables, catalog: Path, tmp_path: Path
) -> None:
    run_tiles(write_project(tmp_path / "made", catalog, **before))
    pixels = view(load_project(tmp_path / "made", {}))
    project = write_project(tmp_path / "made", catalog, **after)

    assert regrid_of(project)

    made = run_tiles(project, stages=[TILE_INDEX])
    assert states(made) == {State.MATERIALIZED}
    xr.testing.assert_equal(view(project), pixels)
    assert all(intact_objects(project))
    assert {row["grid_id"] for row in rows(project, "tile_state")} == {project.grid_id}
    assert {
        (outcome.tile, stage.stage)
        for outcome in run_tiles(project).values()
        for stage in outcome.stages
        if stage.state is not State.UNCHANGED
    } == set()

    fresh = write_project(tmp_path / "fresh", catalog, **after)
    run_tiles(fresh)
    ours, theirs = described(project), described(fresh)
    assert ours.keys() == theirs.keys()
    for key in ours:
        fingerprints = {unit: entry[0] for unit, entry in ours[key].items()}
        assert fingerprints == {unit: entry[0] for unit, entry in theirs[key].items()}
    for table in ("tile_index", "tile_state", "tile_inputs"):
        assert without_times(rows(project, table)) == without_times(rows(fresh, table)), table


def test_a_scene_added_later_is_composed_with_those_that_are_read_again(
    catalog: Path, tmp_path: Path
) -> None:
    scenes = shutil.copytree(catalog, tmp_path / "scenes")
    shutil.rmtree(scenes / EAST.id)
    run_tiles(write_project(tmp_path / "made", scenes, **FINE))
    project = write_project(tmp_path / "made", scenes, **COARSE)
    regrid_of(project)
    write_granule(scenes, EAST)

    run_tiles(project)

    fresh = write_project(tmp_path / "fresh", scenes, **COARSE)
    run_tiles(fresh)
    xr.testing.assert_equal(view(project), view(fresh))


def test_a_tile_that_was_not_up_to_date_is_left_to_the_next_run(
    catalog: Path, tmp_path: Path
) -> None:
    run_tiles(write_project(tmp_path / "made", catalog, **FINE))
    changed: Tables = {**COARSE, "time": {"composite": "max"}}
    project = write_project(tmp_path / "made", catalog, **changed)

    assert regrid_of(project)

    assert described(project) == {}
    assert store_of(project).list("manifests") == ()
    assert states(run_tiles(project)) == {State.MATERIALIZED}


def test_a_regrouping_that_is_killed_is_completed_by_the_next(
    catalog: Path, tmp_path: Path
) -> None:
    one: Tables = {"area": {"bbox": [11.97, 46.1, 12.1, 46.2]}}
    august: Tables = {"scenes": {"datetime": "../2023-08-31"}}
    run_tiles(write_project(tmp_path / "made", catalog, **one, **august, **FINE))
    before = view(load_project(tmp_path / "made", {}))
    write_project(tmp_path / "made", catalog, **one, **august, **COARSE)

    assert kill_before_writes(tmp_path / "made", before, tmp_path, every=3) > 15
