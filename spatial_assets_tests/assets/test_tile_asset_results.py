"""`tile_asset`: storage of the returned value."""

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

from spatial_assets.project import Project
from spatial_assets_tests.assets.user_assets import failure_text, run_assets, tile_asset_of
from spatial_assets_tests.fixtures.dagster_runs import (
    RANGE_TAGS,
    definitions,
    materialize,
    newest_materialization,
    newest_metadata,
)
from spatial_assets_tests.fixtures.pipeline_runs import store_of
from spatial_assets_tests.fixtures.ten_village_project import first_tiles

Seen = dict[str, object]

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning:rioxarray")


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
    made_project: Project, made_instance: dg.DagsterInstance, table: pd.DataFrame
) -> None:
    seen: dict[str, pd.DataFrame] = {}

    def made(ndvi: xr.DataArray) -> pd.DataFrame:
        assert ndvi.size
        return table

    def look(made: pd.DataFrame) -> None:
        seen["made"] = made

    assets = tile_asset_of(made, made_project), tile_asset_of(look, made_project)
    assert run_assets(made_project, made_instance, *assets, select=["made", "look"]).success

    tile = first_tiles(made_project, 1)[0]
    assert type(seen["made"]) is type(table)
    pd.testing.assert_frame_equal(seen["made"], table)
    uri = newest_metadata(made_instance, "made", tile)["dagster/uri"]
    assert uri == store_of(made_project).uri(f"tile_assets/made/{tile}.parquet")
    assert len(pd.read_parquet(io.BytesIO(Path(uri).read_bytes()))) == len(table)
    assert newest_metadata(made_instance, "made", tile)["bytes"] == Path(uri).stat().st_size


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8", "bool"])
def test_a_returned_raster_is_a_geotiff_in_its_place(
    made_project: Project, made_instance: dg.DagsterInstance, dtype: str
) -> None:
    seen: dict[str, xr.DataArray] = {}

    def made(ndvi: xr.DataArray) -> xr.DataArray:
        seen["before"] = (ndvi[0] if dtype == "float32" else ndvi[0] > 0.3).astype(dtype)
        return seen["before"]

    def look(made: xr.DataArray) -> None:
        seen["after"] = made

    assets = tile_asset_of(made, made_project), tile_asset_of(look, made_project)
    assert run_assets(made_project, made_instance, *assets, select=["made", "look"]).success

    before, after = seen["before"], seen["after"]
    np.testing.assert_array_equal(before.values, after.values)
    assert after.dims == ("y", "x")
    assert after.rio.crs.to_epsg() == 3857
    assert after.rio.transform().almost_equals(before.rio.transform(), 1e-6)


def test_all_periods_of_a_raster_are_kept_as_bands(
    made_project: Project, made_instance: dg.DagsterInstance
) -> None:
    seen: dict[str, xr.DataArray] = {}

    def made(ndvi: xr.DataArray) -> xr.DataArray:
        return ndvi

    def look(made: xr.DataArray) -> None:
        seen["after"] = made

    assets = tile_asset_of(made, made_project), tile_asset_of(look, made_project)
    assert run_assets(made_project, made_instance, *assets, select=["made", "look"]).success
    assert seen["after"].dims == ("band", "y", "x")
    assert seen["after"].sizes["band"] == 2


def test_an_asset_may_return_another_kind_than_before(
    made_project: Project, made_instance: dg.DagsterInstance
) -> None:
    seen: Seen = {}
    kinds = iter([pd.DataFrame({"n": [1]}), None])

    def changing(ndvi: xr.DataArray):  # type: ignore[no-untyped-def]  # noqa: ANN202 - two kinds
        table = next(kinds)
        return ndvi[0] if table is None else table

    def look(changing):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - two kinds
        seen["kind"] = type(changing)

    for kind in (pd.DataFrame, xr.DataArray):
        assets = tile_asset_of(changing, made_project), tile_asset_of(look, made_project)
        assert run_assets(made_project, made_instance, *assets, select=["changing", "look"]).success
        assert seen["kind"] is kind


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
    made_project: Project,
    made_instance: dg.DagsterInstance,
    value: Callable[[xr.DataArray], object],
    says: str,
) -> None:
    def made(ndvi: xr.DataArray):  # type: ignore[no-untyped-def]  # noqa: ANN202 - any value
        return value(ndvi)

    result = run_assets(
        made_project, made_instance, tile_asset_of(made, made_project), select=["made"]
    )

    assert not result.success
    assert says in failure_text(result, "made")
    assert "made returned" in failure_text(result, "made")
    assert (
        newest_materialization(made_instance, "ndvi", first_tiles(made_project, 1)[0]) is not None
    )


@pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`")
def test_one_object_cannot_stand_for_several_tiles(
    made_project: Project, made_instance: dg.DagsterInstance
) -> None:
    def made(ndvi: xr.DataArray) -> pd.DataFrame:
        return pd.DataFrame({"pixels": [ndvi.size]})

    asset = tile_asset_of(made, made_project, backfill_policy=dg.BackfillPolicy.single_run())
    defs = definitions(made_project, asset)

    result = materialize(defs, made_instance, ["made"], tiles=first_tiles(made_project, 2))

    assert not result.success
    assert "no backfill policy" in failure_text(result, "made")


@pytest.mark.filterwarnings("ignore:Asset job .* varying BackfillPolicies")
def test_a_tile_of_a_backfill_is_a_range_of_one(
    made_project: Project, made_instance: dg.DagsterInstance
) -> None:
    def made(ndvi: xr.DataArray) -> pd.DataFrame:
        return pd.DataFrame({"pixels": [ndvi.size]})

    (tile,) = first_tiles(made_project, 1)
    defs = definitions(made_project, tile_asset_of(made, made_project))

    result = dg.materialize(
        list(defs.assets or ()),  # type: ignore[arg-type]
        selection=["made"],
        tags=dict.fromkeys(RANGE_TAGS, tile),
        resources=defs.resources,
        instance=made_instance,
    )

    assert result.success
    assert newest_metadata(made_instance, "made", tile)["dagster/uri"].endswith(
        f"/made/{tile}.parquet"
    )
