"""Boundaries from the CRS of their file to lon/lat, and on to the CRS of the grid.

Always x before y. The edges of a stored boundary are straight in the lon/lat plane (RFC 7946). On
the way in, only vertices are transformed, as in every GIS, so that neighbours keep sharing them.
On the way to the grid, and for areas, long edges are divided first, so that a parallel remains
one. Polygons that cross 180 degrees of longitude are cut in two, as RFC 7946 requires.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import VectorError
from spatial_assets.geo.lonlat import EPSG_4326, FULL_TURN, HALF_TURN, POLE_LATITUDE
from spatial_assets.geo.vectors.features import Defect
from spatial_assets.geo.vectors.repair import oriented, polygons_of

MAX_EDGE_DEGREES = 0.01
"""Longest edge after division (1.1 km at the equator): centimetres off its parallel."""

_WORLD_TOLERANCE_DEGREES = 1e-6  # 0.1 m: some files end at 180.00000000000006


@dataclass(frozen=True)
class SourceCrs:
    """The CRS of a file: its transformation to lon/lat and its domain."""

    crs: CRS
    """Geographic or projected; two-dimensional."""

    @classmethod
    def of(cls, crs: CRS | None, *, source: str = "the source") -> SourceCrs:
        """Refuse a CRS without a position on the Earth.

        Raises:
            VectorError: the CRS is missing, undefined, or local to a drawing.
        """
        remedy = (
            "give the file its CRS (for example: ogr2ogr -a_srs EPSG:3794); it is never guessed"
        )
        if crs is None:
            raise VectorError(f"{source} has no CRS: {remedy}")
        flat = crs.sub_crs_list[0] if crs.is_compound else crs
        flat = flat.to_2d() if len(flat.axis_info) > 2 else flat  # noqa: PLR2004 - two dimensions
        undefined = flat.name.lower().startswith(("undefined", "unknown"))
        if undefined or not (flat.is_geographic or flat.is_projected):
            raise VectorError(
                f"{source} has a CRS without a position on the Earth, {flat.name!r}: {remedy}"
            )
        return cls(flat)

    @cached_property
    def _transformer(self) -> Transformer:
        return Transformer.from_crs(self.crs, EPSG_4326, always_xy=True)

    @cached_property
    def limits(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north of the area of use, extended by half its size on each side.

        Files of one country extend into the next zone, whereas swapped axes end up far away.
        East exceeds 180 where the area crosses the antimeridian. None if the CRS declares no area.
        """
        area = self.crs.area_of_use
        if area is None and (code := self.crs.to_epsg()) is not None:
            area = CRS.from_epsg(code).area_of_use
        if area is None:
            return None
        east = area.east + (FULL_TURN if area.east < area.west else 0.0)
        wide, high = (east - area.west) / 2.0, (area.north - area.south) / 2.0
        return (area.west - wide, area.south - high, east + wide, area.north + high)

    def to_lonlat(self, geometry: MultiPolygon) -> MultiPolygon | Defect:
        """Transform a valid MultiPolygon, or return the defect that prevents it."""
        projected = _transformed(geometry, self._transformer)
        outside = self._outside(projected)
        if outside is not None:
            return outside
        try:
            lonlat = split_at_antimeridian(polygons_of(projected))
        except ContainsPoleError:
            return Defect("contains_pole", "the boundary runs around a pole; cut it at 180 degrees")
        if shapely.is_valid(lonlat):
            return oriented(lonlat)
        # only because of rounding: the geometry was valid before it was transformed
        repaired = shapely.make_valid(lonlat, method="structure", keep_collapsed=False)
        return oriented(polygons_of(repaired))

    def _outside(self, projected: BaseGeometry) -> Defect | None:
        xy = shapely.get_coordinates(projected)
        if not np.isfinite(xy).all():
            message = f"{self.crs.name} cannot express these coordinates; are x and y swapped?"
            return Defect("outside_area_of_use", message)
        (west, south), (east, north) = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
        bounds = {"bounds": [west, south, east, north]}
        slack = _WORLD_TOLERANCE_DEGREES
        if max(-west, east) > 180.0 + slack or max(-south, north) > 90.0 + slack:
            message = f"longitude {west:.6g} to {east:.6g}, latitude {south:.6g} to {north:.6g}"
            return Defect("outside_area_of_use", f"not on the Earth: {message}; swapped?", bounds)
        if self.limits is None:
            return None
        left, bottom, right, top = self.limits
        centre = (left + right) / 2.0
        turned = centre + (xy[:, 0] - centre + 180.0) % FULL_TURN - 180.0
        across = left <= turned.min() and turned.max() <= right
        if across and south >= bottom and north <= top:
            return None
        message = (
            f"at longitude {west:.4f} to {east:.4f}, latitude {south:.4f} to {north:.4f}, "
            f"beyond where {self.crs.name} is defined ({left:.1f}, {bottom:.1f}, {right:.1f}, "
            f"{top:.1f}); are x and y swapped?"
        )
        return Defect("outside_area_of_use", message, bounds)


