"""Polygons that cross 180 degrees of longitude: unwrapped to be judged, and cut in two.

A ring across the antimeridian jumps from one rim of a lon/lat map to the other, so in that plane it
overlaps itself or encloses the rest of the world. It is judged in a plane where it is whole: its
longitudes go on beyond 180. Only then it is cut, as RFC 7946 requires.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from spatial_assets.geo.lonlat import FULL_TURN, HALF_TURN, POLE_LATITUDE

VertexArray = NDArray[np.float64]
"""Shape (vertex, 2): x or longitude, y or latitude."""

_RIM_TOLERANCE = 1e-9  # degrees
_EARTH_RADIUS_M = 6_371_000.0
_MIN_SEAM_EDGE_M = 1e6  # a plane is torn by half the world: even at 85 degrees that is 1,700 km
_TORN = 2.0
"""An edge that runs the other way in the plane, and this many times as far, crosses its seam."""


class ContainsPoleError(ValueError):
    """A ring runs around a pole; the caller turns this error into a defect."""


def split_at_antimeridian(geometry: MultiPolygon) -> MultiPolygon:
    """Cut a geometry that is valid in its own plane and crosses 180 degrees; else unchanged.

    Raises:
        ContainsPoleError: a ring runs around the globe.
    """
    if not any(jumps(longitudes_of(polygon)) for polygon in geometry.geoms):
        return geometry
    parts: list[Polygon] = []
    for polygon in geometry.geoms:
        if not jumps(longitudes_of(polygon)):
            parts.append(polygon)
            continue
        whole: BaseGeometry = unwrapped(polygon)
        if not shapely.is_valid(whole):  # by rounding: it is valid in the plane of its file
            whole = shapely.make_valid(whole, method="structure", keep_collapsed=False)
        parts.extend(cut_at_antimeridian(whole))
    return MultiPolygon(parts)


def longitudes_of(polygon: Polygon) -> NDArray[np.float64]:
    """Return the longitudes of a polygon's shell, in degrees, shape (vertex,)."""
    return shapely.get_coordinates(polygon.exterior)[:, 0]


def jumps(longitudes: NDArray[np.float64]) -> bool:
    """Return True if an edge is longer than half a turn, and not the seam of a world map."""
    far = np.abs(np.diff(longitudes)) > HALF_TURN
    rim = np.abs(longitudes) >= HALF_TURN - _RIM_TOLERANCE
    return bool((far & ~(rim[1:] & rim[:-1])).any())


def may_be_torn(planar: MultiPolygon, *, unit: float, is_geographic: bool) -> bool:
    """Return False for nearly all geometries, which are too narrow to cross the seam of a plane.

    Args:
        planar: as in the file, valid or not.
        unit: metres of a unit of `planar`; degrees if it is geographic.
        is_geographic: True if `planar` is in degrees.
    """
    west, _, east, _ = planar.bounds
    return bool((east - west) * unit > (HALF_TURN if is_geographic else _MIN_SEAM_EDGE_M))


def is_torn(
    planar: MultiPolygon, lonlat: MultiPolygon, *, unit: float, is_geographic: bool
) -> bool:
    """Return True if the plane of a file tears the geometry: it must be judged unwrapped.

    Args:
        planar: as in the file, valid or not.
        lonlat: the same vertices in degrees.
        unit: metres of a unit of `planar`; degrees if it is geographic.
        is_geographic: True if `planar` is in degrees.
    """
    rings = list(zip(_shells(planar), _shells(lonlat), strict=True))
    if is_geographic:
        if any(jumps(xy[:, 0] * unit) or jumps(ll[:, 0]) for xy, ll in rings):
            return True
        return _is_whole_only_unwrapped(planar, lonlat)
    return any(_crosses_seam(xy * unit, ll) for xy, ll in rings)


