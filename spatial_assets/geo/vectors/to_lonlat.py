"""Boundaries from the CRS of their file to lon/lat, and on to the CRS of the grid.

Always x before y. The edges of a stored boundary are straight in the lon/lat plane (RFC 7946). On
the way in, only vertices are transformed, as in every GIS, so that neighbours keep sharing them.
On the way to the grid, and for areas, long edges are divided first, so that a parallel remains
one. Polygons that cross 180 degrees of longitude are cut in two (`antimeridian`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from pyproj.transformer import TransformerGroup
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import VectorError
from spatial_assets.geo.lonlat import EPSG_4326, FULL_TURN
from spatial_assets.geo.vectors.antimeridian import (
    ContainsPoleError,
    cut_at_antimeridian,
    is_torn,
    may_be_torn,
    split_at_antimeridian,
    unwrapped,
)
from spatial_assets.geo.vectors.earlier import Operation
from spatial_assets.geo.vectors.features import CrsAccuracy, Defect
from spatial_assets.geo.vectors.repair import (
    DecodedGeometry,
    OnInvalid,
    ValidGeometry,
    judge_geometry,
    oriented,
    polygons_of,
)

MAX_EDGE_DEGREES = 0.01
"""Longest edge after division (1.1 km at the equator): centimetres off its parallel."""

_MAX_SHOWN_OPERATIONS = 2
_CONTAINS_POLE = "the boundary runs around a pole; cut it at 180 degrees"
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
            "give the file its CRS (for example: ogr2ogr -a_srs EPSG:3794), or state it as `crs` "
            "in [[boundaries]]; it is never guessed"
        )
        if crs is None:
            raise VectorError(f"{source} has no CRS: {remedy}")
        flat = crs.sub_crs_list[0] if crs.is_compound else crs
        flat = flat.to_2d() if len(flat.axis_info) > 2 else flat  # noqa: PLR2004 - two dimensions
        if not has_position(flat):
            raise VectorError(
                f"{source} has a CRS without a position on the Earth, {flat.name!r}: {remedy}"
            )
        return cls(flat)

    @cached_property
    def _transformer(self) -> Transformer:
        return Transformer.from_crs(self.crs, EPSG_4326, always_xy=True)

    @cached_property
    def _used(self) -> dict[str, float | None]:
        """Operations that features were transformed with -> their accuracy in metres."""
        return {}

    @cached_property
    def only_operation(self) -> Operation | None:
        """Operation that moves every geometry; None if PROJ chooses one by the place."""
        used = self._transformer
        return (used.description, used.accuracy) if used.accuracy >= 0 else None

    def last_operation(self) -> Operation | None:
        """Operation that moved the last geometry; None if PROJ does not tell."""
        if self.only_operation is not None:
            return self.only_operation
        try:
            used = self._transformer.get_last_used_operation()
        except ProjError:
            return None
        return used.description, used.accuracy if used.accuracy >= 0 else None

    def record(self, operation: Operation) -> None:
        """Record that an operation moved a usable geometry."""
        self._used[operation[0]] = operation[1]

    @cached_property
    def operations(self) -> tuple[str, ...]:
        """Operations that PROJ may choose from here and now; those without their grid marked."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of those without their grid
            group = TransformerGroup(self.crs, EPSG_4326, always_xy=True)
        known = tuple(each.definition for each in group.transformers)
        return known + tuple(f"missing: {each.name}" for each in group.unavailable_operations)

    @property
    def accuracy(self) -> CrsAccuracy | None:
        """Accuracy of the least accurate recorded operation; None before the first feature."""
        if not self._used:
            return None
        worst = max(self._used, key=lambda name: math.inf if (m := self._used[name]) is None else m)
        found = CrsAccuracy(operation=worst, accuracy_m=self._used[worst])
        if found.is_good:
            return found
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # which says what is asked for here
            group = TransformerGroup(self.crs, EPSG_4326, always_xy=True)
        better = group.unavailable_operations[:_MAX_SHOWN_OPERATIONS]
        return replace(found, missing=tuple(operation.name for operation in better))

    def _transform(self, geometry: BaseGeometry) -> BaseGeometry:
        return _transformed(geometry, self._transformer)

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

    def placed(
        self, decoded: DecodedGeometry, *, on_invalid: OnInvalid, most_repair_share: float
    ) -> ValidGeometry | Defect:
        """Judge a geometry in the plane where it is whole, and return it in lon/lat.

        Args:
            decoded: in the CRS of the file.
            on_invalid: "repair" repairs; any other value returns the first defect.
            most_repair_share: largest share of the area by which two repairs may differ.
        """
        lonlat = self._if_torn(polygons_of(decoded.geometry))
        if lonlat is not None:
            outside = self._outside(lonlat)
            if outside is not None:
                return outside
            return _judged_across(
                replace(decoded, geometry=lonlat),
                on_invalid=on_invalid,
                most_repair_share=most_repair_share,
            )
        valid = judge_geometry(decoded, on_invalid=on_invalid, most_repair_share=most_repair_share)
        if isinstance(valid, Defect):
            return valid
        moved = self._to_lonlat(valid.geometry)
        return moved if isinstance(moved, Defect) else replace(valid, geometry=moved)

    def _if_torn(self, geometry: MultiPolygon) -> MultiPolygon | None:
        """Return the geometry in lon/lat if the plane of the file tears it, else None."""
        factor = self.crs.axis_info[0].unit_conversion_factor if self.crs.axis_info else 1.0
        unit = math.degrees(factor) if self.crs.is_geographic else factor
        if not may_be_torn(geometry, unit=unit, is_geographic=self.crs.is_geographic):
            return None
        lonlat = polygons_of(self._transform(geometry))
        if not np.isfinite(shapely.get_coordinates(lonlat)).all():
            return None
        torn = is_torn(geometry, lonlat, unit=unit, is_geographic=self.crs.is_geographic)
        return lonlat if torn else None

    def _to_lonlat(self, geometry: MultiPolygon) -> MultiPolygon | Defect:
        """Transform a valid MultiPolygon, or return the defect that prevents it."""
        projected = self._transform(geometry)
        outside = self._outside(projected)
        if outside is not None:
            return outside
        try:
            lonlat = split_at_antimeridian(polygons_of(projected))
        except ContainsPoleError:
            return Defect("contains_pole", _CONTAINS_POLE)
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