def _transformed(geometry: BaseGeometry, transformer: Transformer) -> BaseGeometry:
    def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))

    return shapely.transform(geometry, move)


def project_boundaries(geometries: Sequence[BaseGeometry], crs: CRS) -> list[BaseGeometry]:
    """Project lon/lat boundaries to the CRS of the grid, dividing long edges first.

    The part that the grid cannot express (a pole, in web-mercator) is cut off at the area of use
    of its CRS; a boundary entirely outside becomes empty.
    """
    transformer = Transformer.from_crs(EPSG_4326, crs, always_xy=True)
    return [_projected(geometry, transformer, crs) for geometry in geometries]


def _projected(geometry: BaseGeometry, transformer: Transformer, crs: CRS) -> BaseGeometry:
    fine = shapely.segmentize(geometry, MAX_EDGE_DEGREES)
    projected = _transformed(fine, transformer)
    area = crs.area_of_use
    if area is None or np.isfinite(shapely.get_coordinates(projected)).all():
        return projected
    domain = shapely.box(area.west, area.south, area.east, area.north)
    cut = polygons_of(shapely.intersection(geometry, domain))
    return _transformed(shapely.segmentize(cut, MAX_EDGE_DEGREES), transformer)


class ContainsPoleError(ValueError):
    """A ring runs around a pole; the caller turns this error into a defect."""


def split_at_antimeridian(geometry: MultiPolygon) -> MultiPolygon:
    """Cut a geometry that crosses 180 degrees; return any other unchanged.

    Raises:
        ContainsPoleError: a ring runs around the globe.
    """
    if not any(_jumps(np.asarray(polygon.exterior.coords)[:, 0]) for polygon in geometry.geoms):
        return geometry
    parts = [part for polygon in geometry.geoms for part in _split(polygon)]
    return MultiPolygon(parts)


def _jumps(longitudes: NDArray[np.float64]) -> bool:
    """True if an edge is longer than half a turn, unless it is the seam of a world map."""
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
        hole[:, 0] += FULL_TURN * round((centre - float(hole[:, 0].mean())) / FULL_TURN)
        holes.append(hole)
    whole = Polygon(shell, holes)
    parts: list[Polygon] = []
    for turn in (-1, 0, 1):
        west = -HALF_TURN + FULL_TURN * turn
        cut = shapely.intersection(
            whole, shapely.box(west, -POLE_LATITUDE, west + FULL_TURN, POLE_LATITUDE)
        )
        moved = shapely.transform(cut, _shift(-FULL_TURN * turn))
        parts.extend(p for p in getattr(moved, "geoms", (moved,)) if isinstance(p, Polygon))
    return [part for part in parts if not part.is_empty]


def _shift(degrees: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return lambda xy: xy + np.array([degrees, 0.0])


def _unwrapped(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Remove jumps from the longitudes of a ring, keeping its first vertex."""
    longitudes = np.unwrap(ring[:, 0], period=FULL_TURN)
    if abs(longitudes[0] - longitudes[-1]) > HALF_TURN:
        message = "the ring goes once around the globe"
        raise ContainsPoleError(message)
    return np.column_stack([longitudes, ring[:, 1]])
