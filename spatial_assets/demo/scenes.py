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

from spatial_assets.demo.granules import CLASS_PIXEL, PIXEL, MadeGranule, View, swath
from spatial_assets.demo.items import OFFSET, SCALE, BandFile, stac_item
from spatial_assets.demo.landscape import SHAPE, LandCover, Landscape, make_landscape, on_lattice
from spatial_assets.demo.noise import Field, blurred
from spatial_assets.demo.passes import GRANULES, PASSES, SUN, Pass
from spatial_assets.demo.seasons import reflectances
from spatial_assets.demo.weather import make_sky

FILL, SHADOW, VEGETATION, SOIL, WATER, CLOUD_MAYBE, CLOUD = 0, 3, 4, 5, 6, 8, 9
"""Classes of Sentinel-2's scene classification that occur here."""

_TOUCHED = 0.03  # the least share of cloud or shadow that the classification notices
_THICK = 0.6
_SHADE = 0.62  # what a full shadow takes of the light
_GREEN = 0.4  # NDVI
_READ_NOISE = 3.0  # digital numbers
_WHOLE = shapely.box(-180.0, -90.0, 180.0, 90.0)

_NOT_AN_IMAGE = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>
"""
"""What is left when a download stores the server's excuse under the name of the image."""


@dataclass(frozen=True, eq=False)
class Day:
    """What there was to see on one pass, on the landscape's lattice."""

    red: Field
    """Reflectance, clouds and shadows included."""

    nir: Field
    """Reflectance, clouds and shadows included."""

    classes: NDArray[np.uint8]
    """Scene classification; 0 where the satellite did not look."""


def write_scenes(folder: Path) -> None:
    """Write every scene of every pass into `folder/<item id>/`."""
    landscape = make_landscape()
    views = {g: (View.of(g, PIXEL), View.of(g, CLASS_PIXEL)) for g in GRANULES}
    for seen in PASSES:
        edge = _WHOLE if seen.swath_edge is None else swath(seen.swath_edge)
        day = _day(landscape, seen, edge)
        for granule in GRANULES:
            bands, classes = views[granule]
            scl = classes.nearest(day.classes)
            files = [
                *_bands(day, seen, granule, view=bands, looked=scl != FILL),
                _file("scl", "SCL", scl, granule),
            ]
            item = stac_item(seen, granule, files=files, classes=scl, swath=edge)
            _write(folder / seen.item_id(granule), files, item)
            if seen.corrupt == granule.square:
                (folder / seen.item_id(granule) / "B08.tif").write_bytes(_NOT_AN_IMAGE)


def _day(landscape: Landscape, seen: Pass, edge: BaseGeometry) -> Day:
    """Ground, shadows, clouds, in the order the light meets them on its way up."""
    red, nir = reflectances(landscape, seen.day_of_year)
    sky = make_sky(seen.weather, SHAPE, sun=SUN)
    classes = np.where(nir - red > _GREEN * (nir + red), VEGETATION, SOIL).astype(np.uint8)
    classes[landscape.cover == LandCover.WATER] = WATER
    classes[_widened(sky.shadow) > _TOUCHED] = SHADOW
    classes[_widened(sky.cloud) > _TOUCHED] = CLOUD_MAYBE
    classes[sky.cloud > _THICK] = CLOUD
    classes[~on_lattice(edge)] = FILL
    light = 1 - np.float32(_SHADE) * sky.shadow
    red, nir = (
        blurred(band * light * (1 - sky.cloud) + sky.brightness * bright * sky.cloud)
        for band, bright in ((red, np.float32(1.0)), (nir, np.float32(1.04)))
    )
    return Day(red, nir, classes)


def _bands(
    day: Day, seen: Pass, granule: MadeGranule, *, view: View, looked: NDArray[np.bool_]
) -> Iterator[BandFile]:
    """The reflective bands as digital numbers; 0 only where the classification has no data."""
    beyond = ~np.repeat(np.repeat(looked, 2, axis=0), 2, axis=1)
    offset = 0.0 if seen.offset_applied else OFFSET
    for name, code, values in (("red", "B04", day.red), ("nir", "B08", day.nir)):
        rng = np.random.default_rng(zlib.crc32(f"{seen.item_id(granule)}/{code}".encode()))
        numbers = (view.smooth(values) - np.float32(offset)) / np.float32(SCALE)
        numbers += np.float32(_READ_NOISE) * rng.standard_normal(granule.shape, dtype=np.float32)
        pixels = np.clip(np.rint(numbers), 1, 65535).astype(np.uint16)
        pixels[beyond] = FILL
        yield _file(name, code, pixels, granule)


def _file(name: str, code: str, pixels: NDArray[np.generic], granule: MadeGranule) -> BandFile:
    """A band as a tiled GeoTIFF."""
    pixel = CLASS_PIXEL if name == "scl" else PIXEL
    left, top = granule.corner
    profile = {
        "driver": "GTiff",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "count": 1,
        "dtype": pixels.dtype.name,
        "nodata": FILL,
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
    """A scene's folder: rasters first, the item that vouches for them last."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.href).write_bytes(file.data)
    text = json.dumps(item, indent=1) + "\n"
    (folder / f"{item['id']}.json").write_text(text, encoding="utf-8")


def _widened(values: Field) -> Field:
    """The largest of each cell and its eight neighbours: half a class pixel of caution."""
    out = values.copy()
    np.maximum(out[1:], values[:-1], out=out[1:])
    np.maximum(out[:-1], values[1:], out=out[:-1])
    rows = out.copy()
    np.maximum(out[:, 1:], rows[:, :-1], out=out[:, 1:])
    np.maximum(out[:, :-1], rows[:, 1:], out=out[:, :-1])
    return out
