"""Files of known noise in several layouts, damaged on purpose, and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.gdal_datasets import gdal_settings, open_dataset
from spatial_assets.catalog.rasters.headers import grid_of
from spatial_assets.catalog.rasters.windows import read_window
from spatial_assets.catalog.scene import BandSource
from spatial_assets.catalog.scene_facts import BandFacts
from spatial_assets.geo.grid.geobox import Window
from spatial_assets_tests.fixtures.scene_factory import source_of

ROWS, COLUMNS = 1100, 1300
LAYOUTS = {
    "tiled-256": {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"},
    "tiled-512": {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"},
    "tiled-1024": {"tiled": True, "blockxsize": 1024, "blockysize": 1024, "compress": "lerc"},
    "tiled-320": {"tiled": True, "blockxsize": 320, "blockysize": 192, "compress": "zstd"},
    "strips": {"blockysize": 7, "compress": "deflate", "predictor": 2},
}


def noise() -> NDArray[Any]:
    return np.random.default_rng(7).integers(1, 60_000, (ROWS, COLUMNS)).astype(np.uint16)


def facts_of(source: BandSource, access: SourceAccess) -> BandFacts:
    with gdal_settings(access):
        dataset = open_dataset(source, access)
        return BandFacts(
            grid=grid_of(dataset, source, size=None),
            dtype=dataset.dtypes[0],
            nodata=None,
            kernel="bilinear",
            calibration=None,
            block=tuple(dataset.block_shapes[0]),
            driver=dataset.driver,
        )


def read(
    path: Path | str,
    window: Window,
    access: SourceAccess,
    **changes: Any,  # noqa: ANN401
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    source = source_of(path, **changes)
    return read_window(source, facts_of(source, access), window, access)


def damage(path: Path, *, x: int, y: int) -> None:
    """Overwrite one block of the file with bytes that no codec takes."""
    with rasterio.open(path) as file:
        start = int(file.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=1))
        size = int(file.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[start : start + size] = b"\xff" * size
    path.write_bytes(data)
