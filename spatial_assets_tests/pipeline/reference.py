"""NDVI of a scene by GDAL and numpy alone, from the files: what the chain must come to.

Written from the design, with nothing of the package: no grid, no warp, no radiometry of ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

HALF_WORLD = 20037508.342789244
"""Half the width of web-mercator, metres."""

FILL = -32768
EXACT = {"tolerance": 1e-9, "XSCALE": 1, "YSCALE": 1}


@dataclass(frozen=True, kw_only=True)
class Bands:
    """The files of a scene, and how their numbers become reflectance and clear sky."""

    red: Path
    nir: Path
    classes: Path
    scale: float
    offset: float
    clear_classes: tuple[int, ...] = ()
    clouded_bits: int = 0

    def clear(self, classes: NDArray[np.uint16]) -> NDArray[np.bool_]:
        """True where the sky is clear."""
        if self.clear_classes:
            return np.isin(classes, self.clear_classes)
        clouded: NDArray[np.bool_] = (classes & np.uint16(self.clouded_bits)) != 0
        return ~clouded


def sentinel(folder: Path) -> Bands:
    """A Sentinel-2 scene; these have had their offset taken off."""
    return Bands(
        red=folder / "B04.tif",
        nir=folder / "B08.tif",
        classes=folder / "SCL.tif",
        scale=1e-4,
        offset=0.0,
        clear_classes=(4, 5, 6, 7),
    )


def landsat(folder: Path) -> Bands:
    """A Landsat scene of collection 2, level 2."""
    return Bands(
        red=folder / f"{folder.name}_SR_B4.TIF",
        nir=folder / f"{folder.name}_SR_B5.TIF",
        classes=folder / f"{folder.name}_QA_PIXEL.TIF",
        scale=2.75e-5,
        offset=-0.2,
        clouded_bits=0b111111,
    )


def ndvi(
    bands: Bands, *, zoom: int, column: int, row: int, shape: tuple[int, int]
) -> NDArray[np.int16]:
    """NDVI x 10,000 on pixels of web-mercator at `zoom`, counted from its top left corner."""
    size = 2 * HALF_WORLD / (256 * 2**zoom)
    left, top = column * size - HALF_WORLD, HALF_WORLD - row * size
    place = Affine(size, 0.0, left, 0.0, -size, top)
    red, nir = (
        reflectance(path, bands, place=place, shape=shape) for path in (bands.red, bands.nir)
    )
    classes = warped(bands.classes, place=place, shape=shape, resampling=Resampling.nearest)
    known = bands.clear(classes[0].astype(np.uint16)) & classes[1]
    known &= (red != FILL) & (nir != FILL)
    r, n = (band.astype(np.float64) * 1e-4 for band in (red, nir))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (n - r) / (n + r)
    known &= (n + r > 0) & (np.abs(value) <= 1)
    return np.where(known, np.rint(np.where(known, value, 0) * 1e4), FILL).astype(np.int16)


def reflectance(
    path: Path, bands: Bands, *, place: Affine, shape: tuple[int, int]
) -> NDArray[np.int16]:
    """Reflectance x 10,000, rounded; FILL where there is none."""
    numbers, known = warped(path, place=place, shape=shape, resampling=Resampling.bilinear)
    value = numbers.astype(np.float64) * bands.scale + bands.offset
    known = known & (np.abs(value) < 3.27675)
    return np.where(known, np.rint(np.where(known, value, 0) * 1e4), FILL).astype(np.int16)


def warped(
    path: Path, *, place: Affine, shape: tuple[int, int], resampling: Resampling
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """One band warped by GDAL, exactly, and True where it has a value."""
    rows, columns = shape
    nothing = -9999.0
    with (
        rasterio.open(path) as source,
        WarpedVRT(
            source,
            crs="EPSG:3857",
            transform=place,
            width=columns,
            height=rows,
            resampling=resampling,
            src_nodata=0,
            nodata=nothing,
            dtype="float32",
            **EXACT,
        ) as vrt,
    ):
        values = vrt.read(1)
    return values, values != nothing


def offset_applied(item: Path) -> bool:
    """What the item says of its offset."""
    properties = json.loads(item.read_text())["properties"]
    return bool(properties.get("earthsearch:boa_offset_applied"))
