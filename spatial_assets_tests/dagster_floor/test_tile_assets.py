"""`tile_asset`: what its arguments are, and what becomes of what it returns."""

# No `from __future__ import annotations`: Dagster reads the annotations of these assets.

import io
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

from spatial_assets import tile_asset
from spatial_assets.geo.radiometry import FILL, INDEX_SCALE
from spatial_assets.project import Project
from spatial_assets.resources import StoreResource
from spatial_assets_tests.dagster_floor.land import first
from spatial_assets_tests.dagster_floor.running import (
    BOUNDARIES,
    CHAIN,
    RANGE_TAGS,
    definitions,
    materialize,
    newest,
    told,
)
from spatial_assets_tests.pipeline.runs import cube, rows, store_of
from spatial_assets_tests.pipeline.world import (
    EAST,
    TWO_TILES,
    WEST,
    write_country,
    write_project,
)

Seen = dict[str, object]

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning:rioxarray")


def own(
    function: Callable[..., object], project: Project, **options: object
) -> dg.AssetsDefinition:
    made = tile_asset(function, project=project, **options)
    assert isinstance(made, dg.AssetsDefinition)
    return made


def run(
    project: Project, instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, select: list[str]
) -> dg.ExecuteInProcessResult:
    """The boundaries, then the chain and the assets in one run of one tile."""
    defs = definitions(project, *assets)
    materialize(defs, instance, BOUNDARIES)
    return materialize(defs, instance, [*CHAIN, *select], tiles=first(project, 1))


def why(result: dg.ExecuteInProcessResult, step: str) -> str:
    """Everything that was said of a failed step."""
    data = result.failure_data_for_node(step)
    assert data is not None
    return str(data.error)


def test_an_index_is_the_tiles_window_of_the_cube(
    project: Project, instance: dg.DagsterInstance
) -> None:
    seen: dict[str, xr.DataArray] = {}

    def look(ndvi: xr.DataArray) -> None:
        seen["ndvi"] = ndvi

    assert run(project, instance, own(look, project), select=["look"]).success

    ndvi, tile = seen["ndvi"], project.partitioning.tile(first(project, 1)[0])
    stored, _ = cube(project, window=tile.window)
    box = project.pixel_grid.geobox(tile.window)
    assert ndvi.dims == ("time", "y", "x")
    assert list(ndvi["time"].dt.strftime("%Y-%m").values) == ["2023-08", "2023-09"]
    assert ndvi.rio.crs.to_epsg() == 3857
    assert ndvi.rio.transform().almost_equals(box.transform, 1e-6)
    expected = np.where(stored == FILL, np.nan, stored * INDEX_SCALE)
    np.testing.assert_allclose(ndvi[0].values, expected, atol=1e-6)


def test_a_boundary_set_and_tables_come_by_name(
    project: Project, instance: dg.DagsterInstance
) -> None:
    seen: dict[str, pd.DataFrame] = {}

    def look(
        boundaries: gpd.GeoDataFrame, ndvi_by_boundary: pd.DataFrame, tile_index: gpd.GeoDataFrame
    ) -> None:
        seen.update(boundaries=boundaries, parts=ndvi_by_boundary, index=tile_index)

    assert run(project, instance, own(look, project), select=["look"]).success

    tile = first(project, 1)[0]
    assert set(seen["boundaries"]["name"]) == {"West", "East"}
    assert seen["boundaries"].crs.to_epsg() == 4326
    assert seen["boundaries"].geometry.is_valid.all()
    wanted = [row for row in rows(project, "ndvi_by_boundary") if row["tile"] == tile]
    assert seen["parts"].to_dict("records") == wanted
    assert seen["index"]["tile"].tolist() == [tile]
    footprint = project.partitioning.tile(tile).footprint(project.pixel_grid)
    assert seen["index"].geometry[0].symmetric_difference(footprint).area < 1e-9


def test_resources_and_the_context_are_arguments_too(
    project: Project, instance: dg.DagsterInstance
) -> None:
    seen: Seen = {}

    def look(context: dg.AssetExecutionContext, store: StoreResource, ndvi: xr.DataArray) -> None:
        seen.update(tile=context.partition_key, url=store.url, size=ndvi.size)

    assert run(project, instance, own(look, project), select=["look"]).success
    assert seen["tile"] == first(project, 1)[0]
    assert seen["url"] == project.storage_url


