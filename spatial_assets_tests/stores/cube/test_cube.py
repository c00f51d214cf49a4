from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers .rio
import xarray as xr
import zarr

from spatial_assets.errors import GridError, RasterError, StoreError
from spatial_assets.geo.grid.pixel_grid import PixelGrid, Shard, Tile
from spatial_assets.geo.radiometry import FILL
from spatial_assets.stores.cube.cube import (
    ensure_cube,
    open_cube,
    read_window,
    shard_path,
    tile_paths,
    write_tile,
)
from spatial_assets.stores.cube.zarr_store import ReadOnlyZarrStore
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets_tests.stores.sample_cubes import (
    GRID,
    ONE,
    make,
    now,
    pixels_of,
    spec,
    tile_of,
    write,
)

# rioxarray multiplies Affines with `*`, which affine 3.1 wants to be `@`; nothing of ours does.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning:rioxarray")


def test_what_a_tile_wrote_is_read_back(store: ObjectStore) -> None:
    make(store)
    tile = tile_of(Shard(1101, 700), Shard(1102, 701))
    values, observations = pixels_of(tile)

    write_tile(store, "ndvi", period=7, tile=tile, values=values, observations=observations)

    read, seen = read_window(store, "ndvi", period=7, window=tile.window)
    owned = tile.owned(GRID)
    np.testing.assert_array_equal(read, np.where(owned, values, FILL))
    np.testing.assert_array_equal(seen, np.where(owned, observations, 0))
    assert read.dtype == np.dtype("int16")
    assert seen.dtype == np.dtype("uint16")


def test_a_shard_is_one_object_known_by_size_etag_and_hash(store: ObjectStore) -> None:
    cube = make(store)
    before = {info.path for info in store.list()}
    values, observations = pixels_of(ONE)

    written = write_tile(
        store, "ndvi", period=7, tile=ONE, values=values, observations=observations
    )

    made = [info for info in store.list() if info.path not in before]
    assert [info.path for info in made] == [
        "ndvi.zarr/ndvi/c/7/0/1",
        "ndvi.zarr/observations/c/7/0/1",
    ]
    assert [(i.path, i.size, i.etag) for i in written] == [(i.path, i.size, i.etag) for i in made]
    assert all(info.sha256 for info in written)
    assert {info.path for info in written} < set(tile_paths(cube, ONE))


def test_writing_again_gives_the_same_bytes(folder_store: ObjectStore) -> None:
    make(folder_store)
    values, observations = pixels_of(ONE)

    first, second = (
        write_tile(
            folder_store, "ndvi", period=0, tile=ONE, values=values, observations=observations
        )
        for _ in range(2)
    )

    assert [info.sha256 for info in first] == [info.sha256 for info in second]


def test_an_empty_tile_is_written_as_all_invalid(store: ObjectStore) -> None:
    cube = make(store)
    values = np.full(ONE.window.shape, FILL, np.int16)
    observations = np.zeros(ONE.window.shape, np.uint16)

    write_tile(store, "ndvi", period=0, tile=ONE, values=values, observations=observations)

    for name in ("ndvi", "observations"):
        assert store.head(shard_path(cube, name, period=0, shard=ONE.shards[0])) is not None
    read, _ = read_window(store, "ndvi", period=0, window=ONE.window)
    assert (read == FILL).all()


def test_zarr_itself_writes_the_very_bytes_of_our_shards(folder_store: ObjectStore) -> None:
    cube = make(folder_store)
    values = write(folder_store, ONE)
    path = shard_path(cube, "ndvi", period=0, shard=ONE.shards[0])
    ours = folder_store.get(path)
    folder_store.delete(path)

    array = zarr.open_array(f"{folder_store.url}/ndvi.zarr/ndvi", mode="r+")
    array[0, 0:128, 128:256] = values

    assert folder_store.get(path) == ours


def test_a_shard_cut_by_the_edge_of_the_matrix_is_written_and_read(store: ObjectStore) -> None:
    grid = PixelGrid(tile_matrix_set="WebMercatorQuad", pixel_zoom=0, chunk=96, shard=192)
    corner = Shard(1, 1)
    tile = Tile("edge", (corner,), grid.shard_window(corner))
    extent = grid.shards_window([Shard(0, 0), corner])
    ensure_cube(store, spec(grid=grid, extent=extent), owner="test", clock=now)

    values = write(store, tile)

    assert values.shape == (64, 64)
    read, _ = read_window(store, "ndvi", period=0, window=tile.window)
    np.testing.assert_array_equal(read, values)
    with open_cube(store, "ndvi") as dataset:
        assert dataset["ndvi"].shape == (12, 256, 256)


def test_people_see_numbers_nan_dates_and_the_right_place(store: ObjectStore) -> None:
    cube = make(store)
    values = write(store, ONE, period=7)

    with open_cube(store, "ndvi") as dataset:
        august = dataset["ndvi"].sel(time="2023-08-01")
        assert dataset["ndvi"].dims == ("time", "y", "x")
        np.testing.assert_allclose(august[:128, 128:256], values * 1e-4, atol=1e-6)
        assert np.isnan(august[:128, :128]).all()
        assert dataset["observations"].dtype == np.uint16
        assert int(dataset["observations"][0].max()) == 0
        assert dataset["ndvi"].rio.crs.to_epsg() == 3857
        assert dataset["ndvi"].rio.transform() == cube.geobox.transform
        assert dataset["ndvi"].rio.transform(recalc=True).almost_equals(cube.geobox.transform, 1e-6)
        assert dataset["ndvi"].rio.bounds() == pytest.approx(cube.geobox.bounds, abs=1e-6)
        assert list(dataset["time"].dt.strftime("%Y-%m-%d").values[[0, 11]]) == [
            "2023-01-01",
            "2023-12-01",
        ]
        assert {"time", "x", "y", "spatial_ref"} == set(dataset.coords)


