"""`tile_asset`: arguments of the function."""

# No `from __future__ import annotations`: Dagster reads the annotations of these assets.

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spatial_assets.geo.radiometry import FILL, INDEX_SCALE
from spatial_assets.project import Project
from spatial_assets.resources import StoreResource
from spatial_assets_tests.assets.user_assets import failure_text, run_assets, tile_asset_of
from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    CHAIN,
    definitions,
    materialize,
    newest_materialization,
)
from spatial_assets_tests.fixtures.pipeline_runs import read_cube, rows
from spatial_assets_tests.fixtures.ten_village_project import first_tiles
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    TWO_TILES,
    WEST,
    write_catalog,
    write_project,
)

Seen = dict[str, object]

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning:rioxarray")


def test_it_is_made_with_the_chain_in_one_run(
    made_project: Project, made_instance: dg.DagsterInstance
) -> None:
    seen: Seen = {}

    def look(ndvi: xr.DataArray, boundaries: gpd.GeoDataFrame) -> None:
        seen.update(pixels=int(np.isfinite(ndvi).sum()), boundaries=len(boundaries))

    tile, defs = (
        first_tiles(made_project, 3)[2],
        definitions(made_project, tile_asset_of(look, made_project)),
    )

    result = materialize(defs, made_instance, [*BOUNDARIES, *CHAIN, "look"], tiles=[tile])

    assert result.success
    assert seen["boundaries"] == 2
    assert int(str(seen["pixels"])) > 1000
    assert newest_materialization(made_instance, "look", tile) is not None


def test_an_index_is_the_tiles_window_of_the_cube(
    made_project: Project, made_instance: dg.DagsterInstance
) -> None:
    seen: dict[str, xr.DataArray] = {}

    def look(ndvi: xr.DataArray) -> None:
        seen["ndvi"] = ndvi

    assert run_assets(
        made_project, made_instance, tile_asset_of(look, made_project), select=["look"]
    ).success

    ndvi, tile = seen["ndvi"], made_project.partitioning.tile(first_tiles(made_project, 1)[0])
    stored, _ = read_cube(made_project, window=tile.window)
    box = made_project.pixel_grid.geobox(tile.window)
    assert ndvi.dims == ("time", "y", "x")
    assert list(ndvi["time"].dt.strftime("%Y-%m").values) == ["2023-08", "2023-09"]
    assert ndvi.rio.crs.to_epsg() == 3857
    assert ndvi.rio.transform().almost_equals(box.transform, 1e-6)
    expected = np.where(stored == FILL, np.nan, stored * INDEX_SCALE)
    np.testing.assert_allclose(ndvi[0].values, expected, atol=1e-6)


def test_a_boundary_set_and_tables_come_by_name(
    made_project: Project, made_instance: dg.DagsterInstance
) -> None:
    seen: dict[str, pd.DataFrame] = {}

    def look(
        boundaries: gpd.GeoDataFrame, ndvi_by_boundary: pd.DataFrame, tile_index: gpd.GeoDataFrame
    ) -> None:
        seen.update(boundaries=boundaries, parts=ndvi_by_boundary, index=tile_index)

    assert run_assets(
        made_project, made_instance, tile_asset_of(look, made_project), select=["look"]
    ).success

    tile = first_tiles(made_project, 1)[0]
    assert set(seen["boundaries"]["name"]) == {"West", "East"}
    assert seen["boundaries"].crs.to_epsg() == 4326
    assert seen["boundaries"].geometry.is_valid.all()
    wanted = [row for row in rows(made_project, "ndvi_by_boundary") if row["tile"] == tile]
    assert seen["parts"].to_dict("records") == wanted
    assert seen["index"]["tile"].tolist() == [tile]
    footprint = made_project.partitioning.tile(tile).footprint(made_project.pixel_grid)
    assert seen["index"].geometry[0].symmetric_difference(footprint).area < 1e-9


def test_resources_and_the_context_are_arguments_too(
    made_project: Project, made_instance: dg.DagsterInstance
) -> None:
    seen: Seen = {}

    def look(context: dg.AssetExecutionContext, store: StoreResource, ndvi: xr.DataArray) -> None:
        seen.update(tile=context.partition_key, url=store.url, size=ndvi.size)

    assert run_assets(
        made_project, made_instance, tile_asset_of(look, made_project), select=["look"]
    ).success
    assert seen["tile"] == first_tiles(made_project, 1)[0]
    assert seen["url"] == made_project.storage_url


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        pytest.param("raw_tile", "cannot be an argument; name it in `deps`", id="files"),
        pytest.param("earlier", "materialize it first", id="not-yet-made"),
    ],
)
def test_what_cannot_be_loaded_is_refused_by_name(
    made_project: Project, made_instance: dg.DagsterInstance, argument: str, says: str
) -> None:
    def earlier() -> None: ...

    scope: dict[str, Callable[..., object]] = {}
    exec(f"def look({argument}): ...", scope)  # noqa: S102 - the argument's name is the case

    assets = tile_asset_of(earlier, made_project), tile_asset_of(scope["look"], made_project)
    result = run_assets(made_project, made_instance, *assets, select=["look"])

    assert not result.success
    assert says in failure_text(result, "look")


def test_an_asset_without_tiles_has_the_whole_cube_and_what_all_tiles_returned(
    made_project: Project, made_instance: dg.DagsterInstance
) -> None:
    seen: Seen = {}

    def pixels(ndvi: xr.DataArray) -> pd.DataFrame:
        return pd.DataFrame({"pixels": [int(np.isfinite(ndvi).sum())]})

    @dg.asset(
        ins={
            "pixels": dg.AssetIn(
                partition_mapping=dg.SpecificPartitionsPartitionMapping(
                    list(first_tiles(made_project, 2))
                )
            )
        }
    )
    def report(ndvi: xr.DataArray, pixels: dict[str, pd.DataFrame]) -> None:
        seen.update(
            cube=ndvi.shape,
            pixels={key: int(each["pixels"][0]) for key, each in pixels.items()},
        )

    defs = definitions(made_project, tile_asset_of(pixels, made_project), report)
    for tile in first_tiles(made_project, 2):
        materialize(defs, made_instance, ["pixels"], tiles=[tile])

    assert materialize(defs, made_instance, ["report"]).success
    assert seen["cube"] == (2, *made_project.partitioning.extent.shape)
    counts = seen["pixels"]
    assert isinstance(counts, dict)
    for tile in first_tiles(made_project, 2):
        stored, _ = read_cube(made_project, window=made_project.partitioning.tile(tile).window)
        assert counts.pop(tile) == np.count_nonzero(stored != FILL)
    assert not counts


def test_a_tile_of_cells_has_no_pixel_of_its_neighbours(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [WEST, EAST])
    grid = {"pixel_zoom": 11, "chunk": 64, "shard": 64, "partitions": "h3", "level": 5}
    project = write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES}, grid=grid)
    seen: dict[str, xr.DataArray] = {}

    def look(context: dg.AssetExecutionContext, ndvi: xr.DataArray) -> None:
        seen[context.partition_key] = ndvi

    defs = definitions(project, tile_asset_of(look, project))
    keys = project.partitioning.keys
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(defs, instance, CHAIN[:3], tiles=[keys[0], keys[-1]])
        for key in keys:
            assert materialize(defs, instance, ["look"], tiles=[key]).success

    stored, _ = read_cube(project)
    assert len(keys) > 1
    assert sum(int(np.isfinite(ndvi[0]).sum()) for ndvi in seen.values()) == np.count_nonzero(
        stored != FILL
    )
