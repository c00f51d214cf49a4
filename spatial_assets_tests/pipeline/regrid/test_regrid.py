"""A product whose area and time grew, moved to where a new one would be: nothing is computed."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import xarray as xr

from spatial_assets.errors import GridError, LeaseHeldError, RegridUnderWayError
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.regrid.needs import regrid_reasons
from spatial_assets.pipeline.regrid.operation import Regrid
from spatial_assets.project import load_project
from spatial_assets.stores.cube.cube import ensure_cube, open_cube, stored_cube
from spatial_assets.stores.objects.leases import acquire
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    changed_objects,
    rows,
    run_tiles,
    states,
    store_of,
    stored_objects,
    tables,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    SEPTEMBER,
    TWO_TILES,
    WEST,
    write_catalog,
    write_project,
)
from spatial_assets_tests.pipeline.regrid.moved_products import (
    described,
    differences,
    intact_objects,
    kill_before_writes,
    regrid_of,
    view,
    without_times,
)

EASTERN_TILE = [11.97, 46.1, 12.1, 46.2]
Tables = Mapping[str, Mapping[str, object]]

SMALL: Tables = {"area": {"bbox": EASTERN_TILE}, "time": {"start": "2023-08-01", "end": None}}
GROWN: Tables = {"area": {"bbox": TWO_TILES}, "time": {"start": "2023-06-01", "end": None}}
LATER_START: Tables = {"area": {"bbox": EASTERN_TILE}, "time": {"start": "2023-09-01", "end": None}}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalog(tmp_path_factory.mktemp("catalog"), [WEST, EAST, SEPTEMBER])


@pytest.fixture(scope="module")
def made_once(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a product of the eastern tile, August and September."""
    folder = tmp_path_factory.mktemp("made")
    assert states(run_tiles(write_project(folder, catalog, **SMALL))) == {State.MATERIALIZED}
    return folder


@pytest.fixture
def made(made_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made_once, tmp_path / "made")


@pytest.mark.parametrize("changes", [GROWN, LATER_START], ids=["grown", "later start"])
def test_a_moved_product_is_the_one_that_a_new_store_would_have(
    changes: Tables, made: Path, catalog: Path, tmp_path: Path
) -> None:
    before = view(load_project(made, {}))
    keys = load_project(made, {}).partitioning.keys
    project = write_project(made, catalog, **changes)
    with pytest.raises(GridError, match="spatial-assets regrid"):
        run_tiles(project)

    assert regrid_of(project)

    after = view(project)
    common = after.sel(time=before.time[before.time.isin(after.time)], x=before.x, y=before.y)
    xr.testing.assert_equal(common, before.sel(time=common.time))
    assert int(after["ndvi"].notnull().sum()) == int(common["ndvi"].notnull().sum())
    objects = stored_objects(project)
    outcomes = run_tiles(project)
    assert [
        (stage.stage, stage.state)
        for key in keys
        for stage in outcomes[key].stages
        if stage.state is not State.UNCHANGED
    ] == []
    new = {path for path in changed_objects(objects, project) if path.endswith(".tif")}
    assert not {path for path in new if path.split("/")[1] in keys}

    fresh = write_project(tmp_path / "fresh", catalog, **changes)
    run_tiles(fresh)
    assert differences(described(project), described(fresh)) == {}
    for table in tables(fresh):
        assert without_times(rows(project, table)) == without_times(rows(fresh, table)), table
    xr.testing.assert_equal(view(project), view(fresh))
    assert without_times(rows(project, "tile_inputs")) == without_times(rows(fresh, "tile_inputs"))


def test_a_product_grows_again_and_again_and_keeps_no_more_than_two_sets_of_keys(
    made: Path, catalog: Path
) -> None:
    first = view(load_project(made, {}))
    project = write_project(made, catalog, **GROWN)
    assert regrid_of(project)
    earlier: Tables = {**GROWN, "time": {"start": "2023-01-15", "end": None}}
    project = write_project(made, catalog, **earlier)

    assert regrid_of(project)

    xr.testing.assert_equal(view(project).sel(time=first.time, x=first.x, y=first.y), first)
    paths = {info.path for info in store_of(project).list("ndvi.zarr/ndvi")}
    assert {path for path in paths if path.startswith("ndvi.zarr/ndvi/c/")} == {
        "ndvi.zarr/ndvi/c/7/0/1",
        "ndvi.zarr/ndvi/c/8/0/1",
    }
    assert not regrid_of(project)


def test_readers_that_had_the_cube_open_read_on_until_its_former_keys_are_deleted(
    made: Path, catalog: Path
) -> None:
    with open_cube(store_of(load_project(made, {})), "ndvi") as opened:
        expected = view(load_project(made, {}))
        project = write_project(made, catalog, **GROWN)
        regrid_of(project)

        xr.testing.assert_equal(opened.load(), expected)
    before = view(project)

    with open_database(project.database_url) as database:
        work = Regrid(
            project=project,
            store=store_of(project),
            database=database,
            owner="test",
            clock=lambda: NOON,
            say=lambda _: None,
        )
        assert work.clean() == 4 + 3  # shards of two periods in two arrays, and three coordinates
    xr.testing.assert_equal(view(project), before)
    assert all(intact_objects(project))


