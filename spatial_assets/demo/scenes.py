"""The demo's scenes: rasters and STAC items in the folder layout of Earth Search."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from shapely.geometry.base import BaseGeometry

from spatial_assets.demo.granules import (
    CLASS_PIXEL,
    PIXEL,
    DemoGranule,
    LandscapeSampler,
    swath_polygon,
)
from spatial_assets.demo.items import OFFSET, SCALE, BandFile, stac_item
from spatial_assets.demo.landscape import SHAPE, LandCover, Landscape, make_landscape, on_lattice
from spatial_assets.demo.noise import FloatGrid, blurred
from spatial_assets.demo.passes import GRANULES, OVERPASSES, SUN, Overpass
from spatial_assets.demo.seasons import reflectances
from spatial_assets.demo.weather import make_clouds

_NO_DATA, _SHADOW, _VEGETATION, _SOIL, _WATER, _CLOUD_MEDIUM, _CLOUD_HIGH = 0, 3, 4, 5, 6, 8, 9
"""Classes of Sentinel-2's scene classification that occur here."""

_TOUCHED = 0.03  # smallest share of cloud or shadow that the classification detects
_THICK = 0.6  # smallest share of cloud with high probability
_SHADE = 0.62  # share of light that a full shadow removes
_GREEN = 0.4  # NDVI
_READ_NOISE = 3.0  # digital numbers
_WHOLE = shapely.box(-180.0, -90.0, 180.0, 90.0)

_NOT_AN_IMAGE = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>
"""
"""An error response that a download stored under the name of the image."""


@dataclass(frozen=True, eq=False)
class ObservedLandscape:
    """Observation of the landscape on one overpass, on the lattice."""

    red: FloatGrid
    """Reflectance, clouds and shadows included."""

    nir: FloatGrid
    """Reflectance, clouds and shadows included."""

    classes: NDArray[np.uint8]
    """Scene classification; 0 outside the swath."""


def write_scenes(folder: Path) -> None:
    """Write every scene of every overpass into `folder/<item id>/`."""
    landscape = make_landscape()
    samplers = {
        g: (LandscapeSampler.of(g, PIXEL), LandscapeSampler.of(g, CLASS_PIXEL)) for g in GRANULES
    }
    for overpass in OVERPASSES:
        edge = _WHOLE if overpass.swath_edge is None else swath_polygon(overpass.swath_edge)
        day = _observe(landscape, overpass, edge)
        for granule in GRANULES:
            band_sampler, class_sampler = samplers[granule]
            scl = class_sampler.nearest(day.classes)
            files = [
                *_bands(day, overpass, granule, sampler=band_sampler, in_swath=scl != _NO_DATA),
                _file("scl", "SCL", scl, granule),
            ]
            item = stac_item(overpass, granule, files=files, classes=scl, swath=edge)
            _write(folder / overpass.item_id(granule), files, item)
            if overpass.corrupt == granule.square:
                (folder / overpass.item_id(granule) / "B08.tif").write_bytes(_NOT_AN_IMAGE)


def _observe(landscape: Landscape, overpass: Overpass, edge: BaseGeometry) -> ObservedLandscape:
    """Combine ground, shadows and clouds, in the order in which the light passes them upwards."""
    red, nir = reflectances(landscape, overpass.day_of_year)
    clouds = make_clouds(overpass.weather, SHAPE, sun=SUN)
    classes = np.where(nir - red > _GREEN * (nir + red), _VEGETATION, _SOIL).astype(np.uint8)
    classes[landscape.cover == LandCover.WATER] = _WATER
    classes[_widened(clouds.shadow) > _TOUCHED] = _SHADOW
    classes[_widened(clouds.cloud) > _TOUCHED] = _CLOUD_MEDIUM
    classes[clouds.cloud > _THICK] = _CLOUD_HIGH
    classes[~on_lattice(edge)] = _NO_DATA
    light = 1 - np.float32(_SHADE) * clouds.shadow
    red, nir = (
        blurred(band * light * (1 - clouds.cloud) + clouds.brightness * bright * clouds.cloud)
        for band, bright in ((red, np.float32(1.0)), (nir, np.float32(1.04)))
    )
    return ObservedLandscape(red, nir, classes)


def _bands(
    day: ObservedLandscape,
    overpass: Overpass,
    granule: DemoGranule,
    *,
    sampler: LandscapeSampler,
    in_swath: NDArray[np.bool_],
) -> Iterator[BandFile]:
    """Reflective bands as digital numbers; 0 only where the classification has no data."""
    outside = ~np.repeat(np.repeat(in_swath, 2, axis=0), 2, axis=1)
    offset = 0.0 if overpass.offset_applied else OFFSET
    for name, code, values in (("red", "B04", day.red), ("nir", "B08", day.nir)):
        rng = np.random.default_rng(zlib.crc32(f"{overpass.item_id(granule)}/{code}".encode()))
        numbers = (sampler.bilinear(values) - np.float32(offset)) / np.float32(SCALE)
        numbers += np.float32(_READ_NOISE) * rng.standard_normal(granule.shape, dtype=np.float32)
        pixels = np.clip(np.rint(numbers), 1, 65535).astype(np.uint16)
        pixels[outside] = _NO_DATA
        yield _file(name, code, pixels, granule)


def _file(name: str, code: str, pixels: NDArray[np.generic], granule: DemoGranule) -> BandFile:
    """Encode a band as a tiled GeoTIFF."""
    pixel = CLASS_PIXEL if name == "scl" else PIXEL
    left, top = granule.corner
    profile = {
        "driver": "GTiff",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "count": 1,
        "dtype": pixels.dtype.name,
        "nodata": _NO_DATA,
        "crs": f"EPSG:{granule.epsg}",
        "transform": Affine(pixel, 0.0, left, 0.0, -pixel, top),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "predictor": 2,
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(pixels, 1)
        return BandFile(name, f"{code}.tif", memory.read())


def _write(folder: Path, files: list[BandFile], item: dict[str, object]) -> None:
    """Write the folder of a scene: the rasters first, then the item that lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.href).write_bytes(file.data)
    text = json.dumps(item, indent=1) + "\n"
    (folder / f"{item['id']}.json").write_text(text, encoding="utf-8")


def _widened(values: FloatGrid) -> FloatGrid:
    """Maximum over each cell and its eight neighbours, a margin of half a class pixel."""
    out = values.copy()
    np.maximum(out[1:], values[:-1], out=out[1:])
    np.maximum(out[:-1], values[1:], out=out[:-1])
    rows = out.copy()
    np.maximum(out[:, 1:], rows[:, :-1], out=out[:, 1:])
    np.maximum(out[:, :-1], rows[:, 1:], out=out[:, :-1])
    return out
