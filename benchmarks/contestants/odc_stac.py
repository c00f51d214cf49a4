"""`odc.stac.load`, xarray, and zarr with its defaults."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import odc.stac
import pystac
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from benchmarks.contestants.task import CLEAR, CRS, FILL, Contestant, Task, Tile


def work(task: Task) -> None:
    """Write the masked reflectance, index and observations of each tile, a Zarr store each."""
    items = [pystac.Item.from_file(str(s / f"{s.name}.json")) for s in task.scenes]
    for item in items:
        item.make_asset_hrefs_absolute()
    make_tiles(task, items)


def make_tiles(task: Task, items: Sequence[pystac.Item]) -> None:
    """Load, compute and write each tile of a task."""
    for tile in task.tiles:
        data = odc.stac.load(
            items,
            bands=["red", "nir", "scl"],
            geobox=GeoBox(tile.shape, tile.transform, CRS),
            resampling={"*": "bilinear", "scl": "nearest"},
            dtype={"*": "uint16", "scl": "uint8"},
            nodata=0,
            groupby="solar_day",
        )
        product_of(data).to_zarr(task.folder / f"{tile.key}.zarr", mode="w", consolidated=False)


def product_of(data: xr.Dataset) -> xr.Dataset:
    """Compute the stored variables of a tile."""
    clear = data.scl.isin(CLEAR) & (data.red > 0) & (data.nir > 0)
    red, nir = (data[band].where(clear) * np.float32(1e-4) for band in ("red", "nir"))
    ndvi = ((nir - red) / (nir + red)).median("time")
    return xr.Dataset(
        {
            "red": data.red.where(clear, 0),
            "nir": data.nir.where(clear, 0),
            "ndvi": (ndvi * 10000).round().fillna(FILL).astype("int16"),
            "observations": clear.sum("time").astype("uint16"),
        }
    )


def ndvi(task: Task, tile: Tile) -> NDArray[np.int16]:
    """Read the median index."""
    with xr.open_zarr(task.folder / f"{tile.key}.zarr", consolidated=False) as data:
        pixels: NDArray[np.int16] = data.ndvi.values
        return pixels


CONTESTANT = Contestant(
    name="odc.stac.load + zarr",
    work=work,
    ndvi=ndvi,
    stores="reflectance, NDVI and observations",
    settings="Loaded without Dask, which for one tile only adds to it; zarr's default codec.",
    packages=("odc-stac", "odc-loader", "odc-geo", "zarr", "xarray"),
    most=1 / 3,
)
