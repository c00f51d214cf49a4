"""NDVI in numpy and GeoTIFF output, shared by the contestants that write with rasterio."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from benchmarks.contestants.task import CRS, FILL, Task, Tile

Array = NDArray[Any]
GEOTIFF = {"driver": "GTiff", "tiled": True, "compress": "deflate", "predictor": 2}


def ndvi_of(red: Array, nir: Array, clear: Array) -> NDArray[np.float32]:
    """NDVI where `clear`, else NaN; the bands as stored, shape (row, column)."""
    a, b = nir * np.float32(1e-4), red * np.float32(1e-4)
    with np.errstate(all="ignore"):
        return np.where(clear, (a - b) / (a + b), np.float32("nan"))


def median_of(days: Array) -> NDArray[np.int16]:
    """Median of the days that see a pixel, as stored; `days` has shape (day, row, column)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pixels without an observation
        ndvi = np.nanmedian(days, axis=0)
    with np.errstate(invalid="ignore"):
        found: NDArray[np.int16] = np.where(np.isfinite(ndvi), np.rint(ndvi * 10000), FILL)
    return found.astype(np.int16)


def write_product(tile: Tile, folder: Path, days: Array) -> None:
    """Write the median index and the number of observations of a tile."""
    write(tile, folder / f"{tile.key}_ndvi.tif", median_of(days)[np.newaxis])
    observations = np.isfinite(days).sum(axis=0, dtype=np.uint16)
    write(tile, folder / f"{tile.key}_observations.tif", observations[np.newaxis])


def write(tile: Tile, path: Path, pixels: Array) -> None:
    """Write bands of a tile, shape (band, row, column)."""
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", **GEOTIFF, **shape, crs=CRS, transform=tile.transform) as file:
        file.write(pixels)


def read_ndvi(task: Task, tile: Tile) -> NDArray[np.int16]:
    """Read the median index that `write_product` wrote."""
    with rasterio.open(task.folder / f"{tile.key}_ndvi.tif") as file:
        pixels: NDArray[np.int16] = file.read(1)
        return pixels
