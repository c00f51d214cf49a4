"""The idiom of rasterio's guide: a WarpedVRT a band, numpy, DEFLATE GeoTIFFs of every stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import rasterio.warp
import rasterio.windows
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from benchmarks.contestants.arrays import GEOTIFF, Array, ndvi_of, read_ndvi, write, write_product
from benchmarks.contestants.task import CLEAR, CRS, Contestant, Task, Tile

BANDS = ("red", "nir", "scl")


def work(task: Task) -> None:
    """Write the raw windows, masked reflectance, index and observations of each tile."""
    for tile in task.tiles:
        days = [one_scene(tile, scene, task.folder) for scene in task.scenes]
        write_product(tile, task.folder, np.stack(days))


def one_scene(tile: Tile, scene: Path, folder: Path) -> Array:
    """Store the bands of a scene and return its NDVI, shape (row, column)."""
    name = f"{tile.key}_{scene.name}"
    for band in BANDS:
        copy_window(tile, scene / f"{band}.tif", folder / f"{name}_{band}.tif")
    red, nir = (warped(tile, scene / f"{band}.tif") for band in ("red", "nir"))
    classes = warped(tile, scene / "scl.tif", Resampling.nearest)
    clear = np.isin(classes, CLEAR) & (red > 0) & (nir > 0)
    bands = np.stack([np.where(clear, band, 0) for band in (red, nir)]).astype(np.uint16)
    write(tile, folder / f"{name}.tif", bands)
    return ndvi_of(red, nir, clear)


def warped(tile: Tile, path: Path, resampling: Resampling = Resampling.bilinear) -> Array:
    """Read a band on the pixels of the tile."""
    with (
        rasterio.open(path) as source,
        WarpedVRT(
            source,
            crs=CRS,
            transform=tile.transform,
            width=tile.size,
            height=tile.size,
            resampling=resampling,
        ) as vrt,
    ):
        pixels: Array = vrt.read(1)
        return pixels


def copy_window(tile: Tile, path: Path, target: Path) -> None:
    """Copy the unchanged pixels of the scene below the tile, as the raw stage does."""
    with rasterio.open(path) as source:
        bounds = rasterio.warp.transform_bounds(CRS, source.crs, *tile.bounds)
        window = rasterio.windows.from_bounds(*bounds, source.transform).round_offsets()
        window = window.round_lengths().intersection(
            rasterio.windows.Window(0, 0, source.width, source.height)
        )
        pixels = source.read(window=window)
        transform = source.window_transform(window)
        profile = {"crs": source.crs, "transform": transform, "nodata": source.nodata}
    _, height, width = pixels.shape
    shape = {"count": 1, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(target, "w", **GEOTIFF, **profile, **shape) as file:
        file.write(pixels)


CONTESTANT = Contestant(
    name="rasterio WarpedVRT + DEFLATE GeoTIFF",
    work=work,
    ndvi=read_ndvi,
    stores="raw windows, reflectance, NDVI and observations",
    settings="WarpedVRT with its defaults; tiled DEFLATE with predictor 2, rasterio's own level.",
    packages=("rasterio",),
    most=1 / 5,
)
