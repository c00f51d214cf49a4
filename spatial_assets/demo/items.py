"""STAC items of the scenes, with the properties and conventions of Earth Search."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from spatial_assets.demo.granules import CLASS_PIXEL, PIXEL, DemoGranule
from spatial_assets.demo.passes import CENTRAL_WAVELENGTH, SUN, Overpass

BASELINE = "05.09"
SCALE, OFFSET = 1e-4, -0.1

_CLASS_SHARES = {
    "s2:cloud_shadow_percentage": 3,
    "s2:vegetation_percentage": 4,
    "s2:not_vegetated_percentage": 5,
    "s2:water_percentage": 6,
    "s2:medium_proba_clouds_percentage": 8,
    "s2:high_proba_clouds_percentage": 9,
}
_EXTENSIONS = ("eo/v1.1.0", "file/v2.1.0", "grid/v1.0.0", "mgrs/v1.0.0", "processing/v1.1.0")
_MORE_EXTENSIONS = ("projection/v1.1.0", "raster/v1.1.0", "view/v1.0.0")


@dataclass(frozen=True, eq=False)
class BandFile:
    """One raster of a scene as delivered."""

    name: str
    """Asset key: red, nir or scl."""

    href: str
    """File name relative to the item."""

    data: bytes
    """Content of the file."""


def stac_item(
    overpass: Overpass,
    granule: DemoGranule,
    *,
    files: list[BandFile],
    classes: NDArray[np.uint8],
    swath: BaseGeometry,
) -> dict[str, object]:
    """Build the item of one granule of one overpass.

    Args:
        overpass: overpass of the satellite.
        granule: granule of the scene.
        files: rasters of the scene.
        classes: scene classification, for the percentages.
        swath: area that the satellite observed, in lon/lat.
    """
    footprint = shapely.intersection(granule.footprint, swath)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{name}/schema.json"
            for name in (*_EXTENSIONS, *_MORE_EXTENSIONS)
        ],
        "id": overpass.item_id(granule),
        "collection": "sentinel-2-l2a",
        "bbox": _rounded(footprint.bounds),
        "geometry": {
            "type": "Polygon",
            "coordinates": [[_rounded(xy) for xy in shapely.get_coordinates(footprint)]],
        },
        "properties": _properties(overpass, granule, classes),
        "assets": {file.name: _asset(file, granule) for file in files},
        "links": [],
    }


def _properties(
    overpass: Overpass, granule: DemoGranule, classes: NDArray[np.uint8]
) -> dict[str, object]:
    """Properties of a scene as in Earth Search."""
    observed = f"{overpass.moment:%Y-%m-%dT%H:%M:%S.%f}Z"
    created = f"{overpass.day:%Y-%m-%d}T17:04:00Z"
    applied = {"earthsearch:boa_offset_applied": True} if overpass.offset_applied else {}
    return {
        "datetime": observed,
        "created": created,
        "updated": created,
        "platform": overpass.platform,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": PIXEL,
        "proj:epsg": granule.epsg,
        "grid:code": f"MGRS-{granule.square}",
        "mgrs:utm_zone": int(granule.square[:2]),
        "mgrs:latitude_band": granule.square[2],
        "mgrs:grid_square": granule.square[3:],
        "view:sun_azimuth": SUN[0],
        "view:sun_elevation": SUN[1],
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": BASELINE,
        **applied,
        **_percentages(classes),
    }


def _percentages(classes: NDArray[np.uint8]) -> dict[str, float]:
    """Shares of the classes among the observed pixels, in percent."""
    observed = classes != 0
    counts = {key: int((classes == number).sum()) for key, number in _CLASS_SHARES.items()}
    shares = {key: round(100 * count / int(observed.sum()), 4) for key, count in counts.items()}
    medium, high = "s2:medium_proba_clouds_percentage", "s2:high_proba_clouds_percentage"
    return {
        "eo:cloud_cover": round(shares[medium] + shares[high], 4),
        "s2:nodata_pixel_percentage": round(100 * float(1 - observed.mean()), 4),
        **shares,
    }


def _asset(file: BandFile, granule: DemoGranule) -> dict[str, object]:
    """STAC asset of one file of a scene."""
    pixel = CLASS_PIXEL if file.name == "scl" else PIXEL
    common: dict[str, object] = {
        "href": f"./{file.href}",
        "type": "image/tiff; application=geotiff",
        "roles": ["data", "reflectance"] if file.name != "scl" else ["data"],
        "proj:shape": [size * PIXEL // pixel for size in granule.shape],
        "proj:transform": [pixel, 0, granule.corner[0], 0, -pixel, granule.corner[1]],
        "file:size": len(file.data),
        "file:checksum": "1220" + hashlib.sha256(file.data).hexdigest(),  # multihash: sha2-256
    }
    return {**common, **_band(file.name, pixel)}


def _band(name: str, pixel: int) -> Mapping[str, object]:
    """Description of the bands of a file."""
    if name == "scl":
        fill = {"nodata": 0, "data_type": "uint8", "spatial_resolution": pixel}
        return {"title": "Scene classification map (SCL)", "raster:bands": [fill]}
    band = {"name": name, "common_name": name, "center_wavelength": CENTRAL_WAVELENGTH[name]}
    # Like Earth Search, declare the offset even where it is already applied.
    numbers = {
        "nodata": 0,
        "data_type": "uint16",
        "spatial_resolution": pixel,
        "scale": SCALE,
        "offset": OFFSET,
    }
    title = {"red": "Red (band 4)", "nir": "NIR 1 (band 8)"}[name]
    return {"title": title, "eo:bands": [band], "raster:bands": [numbers]}


def _rounded(numbers: tuple[float, ...] | NDArray[np.float64]) -> list[float]:
    """Round degrees to a tenth of a metre."""
    return [round(float(number), 6) for number in numbers]
