"""Polygons that cross 180 degrees of longitude, cut in two as RFC 7946 asks.

Only whole polygons in lon/lat come in; which coordinates are allowed is judged in lonlat.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

HALF_TURN = 180.0
_LATITUDES = (-90.0, 90.0)


class ContainsPoleError(ValueError):
    """A ring runs around a pole; pure geometry, turned into a defect by the caller."""


def split_at_antimeridian(geometry: MultiPolygon) -> MultiPolygon:
    """Cut what crosses 180 degrees; everything else comes back untouched.

    Raises:
        ContainsPoleError: a ring goes once around the globe.
    """
    if not any(_jumps(np.asarray(polygon.exterior.coords)[:, 0]) for polygon in geometry.geoms):
        return geometry
    parts = [part for polygon in geometry.geoms for part in _split(polygon)]
    return MultiPolygon(parts)


def _jumps(longitudes: NDArray[np.float64]) -> bool:
    """True if an edge is longer than half a turn, and not the seam of a map drawn to its rim."""
    far = np.abs(np.diff(longitudes)) > HALF_TURN
    rim = np.abs(longitudes) >= HALF_TURN - 1e-9
    return bool((far & ~(rim[1:] & rim[:-1])).any())


def _split(polygon: Polygon) -> list[Polygon]:
    if not _jumps(np.asarray(polygon.exterior.coords)[:, 0]):
        return [polygon]
    shell = _unwrapped(np.asarray(polygon.exterior.coords))
    centre = float(shell[:, 0].mean())
    holes = []
    for ring in polygon.interiors:
        hole = _unwrapped(np.asarray(ring.coords))
        hole[:, 0] += 360.0 * round((centre - float(hole[:, 0].mean())) / 360.0)
        holes.append(hole)
    whole = Polygon(shell, holes)
    parts: list[Polygon] = []
    for turn in (-1, 0, 1):
        west = -HALF_TURN + 360.0 * turn
        cut = shapely.intersection(
            whole, shapely.box(west, _LATITUDES[0], west + 360.0, _LATITUDES[1])
        )
        moved = shapely.transform(cut, _shift(-360.0 * turn))
        parts.extend(p for p in getattr(moved, "geoms", (moved,)) if isinstance(p, Polygon))
    return [part for part in parts if not part.is_empty]


def _shift(degrees: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return lambda xy: xy + np.array([degrees, 0.0])


def _unwrapped(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ring with longitudes that never jump; starts where it started."""
    longitudes = np.unwrap(ring[:, 0], period=360.0)
    if abs(longitudes[0] - longitudes[-1]) > HALF_TURN:
        message = "the ring goes once around the globe"
        raise ContainsPoleError(message)
    return np.column_stack([longitudes, ring[:, 1]])