def test_a_cube_is_georeferenced_by_the_conventions_of_zarr(folder_store: ObjectStore) -> None:
    cube = make(folder_store)

    attributes = dict(zarr.open_group(f"{folder_store.url}/ndvi.zarr", mode="r").attrs)

    assert attributes["proj:code"] == "EPSG:3857"
    assert str(attributes["proj:wkt2"]).startswith("PROJCRS")
    assert attributes["spatial:transform"] == list(cube.geobox.transform)[:6]
    assert attributes["spatial:bbox"] == list(cube.geobox.bounds)
    assert attributes["spatial:shape"] == [256, 384]
    assert attributes["spatial:dimensions"] == ["y", "x"]
    assert attributes["grid_id"] == "abc"
    assert [c["name"] for c in attributes["zarr_conventions"]] == ["proj", "spatial"]  # type: ignore[union-attr,index,call-overload]


@pytest.mark.parametrize("name", ["WorldCRS84Quad", "UTM31WGS84Quad", "EuropeanETRS89_LAEAQuad"])
def test_a_cube_of_another_crs_opens_with_it(folder_store: ObjectStore, name: str) -> None:
    grid = PixelGrid(tile_matrix_set=name, pixel_zoom=4, chunk=64, shard=128)
    extent = grid.shards_window([Shard(2, 2), Shard(3, 3)])
    cube = make(folder_store, spec(grid=grid, extent=extent))

    with open_cube(folder_store, "ndvi") as dataset:
        assert dataset.rio.crs == dataset["ndvi"].rio.crs
        assert dataset["ndvi"].rio.crs.to_wkt() != ""
        assert dataset["ndvi"].rio.transform() == cube.geobox.transform
        assert dataset["ndvi"].rio.x_dim == "x"
        epsg = grid.crs.to_epsg()
        assert epsg is None or dataset["ndvi"].rio.crs.to_epsg() == epsg


def test_workers_are_refused_what_only_the_driver_may_make(folder_store: ObjectStore) -> None:
    values, observations = pixels_of(ONE)
    arguments: dict[str, Any] = {"tile": ONE, "values": values, "observations": observations}
    with pytest.raises(StoreError, match="there is no cube"):
        write_tile(folder_store, "ndvi", period=0, **arguments)
    with pytest.raises(StoreError, match="there is no cube"):
        open_cube(folder_store, "ndvi")
    make(folder_store)

    with pytest.raises(StoreError, match=r"periods 0 to 11 \(2023-01 to 2023-12\), not 12"):
        write_tile(folder_store, "ndvi", period=12, **arguments)
    with pytest.raises(GridError, match="not inside"):
        write(folder_store, tile_of(Shard(1099, 700)))
    with pytest.raises(RasterError, match="its window needs"):
        write_tile(folder_store, "ndvi", period=0, **{**arguments, "values": values[:-1]})


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-7], id="truncated"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"<html>", id="another-file"),
        pytest.param(lambda data: data[:-9] + b"\xff\xff" + data[-7:], id="flipped-index"),
    ],
)
def test_a_damaged_shard_is_an_error_and_never_pixels(
    store: ObjectStore, damage: Callable[[bytes], bytes]
) -> None:
    cube = make(store)
    write(store, ONE)
    path = shard_path(cube, "ndvi", period=0, shard=ONE.shards[0])
    store.put(path, damage(store.get(path)))

    with pytest.raises(StoreError, match=r"ndvi\.zarr"):
        read_window(store, "ndvi", period=0, window=ONE.window)


def test_xarray_needs_no_option_to_open_a_cube_from_its_path(folder_store: ObjectStore) -> None:
    make(folder_store)
    values = write(folder_store, ONE)

    with xr.open_dataset(f"{folder_store.url}/ndvi.zarr", engine="zarr") as dataset:
        assert dataset["ndvi"].rio.crs.to_epsg() == 3857
        np.testing.assert_allclose(dataset["ndvi"][0, :128, 128:256], values * 1e-4, atol=1e-6)


def test_zarr_lists_and_reads_a_cube_but_cannot_write_it(store: ObjectStore) -> None:
    make(store)
    values = write(store, ONE)

    view = ReadOnlyZarrStore(store, "ndvi.zarr")

    group = zarr.open_group(view, mode="r", use_consolidated=False)
    assert {name for name, _ in group.arrays()} == {
        *("ndvi", "observations", "time", "y", "x", "spatial_ref")
    }
    array = zarr.open_array(view, path="ndvi", mode="r")
    np.testing.assert_array_equal(array[0, 10:70, 130:250], values[10:70, 2:122])
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_array(view, path="ndvi", mode="r+")[0, 0, 0] = 1
    assert pickle.loads(pickle.dumps(view)) == view  # noqa: S301 - our own bytes


LEAVER = """
import sys
from spatial_assets.stores.cube.cube import open_cube
from spatial_assets.stores.objects.store import open_store
open_cube(open_store(sys.argv[1]), "ndvi")["ndvi"][0].load()
"""


def test_a_process_that_ends_right_after_reading_ends_well(folder_store: ObjectStore) -> None:
    make(folder_store)
    write(folder_store, ONE)
    command = [sys.executable, "-c", LEAVER, folder_store.url]

    leavers = [subprocess.Popen(command) for _ in range(6)]

    assert [leaver.wait(120) for leaver in leavers] == [0] * 6
