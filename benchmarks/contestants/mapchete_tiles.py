"""mapchete: a process file whose tiles are one GeoTIFF each."""

from __future__ import annotations

import math
from pathlib import Path

import mapchete
import numpy as np
import rasterio
from numpy.typing import NDArray

from benchmarks.contestants.task import FILL, Contestant, Task, Tile

BASE_PIXELS = 256
"""Pixels along a side of one of mapchete's tiles; a metatile has several."""

WORLD = 20037508.342789244
"""Half the side of web-mercator, in metres."""


def work(task: Task) -> None:
    """Write the masked reflectance, index and observations of each tile as bands of a GeoTIFF."""
    config = config_of(task)
    with mapchete.open(config, mode="overwrite") as process:
        for tile in task.tiles:
            for _ in process.execute(tile=address(tile)):
                pass


def config_of(task: Task) -> dict[str, object]:
    """Content of a .mapchete file."""
    some = task.tiles[0]
    zoom = zoom_of(some)
    return {
        "process": str(Path(__file__).with_name("mapchete_process.py")),
        "process_parameters": {"days": len(task.scenes)},
        "config_dir": str(task.folder),
        "zoom_levels": {"min": zoom, "max": zoom},
        "pyramid": {"grid": "mercator", "metatiling": some.size // BASE_PIXELS},
        "input": {
            f"{band}_{day}": str(scene / f"{band}.tif")
            for day, scene in enumerate(task.scenes)
            for band in ("red", "nir", "scl")
        },
        "output": {
            "format": "GTiff",
            "path": str(task.folder / "out"),
            "bands": 2 + 2 * len(task.scenes),
            "dtype": "int16",
            "nodata": FILL,
            "compress": "deflate",
            "predictor": 2,
        },
    }


def zoom_of(tile: Tile) -> int:
    """Zoom whose tiles of 256 pixels have the tile's pixels."""
    return round(math.log2(2 * WORLD / (tile.pixel * BASE_PIXELS)))


def address(tile: Tile) -> tuple[int, int, int]:
    """Zoom, row and column of the metatile."""
    side = tile.size * tile.pixel
    return zoom_of(tile), round((WORLD - tile.top) / side), round((tile.left + WORLD) / side)


def ndvi(task: Task, tile: Tile) -> NDArray[np.int16]:
    """Read the median index."""
    zoom, row, column = address(tile)
    with rasterio.open(task.folder / "out" / str(zoom) / str(row) / f"{column}.tif") as file:
        pixels: NDArray[np.int16] = file.read(1)
        return pixels


CONTESTANT = Contestant(
    name="mapchete",
    work=work,
    ndvi=ndvi,
    stores="reflectance, NDVI and observations",
    settings="A metatile is a tile; one process; one file a tile, DEFLATE with predictor 2.",
    packages=("mapchete", "rasterio"),
    most=1 / 3,
)
