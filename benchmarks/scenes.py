"""A made-up Sentinel-2 granule of full entropy: what the contestants read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

SIZE = 5490
"""Pixels along a side at 20 m: a quarter of a 10 m granule, the same ground."""

ORIGIN = (600000.0, 5100000.0)
PIXEL = 20.0
EPSG = 32633
BBOX = (16.35, 45.2, 17.5, 45.95)
"""Lon/lat within the granule."""

PROFILE = {
    "driver": "GTiff",
    "width": SIZE,
    "height": SIZE,
    "count": 1,
    "crs": f"EPSG:{EPSG}",
    "transform": Affine(PIXEL, 0, ORIGIN[0], 0, -PIXEL, ORIGIN[1]),
    "tiled": True,
    "blockxsize": 1024,
    "blockysize": 1024,
    "compress": "deflate",
    "predictor": 2,
}


def make_scenes(folder: Path, days: int) -> None:
    """Write `days` granules of one place as STAC items with red, nir and scl."""
    for day in range(days):
        name = f"S2B_33TXL_202308{10 + day:02d}_0_L2A"
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(day)
        green = _smooth(generator)
        _write(target / "red.tif", 400 + 1800 * (1 - green), generator)
        _write(target / "nir.tif", 1200 + 3000 * green, generator)
        classes = np.where(_smooth(generator) > 0.8, 9, 4).astype(np.uint8)  # noqa: PLR2004
        with rasterio.open(target / "scl.tif", "w", dtype="uint8", nodata=0, **PROFILE) as file:
            file.write(classes, 1)
        (target / f"{name}.json").write_text(json.dumps(_item(name, 10 + day)))


def _smooth(generator: np.random.Generator) -> NDArray[np.float64]:
    """A landscape between 0 and 1, smooth over some hundred metres."""
    coarse = generator.random((64, 64))
    steps = np.linspace(0, 63, SIZE)
    low = np.floor(steps).astype(int).clip(0, 62)
    part = steps - low
    rows = coarse[low] * (1 - part[:, None]) + coarse[low + 1] * part[:, None]
    smooth: NDArray[np.float64] = rows[:, low] * (1 - part) + rows[:, low + 1] * part
    return smooth


def _write(path: Path, level: NDArray[np.float64], generator: np.random.Generator) -> None:
    """One band with the noise of a sensor, which is what makes real scenes hard to compress."""
    numbers = level + generator.normal(0, 60, level.shape)
    with rasterio.open(path, "w", dtype="uint16", nodata=0, **PROFILE) as file:
        file.write(np.rint(numbers.clip(1, 10000)).astype(np.uint16), 1)


def _item(name: str, day: int) -> dict[str, object]:
    west, south, east, north = 16.29, 44.99, 17.72, 46.06
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {
            "datetime": f"2023-08-{day:02d}T10:00:00Z",
            "platform": "sentinel-2b",
            "proj:epsg": EPSG,
            "s2:processing_baseline": "05.09",
            "earthsearch:boa_offset_applied": True,
        },
        "links": [],
        "assets": {
            band: {"href": f"{band}.tif", "eo:bands": [{"common_name": band}]}
            for band in ("red", "nir", "scl")
        },
    }