def unwrapped(polygon: Polygon) -> Polygon:
    """Return a polygon whose longitudes go on beyond 180 instead of jumping.

    Each hole is put where the shell is, so that it lies inside if it does on the Earth.

    Raises:
        ContainsPoleError: a ring runs around the globe.
    """
    shell = _unwrapped_ring(shapely.get_coordinates(polygon.exterior))
    west, east = float(shell[:, 0].min()), float(shell[:, 0].max())
    holes = []
    for ring in polygon.interiors:
        hole = _unwrapped_ring(shapely.get_coordinates(ring))
        middle = float(hole[:, 0].min() + hole[:, 0].max()) / 2.0
        turns = round(((west + east) / 2.0 - middle) / FULL_TURN)
        hole[:, 0] += FULL_TURN * turns
        holes.append(hole)
    return Polygon(shell, holes)


def cut_at_antimeridian(polygon: BaseGeometry) -> Iterator[Polygon]:
    """Yield the parts of a valid unwrapped geometry, each between -180 and 180 degrees."""
    west, _, east, _ = polygon.bounds
    first = math.floor((west + HALF_TURN) / FULL_TURN)
    last = math.ceil((east + HALF_TURN) / FULL_TURN)
    for turn in range(first, last):
        left = -HALF_TURN + FULL_TURN * turn
        window = shapely.box(left, -POLE_LATITUDE, left + FULL_TURN, POLE_LATITUDE)
        cut = shapely.intersection(polygon, window)
        moved = shapely.transform(cut, _shift(-FULL_TURN * turn))
        for part in getattr(moved, "geoms", (moved,)):
            if isinstance(part, Polygon) and not part.is_empty:
                yield part


def _shells(geometry: MultiPolygon) -> list[VertexArray]:
    return [shapely.get_coordinates(polygon.exterior) for polygon in geometry.geoms]


def _is_whole_only_unwrapped(planar: MultiPolygon, lonlat: MultiPolygon) -> bool:
    """Return True for a ring that steps from 180 to -180 at one place, which is no edge at all.

    A map of the whole world has such steps too, along a pole or a parallel, and is valid as it is.
    """
    steps = [np.abs(np.diff(ring[:, 0])) > HALF_TURN for ring in _shells(lonlat)]
    if not any(step.any() for step in steps) or shapely.is_valid(planar):
        return False
    try:
        whole = [unwrapped(polygon) for polygon in lonlat.geoms]
    except ContainsPoleError:
        return False
    return bool(shapely.is_valid(whole).all())


def _crosses_seam(metres: VertexArray, lonlat: VertexArray) -> bool:
    """Return True if an edge runs west in the plane where it runs east on the Earth, and far."""
    along = np.diff(metres[:, 0])
    turn = np.diff(lonlat[:, 0])
    turn = (turn + HALF_TURN) % FULL_TURN - HALF_TURN
    against = (np.abs(along) > _MIN_SEAM_EDGE_M) & (np.sign(along) != np.sign(turn))
    if not against.any():
        return False
    low, high = np.radians(lonlat[:-1, 1]), np.radians(lonlat[1:, 1])
    half = np.sin((high - low) / 2.0) ** 2
    half += np.cos(low) * np.cos(high) * np.sin(np.radians(turn) / 2.0) ** 2
    distance = 2.0 * _EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))
    return bool((against & (np.abs(along) > _TORN * distance)).any())


def _shift(degrees: float) -> Callable[[VertexArray], VertexArray]:
    return lambda xy: xy + np.array([degrees, 0.0])


def _unwrapped_ring(ring: VertexArray) -> VertexArray:
    """Remove jumps from the longitudes of a ring, keeping its first vertex."""
    turns = np.rint((np.unwrap(ring[:, 0], period=FULL_TURN) - ring[:, 0]) / FULL_TURN)
    if turns[0] != turns[-1]:
        message = "the ring goes once around the globe"
        raise ContainsPoleError(message)
    # whole turns, so that equal vertices stay equal
    return np.column_stack([ring[:, 0] + FULL_TURN * turns, ring[:, 1]])