def points() -> gpd.GeoDataFrame:
    shapes = [shapely.Point(15.0, 46.0), shapely.Point(15.5, 46.1)]
    return gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=shapes, crs="EPSG:4326")


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(pd.DataFrame({"tile": ["a", None], "greenness": [0.5, np.nan]}), id="table"),
        pytest.param(pd.DataFrame({"n": pd.Series([], dtype="int64")}), id="no-rows"),
        pytest.param(points(), id="with-geometry"),
    ],
)
def test_a_returned_table_is_parquet_and_the_next_assets_argument(
    project: Project, instance: dg.DagsterInstance, table: pd.DataFrame
) -> None:
    seen: dict[str, pd.DataFrame] = {}

    def made(ndvi: xr.DataArray) -> pd.DataFrame:
        assert ndvi.size
        return table

    def look(made: pd.DataFrame) -> None:
        seen["made"] = made

    assets = own(made, project), own(look, project)
    assert run(project, instance, *assets, select=["made", "look"]).success

    tile = first(project, 1)[0]
    assert type(seen["made"]) is type(table)
    pd.testing.assert_frame_equal(seen["made"], table)
    uri = told(instance, "made", tile)["dagster/uri"]
    assert uri == store_of(project).uri(f"tile_assets/made/{tile}.parquet")
    assert len(pd.read_parquet(io.BytesIO(Path(uri).read_bytes()))) == len(table)
    assert told(instance, "made", tile)["bytes"] == Path(uri).stat().st_size


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8", "bool"])
def test_a_returned_raster_is_a_geotiff_in_its_place(
    project: Project, instance: dg.DagsterInstance, dtype: str
) -> None:
    seen: dict[str, xr.DataArray] = {}

    def made(ndvi: xr.DataArray) -> xr.DataArray:
        seen["before"] = (ndvi[0] if dtype == "float32" else ndvi[0] > 0.3).astype(dtype)
        return seen["before"]

    def look(made: xr.DataArray) -> None:
        seen["after"] = made

    assets = own(made, project), own(look, project)
    assert run(project, instance, *assets, select=["made", "look"]).success

    before, after = seen["before"], seen["after"]
    np.testing.assert_array_equal(before.values, after.values)
    assert after.dims == ("y", "x")
    assert after.rio.crs.to_epsg() == 3857
    assert after.rio.transform().almost_equals(before.rio.transform(), 1e-6)


def test_all_periods_of_a_raster_are_kept_as_bands(
    project: Project, instance: dg.DagsterInstance
) -> None:
    seen: dict[str, xr.DataArray] = {}

    def made(ndvi: xr.DataArray) -> xr.DataArray:
        return ndvi

    def look(made: xr.DataArray) -> None:
        seen["after"] = made

    assets = own(made, project), own(look, project)
    assert run(project, instance, *assets, select=["made", "look"]).success
    assert seen["after"].dims == ("band", "y", "x")
    assert seen["after"].sizes["band"] == 2


def nowhere(raster: xr.DataArray) -> xr.DataArray:
    return xr.DataArray(raster.to_numpy()[0], dims=("y", "x"))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param(lambda _: 12, "returned a int; wanted a (Geo)DataFrame", id="number"),
        pytest.param(lambda ndvi: ndvi.to_dataset(), "returned a Dataset", id="dataset"),
        pytest.param(lambda ndvi: ndvi.to_numpy(), "returned a ndarray", id="array"),
        pytest.param(nowhere, "without a CRS", id="no-crs"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(
    project: Project,
    instance: dg.DagsterInstance,
    value: Callable[[xr.DataArray], object],
    says: str,
) -> None:
    def made(ndvi: xr.DataArray):  # type: ignore[no-untyped-def]  # noqa: ANN202 - any value
        return value(ndvi)

    result = run(project, instance, own(made, project), select=["made"])

    assert not result.success
    assert says in why(result, "made")
    assert "made returned" in why(result, "made")
    assert newest(instance, "ndvi", first(project, 1)[0]) is not None


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        pytest.param("raw_tile", "cannot be an argument; name it in `deps`", id="files"),
        pytest.param("earlier", "materialize it first", id="not-yet-made"),
    ],
)
def test_what_cannot_be_loaded_is_refused_by_name(
    project: Project, instance: dg.DagsterInstance, argument: str, says: str
) -> None:
    def earlier() -> None: ...

    scope: dict[str, Callable[..., object]] = {}
    exec(f"def look({argument}): ...", scope)  # noqa: S102 - the argument's name is the case

    assets = own(earlier, project), own(scope["look"], project)
    result = run(project, instance, *assets, select=["look"])

    assert not result.success
    assert says in why(result, "look")


@pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`")
def test_one_object_cannot_stand_for_several_tiles(
    project: Project, instance: dg.DagsterInstance
) -> None:
    def made(ndvi: xr.DataArray) -> pd.DataFrame:
        return pd.DataFrame({"pixels": [ndvi.size]})

    asset = own(made, project, backfill_policy=dg.BackfillPolicy.single_run())
    defs = definitions(project, asset)
    materialize(defs, instance, CHAIN[:3], tiles=first(project, 2))

    result = materialize(defs, instance, ["made"], tiles=first(project, 2))

    assert not result.success
    assert "no backfill policy" in why(result, "made")


@pytest.mark.filterwarnings("ignore:Asset job .* varying BackfillPolicies")
def test_a_tile_of_a_backfill_is_a_range_of_one(
    project: Project, instance: dg.DagsterInstance
) -> None:
    def made(ndvi: xr.DataArray) -> pd.DataFrame:
        return pd.DataFrame({"pixels": [ndvi.size]})

    (tile,) = first(project, 1)
    defs = definitions(project, own(made, project))
    materialize(defs, instance, CHAIN[:3], tiles=[tile])

    result = dg.materialize(
        list(defs.assets or ()),  # type: ignore[arg-type]
        selection=["made"],
        tags=dict.fromkeys(RANGE_TAGS, tile),
        resources=defs.resources,
        instance=instance,
    )

    assert result.success
    assert told(instance, "made", tile)["dagster/uri"].endswith(f"/made/{tile}.parquet")


def test_an_asset_without_tiles_has_the_whole_cube_and_what_all_tiles_returned(
    project: Project, instance: dg.DagsterInstance
) -> None:
    seen: Seen = {}

    def pixels(ndvi: xr.DataArray) -> pd.DataFrame:
        return pd.DataFrame({"pixels": [int(np.isfinite(ndvi).sum())]})

    @dg.asset(
        ins={
            "pixels": dg.AssetIn(
                partition_mapping=dg.SpecificPartitionsPartitionMapping(list(first(project, 2)))
            )
        }
    )
    def report(ndvi: xr.DataArray, pixels: dict[str, pd.DataFrame]) -> None:
        seen.update(
            cube=ndvi.shape, pixels={key: int(each["pixels"][0]) for key, each in pixels.items()}
        )

    defs = definitions(project, own(pixels, project), report)
    materialize(defs, instance, CHAIN[:3], tiles=first(project, 2))
    for tile in first(project, 2):
        materialize(defs, instance, ["pixels"], tiles=[tile])

    assert materialize(defs, instance, ["report"]).success
    assert seen["cube"] == (2, *project.partitioning.extent.shape)
    stored, _ = cube(project)
    counts = seen["pixels"]
    assert isinstance(counts, dict)
    assert set(counts) == set(first(project, 2))
    assert sum(counts.values()) == np.count_nonzero(stored != FILL)


def test_a_tile_of_cells_has_no_pixel_of_its_neighbours(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    catalog = write_country(tmp_path / "catalog", [WEST, EAST])
    grid = {"pixel_zoom": 11, "chunk": 64, "shard": 64, "partitions": "h3", "level": 5}
    project = write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES}, grid=grid)
    seen: dict[str, xr.DataArray] = {}

    def look(context: dg.AssetExecutionContext, ndvi: xr.DataArray) -> None:
        seen[context.partition_key] = ndvi

    defs = definitions(project, own(look, project))
    keys = project.partitioning.keys
    materialize(defs, instance, CHAIN[:3], tiles=[keys[0], keys[-1]])
    for key in keys:
        assert materialize(defs, instance, ["look"], tiles=[key]).success

    stored, _ = cube(project)
    assert len(keys) > 1
    assert sum(int(np.isfinite(ndvi[0]).sum()) for ndvi in seen.values()) == np.count_nonzero(
        stored != FILL
    )
