"""Projection of geometries between lon/lat and the CRS of a grid, and properties of that CRS.

Always x before y. An edge that is straight in one CRS is curved in the other, so edges are
divided into short segments before their vertices are transformed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeVar

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import GridError
from spatial_assets.geo.lonlat import CRS84, FULL_TURN, HALF_TURN, POLE_LATITUDE

GeometryOrMany = TypeVar("GeometryOrMany", BaseGeometry, NDArray[np.object_])

MAX_STEP_DEGREES = 0.05
"""Longest segment of an edge; it deviates by less than a metre, even next to a pole."""

_MERCATORS = {
    "Popular Visualisation Pseudo Mercator",
    "Mercator (variant A)",
    "Mercator (variant B)",
}
_AT_POLE = POLE_LATITUDE - 1e-7  # a centimetre from the pole, a longitude is only rounding


@lru_cache(maxsize=32)
def transformer_from_lonlat(crs: CRS) -> Transformer:
    """Transformer from lon/lat to x/y of `crs`."""
    return Transformer.from_crs(CRS84, crs, always_xy=True)


@lru_cache(maxsize=32)
def transformer_to_lonlat(crs: CRS) -> Transformer:
    """Transformer from x/y of `crs` to lon/lat."""
    return Transformer.from_crs(crs, CRS84, always_xy=True)


@lru_cache(maxsize=32)
def axes_follow_meridians(crs: CRS) -> bool:
    """True if meridians and parallels run along the axes of `crs`, and +-180 is its edge."""
    if crs.is_geographic:
        return True
    operation = crs.coordinate_operation
    if operation is None or operation.method_name not in _MERCATORS:
        return False
    origin: dict[str, object] = {parameter.name: parameter.value for parameter in operation.params}
    return origin.get("Longitude of natural origin") == 0.0


def project(geometry: BaseGeometry, crs: CRS) -> BaseGeometry:
    """Project a lon/lat geometry to `crs`, after dividing its edges into short segments.

    Raises:
        GridError: a coordinate is not a longitude and latitude, or `crs` cannot express it.
    """
    left, bottom, right, top = shapely.bounds(geometry).tolist()
    bounds = f"lon/lat bounds {left:.6g}, {bottom:.6g}, {right:.6g}, {top:.6g}"
    if max(-left, right) > HALF_TURN or max(-bottom, top) > POLE_LATITUDE:
        message = (
            f"{bounds} exceed the globe; longitudes are -180 to 180, and a geometry that crosses "
            "the antimeridian must be a MultiPolygon cut there"
        )
        raise GridError(message)
    projected = _transformed(
        shapely.segmentize(geometry, MAX_STEP_DEGREES), transformer_from_lonlat(crs)
    )
    if not np.isfinite(shapely.get_coordinates(projected)).all():
        message = (
            f"{bounds} extend beyond the domain of {crs.name}; cut the geometry there, or use "
            "another tile matrix set"
        )
        raise GridError(message)
    # A rectangle around a pole becomes a ring with a slit, which make_valid closes.
    if shapely.is_valid(geometry) and not shapely.is_valid(projected):
        return shapely.make_valid(projected, method="structure", keep_collapsed=False)
    return projected


def unproject(geometry: BaseGeometry, crs: CRS, *, step: float) -> BaseGeometry:
    """Transform polygons of `crs` to lon/lat, cut at the antimeridian where they cross it.

    Args:
        geometry: polygons in x/y of `crs`.
        crs: CRS of `geometry`.
        step: longest segment of an edge, in units of `crs`.

    Raises:
        GridError: a coordinate has no longitude and latitude.
    """
    found: BaseGeometry = unproject_all([geometry], crs, step=step)[0]
    return found


def unproject_all(
    geometries: Sequence[BaseGeometry] | NDArray[np.object_], crs: CRS, *, step: float
) -> NDArray[np.object_]:
    """`unproject` geometries, all vertices at once: a hundred times as fast for many.

    Raises:
        GridError: a coordinate has no longitude and latitude.
    """
    shapes = np.fromiter(geometries, dtype=object, count=len(geometries))
    follow = axes_follow_meridians(crs)
    dense = shapes if follow else shapely.segmentize(shapes, step)
    transformed: NDArray[np.object_] = _transformed(dense, transformer_to_lonlat(crs))
    if not np.isfinite(shapely.get_coordinates(transformed)).all():
        message = f"part of the grid lies where {crs.name} has no longitude and latitude"
        raise GridError(message)
    if not follow:
        for number in _torn(transformed):
            transformed[number] = normalize_longitudes(transformed[number])
    return transformed


def _torn(geometries: NDArray[np.object_]) -> NDArray[np.int64]:
    """Numbers of the lon/lat polygons with a vertex at a pole or an edge across +-180."""
    parts, geometry_of_part = shapely.get_parts(geometries, return_index=True)
    rings, part_of_ring = shapely.get_rings(parts, return_index=True)
    coordinates, ring = shapely.get_coordinates(rings, return_index=True)
    at_pole = np.abs(coordinates[:, 1]) > _AT_POLE
    long = np.hypot(*np.diff(coordinates, axis=0).T) > HALF_TURN / 2
    found = np.concatenate([ring[at_pole], ring[1:][long & (ring[1:] == ring[:-1])]])
    numbers: NDArray[np.int64] = np.unique(geometry_of_part[part_of_ring[found]])
    return numbers


def longest_edge(geometry: BaseGeometry) -> float:
    """Length of the longest edge of a polygonal geometry; 0 if it has none."""
    rings = shapely.get_rings(shapely.get_parts(geometry))
    coordinates, ring = shapely.get_coordinates(rings, return_index=True)
    steps = np.hypot(*np.diff(coordinates, axis=0).T)[ring[1:] == ring[:-1]]
    return float(steps.max(initial=0.0))


def normalize_longitudes(geometry: BaseGeometry) -> BaseGeometry:
    """Redraw lon/lat polygons whose rings jump at +-180 or run around a pole.

    Rings must be dense: neighbouring vertices are less than half a turn apart.
    """
    parts = []
    for polygon in shapely.get_parts(geometry):
        holes = [_wrapped(_unwrapped(hole)) for hole in polygon.interiors]
        whole = _wrapped(_unwrapped(polygon.exterior))
        parts.append(shapely.difference(whole, shapely.union_all(holes)))
    return shapely.union_all(parts)


def _unwrapped(ring: BaseGeometry) -> BaseGeometry:
    """Polygon of a ring whose longitudes continue past +-180, closed over a pole it contains."""
    lon, lat = shapely.get_coordinates(ring)[:-1].T
    away = np.abs(lat) < _AT_POLE
    closed = bool(away.all())
    if closed:
        lon, lat = np.append(lon, lon[0]), np.append(lat, lat[0])
    else:
        # The pole is a vertex; its longitude is only rounding, so open the ring there.
        start = -int(np.argmin(away)) - 1
        lon, lat, away = np.roll(lon, start), np.roll(lat, start), np.roll(away, start)
        lon, lat = lon[away], lat[away]
    lon = np.unwrap(lon, period=FULL_TURN)
    if not closed or abs(lon[-1] - lon[0]) > HALF_TURN:
        pole = float(np.copysign(POLE_LATITUDE, lat.sum()))
        lon, lat = np.append(lon, [lon[-1], lon[0]]), np.append(lat, [pole, pole])
    return shapely.Polygon(np.column_stack([lon, lat]))


def _wrapped(geometry: BaseGeometry) -> BaseGeometry:
    """Shift longitudes into -180..180, cutting the polygon where they leave that range."""
    left, _, right, _ = shapely.bounds(geometry).tolist()
    turn = FULL_TURN
    first, last = int((left + HALF_TURN) // turn), int((right + HALF_TURN) // turn)
    pieces = []
    for index in range(first, last + 1):
        middle = index * turn
        globe = shapely.box(middle - HALF_TURN, -POLE_LATITUDE, middle + HALF_TURN, POLE_LATITUDE)
        piece = shapely.intersection(geometry, globe)
        pieces.append(shapely.affinity.translate(piece, xoff=-middle))
    polygons = [part for part in shapely.get_parts(pieces) if part.geom_type == "Polygon"]
    return shapely.union_all(polygons)


def _transformed(geometry: GeometryOrMany, transformer: Transformer) -> GeometryOrMany:
    """Transform every vertex, adding none."""

    def transform(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))

    transformed: GeometryOrMany = shapely.transform(geometry, transform)
    return transformed


_MERIDIAN_PARAMETERS: Final = (
    "Longitude of natural origin",
    "Longitude of false origin",
    "Longitude of projection centre",
    "Longitude of origin",
)
_CYLINDRICAL_METHODS: Final = ("mercator", "cylindrical")


def central_meridian(crs: CRS) -> float:
    """Central meridian of a projected CRS in degrees; infinite for any other CRS."""
    operation = crs.coordinate_operation
    for parameter in operation.params if operation is not None else ():
        if parameter.name in _MERIDIAN_PARAMETERS:
            return math.degrees(float(parameter.value) * float(parameter.unit_conversion_factor))
    return math.inf


@lru_cache(maxsize=64)
def full_turn(crs: CRS) -> float | None:
    """Distance in x, in units of `crs`, after which a location repeats; None if none does."""
    if crs.is_geographic:
        return 2.0 * math.pi / float(crs.axis_info[0].unit_conversion_factor)
    operation, geographic = crs.coordinate_operation, crs.geodetic_crs
    method = "" if operation is None else operation.method_name.lower()
    upright = any(name in method for name in _CYLINDRICAL_METHODS)
    if geographic is None or not upright or "transverse" in method or "oblique" in method:
        return None
    transformer = Transformer.from_crs(geographic, crs, always_xy=True)
    quarter = math.pi / 2.0 / float(geographic.axis_info[0].unit_conversion_factor)
    origin = central_meridian(crs) * quarter / 90.0
    east, west = (transformer.transform(origin + side, 0.0)[0] for side in (quarter, -quarter))
    return 2.0 * float(east - west)
