"""Synthetic Sentinel-2 granules with realistic entropy, which the contestants read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from benchmarks.projects import Bounds
from benchmarks.rows import Row, row

GRANULE_METRES = 109_800
"""Side of a granule in metres."""

ORIGIN = (600_000.0, 5_100_000.0)
EPSG = 32633
BBOX = (16.35, 45.2, 17.5, 45.95)
"""Lon/lat within the granule: every tile of 2,048 pixels at zoom 14 lies wholly in it."""

WIDE_BBOX = (16.32, 45.1, 17.55, 45.98)
"""Largest such box: it has 225 such tiles at zoom 15, of which 210 lie wholly in it."""

BOX = (16.29, 44.99, 17.72, 46.06)
CLOUD, VEGETATION = 9, 4
PROJECTION = "https://stac-extensions.github.io/projection/v1.0.0/schema.json"
NOISE = 60.0
"""Standard deviation in stored steps: noise is what makes real scenes hard to compress."""

REAL_BYTES_A_PIXEL = 800e6 / (4 * 10_980**2 + 9 * 5_490**2 + 11 * 1_830**2)
"""Size of a pixel in lossless JPEG 2000: ESA's user guide gives 800 MB for a Level-2A granule,
which has that many pixels of reflectance. The other layers are assumed to cost nothing.
"""

SIZE_TOLERANCE = 1.2


@dataclass(frozen=True)
class Granules:
    """Size of the scenes of a benchmark."""

    days: int
    band_metres: int
    """Pixel size of red and nir."""

    class_metres: int = 20
    """Pixel size of scl."""

    def make(self, folder: Path) -> None:
        """Write a granule of one place for each day, as STAC items with red, nir and scl."""
        for day in range(self.days):
            generator = np.random.default_rng(day)
            green = _smooth(generator, GRANULE_METRES // self.band_metres)
            bands: dict[str, tuple[NDArray[Any], float]] = {
                band: (_noisy(generator, level), self.band_metres)
                for band, level in (("red", 400 + 1800 * (1 - green)), ("nir", 1200 + 3000 * green))
            }
            cloudy = _smooth(generator, GRANULE_METRES // self.class_metres) > 0.8  # noqa: PLR2004
            classes = np.where(cloudy, CLOUD, VEGETATION).astype(np.uint8)
            bands["scl"] = (classes, self.class_metres)
            write_granule(folder, bands, day=10 + day, origin=ORIGIN, box=BOX)


def write_granule(
    folder: Path,
    bands: Mapping[str, tuple[NDArray[Any], float]],
    *,
    day: int,
    origin: tuple[float, float],
    box: Bounds,
) -> Path:
    """Write a scene like the archive's: a folder with a COG a band and a STAC item.

    Args:
        folder: folder of the catalogue.
        bands: pixels, shape (row, column), and their size in metres, by common name.
        day: day in August 2023.
        origin: x and y of the north-western corner, in UTM 33 N.
        box: bounds of the scene in degrees.
    """
    name = f"S2B_33TXL_202308{day:02d}_0_L2A"
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    for band, (pixels, metres) in bands.items():
        transform = Affine(metres, 0, origin[0], 0, -metres, origin[1])
        _write(target / f"{band}.tif", pixels, transform)
    grids = {
        band: {"proj:shape": pixels.shape, "proj:transform": [m, 0, origin[0], 0, -m, origin[1]]}
        for band, (pixels, m) in bands.items()
    }
    item = _item(name, day=day, box=box, grids=grids)
    (target / f"{name}.json").write_text(json.dumps(item))
    return target


def compressed_size(scene: Path) -> Row:
    """Compressed size of a scene's red band compared with a real one."""
    with rasterio.open(scene / "red.tif") as file:
        pixels = file.read(1, window=((0, 2048), (0, 2048)))
        profile = {"crs": file.crs, "transform": file.transform, "dtype": pixels.dtype}
    height, width = pixels.shape
    lossless = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}
    with MemoryFile() as memory:
        with memory.open(count=1, height=height, width=width, **profile, **lossless) as file:
            file.write(pixels, 1)
        ours = len(memory.getbuffer()) / pixels.size
    return row(
        "lossless size of a made-up scene, against a real one",
        ours,
        REAL_BYTES_A_PIXEL,
        most=SIZE_TOLERANCE,
        least=1 / SIZE_TOLERANCE,
        unit="bytes a pixel, JPEG 2000",
    )


def _smooth(generator: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A landscape between 0 and 1, smooth over some hundred metres."""
    coarse = generator.random((64, 64)).astype(np.float32)
    steps = np.linspace(0, 63, size, dtype=np.float32)
    low = np.floor(steps).astype(int).clip(0, 62)
    part = steps - low.astype(np.float32)
    rows = coarse[low] * (1 - part[:, None]) + coarse[low + 1] * part[:, None]
    smooth: NDArray[np.float32] = rows[:, low] * (1 - part) + rows[:, low + 1] * part
    return smooth


def _noisy(generator: np.random.Generator, level: NDArray[np.float32]) -> NDArray[np.uint16]:
    noise = generator.standard_normal(level.shape, dtype=np.float32) * np.float32(NOISE)
    noisy: NDArray[np.uint16] = np.rint((level + noise).clip(1, 10000)).astype(np.uint16)
    return noisy


def _write(path: Path, pixels: NDArray[Any], transform: Affine) -> None:
    """Write one band as a COG with overviews, like the archive's own."""
    height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="COG",
        width=width,
        height=height,
        count=1,
        dtype=pixels.dtype,
        nodata=0,
        crs=f"EPSG:{EPSG}",
        transform=transform,
        blocksize=1024,
        compress="deflate",
        predictor="yes",
        overview_resampling="nearest" if pixels.dtype == np.uint8 else "average",
        num_threads="all_cpus",
    ) as file:
        file.write(pixels, 1)


def _item(
    name: str, *, day: int, box: Bounds, grids: Mapping[str, Mapping[str, object]]
) -> dict[str, object]:
    west, south, east, north = box
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [PROJECTION],
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": list(box),
        "properties": {
            "datetime": f"2023-08-{day:02d}T10:00:00Z",
            "platform": "sentinel-2b",
            "proj:epsg": EPSG,
            "s2:processing_baseline": "05.09",
            "earthsearch:boa_offset_applied": True,
        },
        "links": [],
        "assets": {
            band: {"href": f"{band}.tif", "eo:bands": [{"common_name": band}], **grid}
            for band, grid in grids.items()
        },
    }
