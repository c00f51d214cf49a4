"""True areas of pixels and polygons on the ellipsoid, in square metres.

A web-mercator pixel at 46 degrees covers less than half of the square of its side, and a sphere
instead of the ellipsoid is 0.7 % off at the equator. Statistics are weighted by these areas.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Proj, Transformer
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import GridError
from spatial_assets.geo.grid.geobox import GeoBox

_PSEUDO_MERCATOR = "Popular Visualisation Pseudo Mercator"

_LATTICE_METRES = 4000.0
"""Node distance over which bilinear interpolation of the areal scale is exact to 1e-7."""

_LATTICE_PIXELS = 32

_WGS84_A = 6_378_137.0
_WGS84_E2 = 0.006_694_379_990_141_33
_LONGEST_EDGE_DEGREES = 1.0


def pixel_areas(geobox: GeoBox) -> NDArray[np.float64]:
    """Area of every pixel on the ellipsoid in m2, shape (row, column); read-only.

    Computed from absolute pixel indices, so the area of a pixel does not depend on the window.

    Raises:
        GridError: the grid is not north up, or its CRS is neither geographic nor projected.
    """
    if geobox.origin.b != 0.0 or geobox.origin.d != 0.0:
        raise GridError(f"pixel areas need a north-up grid, got the transform {geobox.origin}")
    crs = geobox.crs
    if crs.is_geographic:
        areas = _geographic(geobox)
    elif _is_pseudo_mercator(crs):
        areas = _pseudo_mercator(geobox)
    elif crs.is_projected:
        areas = _projected(geobox)
    else:
        raise GridError(
            f"pixels of {crs.name!r} have no area on the Earth; use the CRS of a TileMatrixSet"
        )
    return np.broadcast_to(areas, geobox.window.shape)


def area_m2(geometry: BaseGeometry) -> float:
    """Area on the WGS84 ellipsoid of a valid lon/lat geometry with edges straight in lon/lat.

    Integrates the authalic height along each edge by Simpson's rule, exact to 1e-9.
    """
    if geometry.is_empty:
        return 0.0
    fine = shapely.segmentize(shapely.orient_polygons(geometry), _LONGEST_EDGE_DEGREES)
    rings = shapely.get_rings(shapely.get_parts(fine))
    degrees, ring = shapely.get_coordinates(rings, return_index=True)
    longitude, latitude = np.deg2rad(degrees).T
    along = np.diff(longitude) * (np.diff(ring) == 0)
    ends = _authalic(latitude, _WGS84_A, _WGS84_E2)
    middles = _authalic((latitude[1:] + latitude[:-1]) / 2.0, _WGS84_A, _WGS84_E2)
    heights = (ends[1:] + ends[:-1] + 4.0 * middles) / 6.0
    return abs(float((along * (heights - ends[0])).sum()))


def _is_pseudo_mercator(crs: CRS) -> bool:
    operation = crs.coordinate_operation
    return operation is not None and operation.method_name == _PSEUDO_MERCATOR


def _first_eccentricity_squared(crs: CRS) -> tuple[float, float]:
    ellipsoid = crs.ellipsoid
    if ellipsoid is None:
        raise GridError(f"{crs.name!r} has no ellipsoid, so its pixels have no area")
    a, b = ellipsoid.semi_major_metre, ellipsoid.semi_minor_metre
    return a, 1.0 - (b / a) ** 2


def _pseudo_mercator(geobox: GeoBox) -> NDArray[np.float64]:
    """Areas by row in web-mercator, which treats the ellipsoid as a sphere; shape (row, 1)."""
    a, e2 = _first_eccentricity_squared(geobox.crs)
    window, origin = geobox.window, geobox.origin
    rows = np.arange(window.row, window.row_stop, dtype=np.float64) + 0.5
    northing = origin.f + rows * origin.e
    cosine2 = 1.0 / np.cosh(northing / a) ** 2
    sine2 = np.tanh(northing / a) ** 2
    areas = abs(origin.a * origin.e) * cosine2 * (1.0 - e2) / (1.0 - e2 * sine2) ** 2
    return np.asarray(areas)[:, np.newaxis]


def _geographic(geobox: GeoBox) -> NDArray[np.float64]:
    """Areas by row between two parallels, integrated in closed form; shape (row, 1)."""
    a, e2 = _first_eccentricity_squared(geobox.crs)
    unit = geobox.crs.axis_info[0].unit_conversion_factor
    window, origin = geobox.window, geobox.origin
    edges = origin.f + np.arange(window.row, window.row_stop + 1, dtype=np.float64) * origin.e
    height = _authalic(np.clip(edges * unit, -np.pi / 2.0, np.pi / 2.0), a, e2)
    areas = abs(origin.a) * unit * np.abs(np.diff(height))
    return np.asarray(areas)[:, np.newaxis]


def _authalic(latitude: NDArray[np.float64], a: float, e2: float) -> NDArray[np.float64]:
    """Area in m2 between the equator and a parallel per radian of longitude; odd in latitude."""
    sine = np.sin(latitude)
    if e2 <= 0.0:
        return np.asarray(a**2 * sine)
    e = np.sqrt(e2)
    q = (1.0 - e2) * (sine / (1.0 - e2 * sine**2) + np.arctanh(e * sine) / e)
    return np.asarray(a**2 / 2.0 * q)


def _projected(geobox: GeoBox) -> NDArray[np.float64]:
    """Planar area divided by the projection's areal scale, interpolated on a lattice of pixels."""
    unit = geobox.crs.axis_info[0].unit_conversion_factor
    origin, window = geobox.origin, geobox.window
    planar = abs(origin.a * origin.e) * unit**2
    step = _LATTICE_PIXELS
    while step > 1 and step * abs(origin.a) * unit > _LATTICE_METRES:
        step //= 2
    columns = _lattice(window.column, window.column_stop, step)
    rows = _lattice(window.row, window.row_stop, step)
    x, y = np.meshgrid(origin.c + columns * origin.a, origin.f + rows * origin.e)
    down = _bilinear(_areal_scale(geobox.crs, x, y), window.row, window.row_stop, step=step)
    across = _bilinear(down.T, window.column, window.column_stop, step=step)
    return planar / across.T


def _lattice(start: int, stop: int, step: int) -> NDArray[np.float64]:
    """Absolute multiples of `step` around the pixel centres of [start, stop)."""
    return np.arange(start // step, -(-stop // step) + 1).astype(np.float64) * step


def _areal_scale(crs: CRS, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    geodetic = crs.geodetic_crs
    if geodetic is None:
        raise GridError(f"{crs.name!r} has no geographic base, so its pixels have no area")
    longitude, latitude = Transformer.from_crs(crs, geodetic, always_xy=True).transform(x, y)
    factors = Proj(crs).get_factors(longitude, latitude, errcheck=False)
    return np.asarray(factors.areal_scale, dtype=np.float64).reshape(x.shape)


def _bilinear(
    lattice: NDArray[np.float64], start: int, stop: int, *, step: int
) -> NDArray[np.float64]:
    """Interpolate the first axis of `lattice` at the pixel centres of [start, stop)."""
    position = (np.arange(start, stop) + 0.5 - start // step * step) / step
    before = np.floor(position).astype(np.intp)
    share = (position - before)[:, np.newaxis]
    return np.asarray(lattice[before] * (1.0 - share) + lattice[before + 1] * share)