def test_an_axis_that_is_longer_than_its_data_becomes_shorter_without_a_copy(
    made: Path,
) -> None:
    project = load_project(made, {})
    store = store_of(project)
    spec = stored_cube(store, "ndvi")
    assert spec is not None
    year = replace(spec, periods=spec.periods.extended_to(dt.date(2026, 12, 31)))
    ensure_cube(store, year, owner="earlier version", clock=lambda: NOON)
    objects = stored_objects(project)

    assert regrid_of(project)

    assert stored_cube(store, "ndvi") == spec
    assert not {path for path in changed_objects(objects, project) if "/c/0/" in path}
    assert regrid_reasons(project, store) == ()


def test_a_regrid_that_is_killed_is_completed_by_the_next(catalog: Path, tmp_path: Path) -> None:
    made, august = tmp_path / "made", {"scenes": {"datetime": "../2023-08-31"}}
    run_tiles(write_project(made, catalog, **SMALL, **august))
    before = view(load_project(made, {}))
    write_project(made, catalog, **GROWN, **august)

    assert kill_before_writes(made, before, tmp_path, every=2) > 20


def test_no_tile_is_worked_on_meanwhile(made: Path, catalog: Path) -> None:
    project = write_project(made, catalog, **GROWN)
    store = store_of(project)
    (key,) = load_project(made, {}).partitioning.keys[1:]
    ttl = dt.timedelta(minutes=2)
    held = acquire(store, f"tile/{key}", owner="a run", ttl=ttl, clock=lambda: NOON)

    with pytest.raises(LeaseHeldError, match=f"tile/{key} is held by a run"):
        regrid_of(project)

    held.release()
    with pytest.raises(RegridUnderWayError):
        acquire(store, f"tile/{key}", owner="a run", ttl=ttl, clock=lambda: NOON)
    assert regrid_of(project, now=NOON + dt.timedelta(seconds=1))
    acquire(store, f"tile/{key}", owner="a run", ttl=ttl, clock=lambda: NOON)


def test_a_tile_that_is_due_stays_due(made: Path, catalog: Path) -> None:
    changed: Tables = {**GROWN, "time": {"start": "2023-06-01", "end": None, "composite": "max"}}
    project = write_project(made, catalog, **changed)
    (old,) = rows(project, "tile_inputs")

    regrid_of(project)

    assert rows(project, "tile_inputs") == [old]


def test_scenes_left_out_before_the_start_are_looked_for_after_it_moved(
    catalog: Path, tmp_path: Path
) -> None:
    late: Tables = {**SMALL, "time": {"start": "2023-09-01", "end": None}}
    run_tiles(write_project(tmp_path, catalog, **late))
    project = write_project(tmp_path, catalog, **SMALL)
    before = rows(project, "tile_inputs")

    regrid_of(project)

    assert rows(project, "tile_inputs") == before  # due: its settings are those of another start
    assert states(run_tiles(project)) == {State.MATERIALIZED}
    assert view(project).sizes["time"] == 2
    assert view(project)["ndvi"].notnull().any(dim=["x", "y"]).all()


@pytest.mark.servers
def test_a_bucket_and_postgis_are_moved_as_a_folder_and_a_file_are(
    catalog: Path, tmp_path: Path, s3_bucket: str, s3_environment: None, postgis_url: str
) -> None:
    del s3_environment
    places = {
        "SPATIAL_ASSETS_STORAGE_URL": f"s3://{s3_bucket}/grown",
        "SPATIAL_ASSETS_DATABASE_URL": postgis_url,
    }
    write_project(tmp_path, catalog, **SMALL)
    run_tiles(load_project(tmp_path, places))
    before = view(load_project(tmp_path, places))
    write_project(tmp_path, catalog, **GROWN)
    project = load_project(tmp_path, places)

    assert regrid_of(project)

    xr.testing.assert_equal(view(project).sel(time=before.time, x=before.x, y=before.y), before)
    assert all(intact_objects(project))
    outcomes = run_tiles(project)
    assert sorted(outcome.state for outcome in outcomes.values()) == [
        State.MATERIALIZED,
        State.UNCHANGED,
    ]


def test_pixels_of_another_size_are_refused_with_the_remedy(made: Path, catalog: Path) -> None:
    finer: Tables = {**SMALL, "grid": {"pixel_zoom": 11, "level": 11}}
    project = write_project(made, catalog, **finer)

    with pytest.raises(GridError, match="url a new prefix"):
        regrid_of(project)
