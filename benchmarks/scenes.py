"""Made-up Sentinel-2 granules of full entropy: what the contestants read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

GROUND = 109_800
"""Metres along a side of a granule."""

ORIGIN = (600000.0, 5100000.0)
EPSG = 32633
BBOX = (16.35, 45.2, 17.5, 45.95)
"""Lon/lat within the granule."""

CLOUD, VEGETATION = 9, 4


@dataclass(frozen=True)
class Granules:
    """How large the scenes of a benchmark are."""

    days: int
    band_metres: int
    """Size of a pixel of red and nir."""

    class_metres: int = 20
    """Size of a pixel of scl."""

    def make(self, folder: Path) -> None:
        """Write a granule of one place for each day, as STAC items with red, nir and scl."""
        for day in range(self.days):
            name = f"S2B_33TXL_202308{10 + day:02d}_0_L2A"
            target = folder / name
            target.mkdir(parents=True, exist_ok=True)
            generator = np.random.default_rng(day)
            green = _smooth(generator, GROUND // self.band_metres)
            for band, level in (("red", 400 + 1800 * (1 - green)), ("nir", 1200 + 3000 * green)):
                # the noise of a sensor is what makes real scenes hard to compress
                numbers = level + generator.normal(0, 60, level.shape).astype(np.float32)
                pixels = np.rint(numbers.clip(1, 10000)).astype(np.uint16)
                _write(target / f"{band}.tif", pixels, self.band_metres)
            cloudy = _smooth(generator, GROUND // self.class_metres) > 0.8  # noqa: PLR2004
            classes = np.where(cloudy, CLOUD, VEGETATION).astype(np.uint8)
            _write(target / "scl.tif", classes, self.class_metres)
            (target / f"{name}.json").write_text(json.dumps(_item(name, 10 + day)))


def make_scenes(folder: Path, days: int) -> None:
    """Write granules of 20 m: a quarter of the pixels on the same ground."""
    Granules(days=days, band_metres=20).make(folder)


def _smooth(generator: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A landscape between 0 and 1, smooth over some hundred metres."""
    coarse = generator.random((64, 64)).astype(np.float32)
    steps = np.linspace(0, 63, size, dtype=np.float32)
    low = np.floor(steps).astype(int).clip(0, 62)
    part = steps - low.astype(np.float32)
    rows = coarse[low] * (1 - part[:, None]) + coarse[low + 1] * part[:, None]
    smooth: NDArray[np.float32] = rows[:, low] * (1 - part) + rows[:, low + 1] * part
    return smooth


def _write(path: Path, pixels: NDArray[Any], metres: int) -> None:
    """One band as the archive keeps it."""
    height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=1,
        dtype=pixels.dtype,
        nodata=0,
        crs=f"EPSG:{EPSG}",
        transform=Affine(metres, 0, ORIGIN[0], 0, -metres, ORIGIN[1]),
        tiled=True,
        blockxsize=1024,
        blockysize=1024,
        compress="deflate",
        predictor=2,
    ) as file:
        file.write(pixels, 1)


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
