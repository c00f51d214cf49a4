"""The extent of an item's rasters, as the projection extension tells it: lon/lat.

A footprint shows where data is; the raster's extent shows where pixels are. It is a help for
finding scenes, never the grid that pixels are read by: that comes from the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

import numpy as np
import shapely
from affine import Affine
from pyproj import Transformer
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog.footprints import FULL_TURN, HALF_TURN, rolled

PIECES = 16  # of an edge, as a straight edge of one CRS is curved in another
FEWEST_NUMBERS = 6  # of proj:transform; some write the third row too

Json = Mapping[str, object]


def extent_of(item: Json) -> BaseGeometry | None:
    """The union of the rasters' extents, or None where the item does not tell any."""
    found = [ring for ring in map(_lonlat, sorted(set(_extents(item)))) if ring is not None]
    return rolled(shapely.union_all(found)) if found else None


def crs_of(described: Json) -> str | None:
    """The CRS as `proj:code` (projection extension 2) or `proj:epsg` (1) has it."""
    code, epsg = described.get("proj:code"), described.get("proj:epsg")
    if isinstance(code, str):
        return code
    return f"EPSG:{epsg}" if isinstance(epsg, int) else None


def _extents(item: Json) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """(CRS, corner x, corner y, opposite x, opposite y) of every raster that tells both."""
    properties, assets = item.get("properties"), item.get("assets")
    common = properties if isinstance(properties, Mapping) else {}
    described = [common, *(assets.values() if isinstance(assets, Mapping) else ())]
    for entry in described:
        if not isinstance(entry, Mapping):
            continue
        shape, transform = entry.get("proj:shape"), entry.get("proj:transform")
        crs = crs_of(entry) or crs_of(common)
        if crs is None or not isinstance(shape, list) or not isinstance(transform, list):
            continue
        if len(shape) != 2 or len(transform) < FEWEST_NUMBERS:  # noqa: PLR2004 - rows, columns
            continue
        numbers = [*shape, *transform[:FEWEST_NUMBERS]]
        if all(isinstance(number, int | float) for number in numbers):
            grid = Affine(*transform[:FEWEST_NUMBERS])
            yield crs, (*(grid @ (0.0, 0.0)), *(grid @ (float(shape[1]), float(shape[0]))))


def _lonlat(extent: tuple[str, tuple[float, float, float, float]]) -> BaseGeometry | None:
    """The polygon of an extent, in one piece; None where its CRS has no place for it."""
    crs, (left, top, right, bottom) = extent
    steps = np.linspace(0.0, 1.0, PIECES, endpoint=False)
    across, down = left + (right - left) * steps, top + (bottom - top) * steps
    x = np.concatenate(
        [across, np.full(PIECES, right), (left + right) - across, np.full(PIECES, left)]
    )
    y = np.concatenate([np.full(PIECES, top), down, np.full(PIECES, bottom), (top + bottom) - down])
    try:
        lon, lat = _to_lonlat(crs).transform(x, y)
    except CRSError:
        return None
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    lon = np.unwrap(np.append(lon, lon[0]), period=FULL_TURN)
    if abs(lon[-1] - lon[0]) > HALF_TURN:
        return None  # it runs around a pole
    polygon = shapely.Polygon(np.column_stack([lon[:-1], lat]))
    return polygon if polygon.is_valid and polygon.area > 0 else None


@lru_cache(maxsize=128)
def _to_lonlat(crs: str) -> Transformer:
    """From x/y of a CRS, x first, to lon/lat."""
    return Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
