"""Scenes before, after and within the time axis; the axis is the driver's, and grows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.errors import GridError, SettingsError
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets.stores.cube.cube import ensure_cube, open_cube, stored_cube
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    read_cube,
    rows,
    run_tiles,
    states,
    store_of,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    SEPTEMBER,
    TWO_TILES,
    Granule,
    write_catalog,
    write_granule,
    write_project,
)

FILL = -32768
VIRGINIA = Granule(id="virginia", epsg=32618, left=300_000.0, top=4_100_040.0)
IN_VIRGINIA = [-77.1, 36.8, -76.9, 36.9]


def in_virginia(folder: Path, catalog: Path, **time: object) -> Project:
    defaults = {"start": "2023-08-01", "end": None}
    return write_project(
        folder,
        catalog,
        area={"bbox": IN_VIRGINIA},
        scenes={"datetime": "../2023-09-30"},
        time={**defaults, **time},
    )


@pytest.mark.parametrize("period", ["day", "month"])
def test_a_scene_whose_solar_day_is_before_the_axis_is_refused_and_named(
    period: str, tmp_path: Path
) -> None:
    """The axis starts in August; half past midnight in Greenwich it is still July in Virginia."""
    catalog = write_catalog(tmp_path / "catalog", [VIRGINIA])
    early = replace(VIRGINIA, id="early", seed=9)
    write_granule(catalog, early, item=early.item(datetime="2023-08-01T00:30:00Z"))
    project = in_virginia(tmp_path / "project", catalog, period=period)

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.MATERIALIZED}
    (record,) = rows(project, "quarantine")
    assert (record["subject"], record["reason"]) == ("early", "before_time_axis")
    assert "2023-07-31" in str(record["message"])
    assert "[time] start" in str(record["message"])
    assert {row["scenes"] for row in rows(project, "tile_index")} == {1}
    assert states(run_tiles(project)) == {State.UNCHANGED}


def test_tiles_of_which_only_scenes_before_the_axis_exist_are_quarantined(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog"
    write_granule(catalog, VIRGINIA, item=VIRGINIA.item(datetime="2023-08-01T00:30:00Z"))
    project = in_virginia(tmp_path / "project", catalog)

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.QUARANTINED}
    for outcome in outcomes.values():
        assert outcome.bad_stage is not None
        assert "before_time_axis" in outcome.bad_stage.message


def test_the_axis_grows_to_a_scene_after_its_end(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [EAST])
    project = write_project(
        tmp_path / "project",
        catalog,
        area={"bbox": TWO_TILES},
        time={"start": "2023-08-01", "end": "2023-08-31"},
    )
    run_tiles(project)
    before = read_cube(project)
    write_granule(catalog, SEPTEMBER)

    run_tiles(project)

    spec = stored_cube(store_of(project), "ndvi")
    assert spec is not None
    assert spec.periods.count == 2
    assert np.array_equal(read_cube(project)[0], before[0])
    assert np.any(read_cube(project, period=1)[0] != FILL)


def axis_lengths(project: Project) -> list[int]:
    """Stored periods of each index of the project."""
    cubes = [stored_cube(store_of(project), index) for index in project.indices.names]
    return [cube.periods.count for cube in cubes if cube is not None]


@pytest.mark.parametrize("end", [None, "2023-12-31"])
def test_the_axis_ends_with_the_last_scene_and_holds_no_future(
    end: str | None, tmp_path: Path
) -> None:
    catalog = write_catalog(tmp_path / "catalog", [EAST])
    months = {"start": "2023-01-01", "end": end}
    area = {"bbox": TWO_TILES}
    two = {"names": ["ndvi", "savi"]}
    project = write_project(tmp_path / "project", catalog, area=area, time=months, indices=two)

    run_tiles(project)
    august = axis_lengths(project)
    write_granule(catalog, SEPTEMBER)
    run_tiles(project)

    assert august == [8, 8]
    assert axis_lengths(project) == [9, 9]
    with open_cube(store_of(project), "ndvi") as cube:
        assert cube["ndvi"].sizes["time"] == 9


def test_an_axis_made_longer_by_an_earlier_version_stays_and_new_indices_follow_it(
    tmp_path: Path,
) -> None:
    catalog = write_catalog(tmp_path / "catalog", [EAST])
    area = {"bbox": TWO_TILES}
    project = write_project(tmp_path / "project", catalog, area=area, time={"end": None})
    run_tiles(project)
    spec = stored_cube(store_of(project), "ndvi")
    assert spec is not None
    year = replace(spec, periods=spec.periods.extended_to(date(2023, 12, 31)))
    ensure_cube(store_of(project), year, owner="earlier version", clock=lambda: NOON)
    two = {"names": ["ndvi", "savi"]}
    both = write_project(tmp_path / "project", catalog, area=area, time={"end": None}, indices=two)

    outcomes = run_tiles(both, stages=["savi"])

    assert states(outcomes) == {State.MATERIALIZED}
    assert axis_lengths(both) == [5, 5]


def test_an_index_that_replaces_another_is_made_from_stored_inputs_on_the_same_axis(
    tmp_path: Path,
) -> None:
    catalog = write_catalog(tmp_path / "catalog", [EAST, SEPTEMBER])
    area = {"bbox": TWO_TILES}
    two = {"names": ["ndvi", "savi"]}
    free = {"end": None}
    run_tiles(
        write_project(tmp_path / "project", catalog, area=area, time=free, indices=two),
        stages=["raw_tile", "reprojected_raster", "ndvi"],
    )
    store = store_of(write_project(tmp_path / "project", catalog, area=area, time=free))
    for info in store.list("savi.zarr"):
        store.delete(info.path)
    other = write_project(
        tmp_path / "project", catalog, area=area, time=free, indices={"names": ["savi"]}
    )

    outcomes = run_tiles(other, stages=["savi"])

    assert states(outcomes) == {State.MATERIALIZED}
    assert axis_lengths(other) == [2]


def test_without_a_start_the_axis_begins_with_the_earliest_scene_and_stays_there(
    tmp_path: Path,
) -> None:
    catalog = write_catalog(tmp_path / "catalog", [EAST])
    free = {"start": None, "end": None}
    project = write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES}, time=free)
    run_tiles(project)
    write_granule(catalog, replace(EAST, id="older", day="2023-06-01"))

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.UNCHANGED}
    assert [row["subject"] for row in rows(project, "quarantine")] == ["older"]


def test_no_start_and_no_scene_is_an_error_that_names_the_missing_setting(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    project = write_project(
        tmp_path / "project",
        catalog,
        area={"bbox": TWO_TILES},
        time={"start": None, "end": None},
    )

    with pytest.raises(SettingsError, match=r"time\.start"):
        run_tiles(project)


def test_an_axis_does_not_grow_backwards(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [EAST])
    area = {"bbox": TWO_TILES}
    run_tiles(write_project(tmp_path / "project", catalog, area=area))
    earlier = write_project(tmp_path / "project", catalog, area=area, time={"start": "2023-06-01"})

    with pytest.raises(GridError, match="start"):
        run_tiles(earlier)