def has_position(crs: CRS) -> bool:
    """Return True if a CRS has a position on the Earth: geographic or projected, and defined.

    GeoPackage names its two undefined ones "Undefined ..."; "unknown" is the name of any CRS that
    was born as a PROJ string.
    """
    is_defined = not crs.name.lower().startswith("undefined")
    return is_defined and bool(crs.is_geographic or crs.is_projected)


def _judged_across(
    decoded: DecodedGeometry, *, on_invalid: OnInvalid, most_repair_share: float
) -> ValidGeometry | Defect:
    """Judge each polygon unwrapped, cut it at 180 degrees, and judge the parts together.

    Args:
        decoded: in lon/lat, between -180 and 180 degrees, torn at the antimeridian.
        on_invalid: "repair" repairs; any other value returns the first defect.
        most_repair_share: largest share of the area by which two repairs may differ.
    """
    repairs = decoded.repairs
    parts: list[Polygon] = []
    for polygon in polygons_of(decoded.geometry).geoms:
        try:
            whole = DecodedGeometry(unwrapped(polygon), repairs)
        except ContainsPoleError:
            return Defect("contains_pole", _CONTAINS_POLE)
        valid = judge_geometry(whole, on_invalid=on_invalid, most_repair_share=most_repair_share)
        if isinstance(valid, Defect):
            return valid
        repairs = valid.repairs
        parts.extend(cut_at_antimeridian(valid.geometry))
    together = DecodedGeometry(MultiPolygon(parts), repairs)
    return judge_geometry(together, on_invalid=on_invalid, most_repair_share=most_repair_share)


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
