"""Decoding and repair of one geometry: a valid 2D MultiPolygon, or the defect that prevents it.

Repair precedes projection, because the edges are straight lines in the CRS of the file. A geometry
that its plane tears at the antimeridian is unwrapped before (`to_lonlat`).
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from spatial_assets.geo.vectors.features import REASONS, Defect

OnInvalid = Literal["repair", "quarantine", "refuse"]

_ROUNDING = 1e-9  # share of a hole's area: it may touch its shell
_REASON_OF_GEOS = {"too_few_points_in_geometry_component": "too_few_points"}


@dataclass(frozen=True)
class DecodedGeometry:
    """Polygons as the file has them, valid or not."""

    geometry: BaseGeometry
    """Polygon or MultiPolygon, 2D, with finite coordinates."""

    repairs: tuple[Defect, ...] = ()
    """Defects that decoding has repaired."""


@dataclass(frozen=True)
class ValidGeometry:
    """A geometry that is valid, possibly after repairs."""

    geometry: MultiPolygon
    """Valid 2D geometry, oriented as RFC 7946 requires."""

    repairs: tuple[Defect, ...]
    """Defects that have been repaired; empty for a clean feature."""


def decode_geometry(wkb: bytes | None) -> DecodedGeometry | Defect:
    """Decode one geometry, as read from the file; None if the feature has none."""
    if wkb is None:
        return Defect("null_geometry", "the feature has no geometry")
    decoded = _decode(wkb)
    if isinstance(decoded, Defect):
        return decoded
    geometry, repairs = decoded
    checked = _polygonal_part(shapely.force_2d(geometry))
    if isinstance(checked, Defect):
        return checked
    geometry, dropped = checked
    coordinates = shapely.get_coordinates(geometry)
    if not np.isfinite(coordinates).all():
        count = int((~np.isfinite(coordinates)).any(axis=1).sum())
        message = f"{count} of {len(coordinates)} vertices are NaN or infinite"
        return Defect("bad_coordinate", message, {"vertices": count, "of": len(coordinates)})
    return DecodedGeometry(geometry, repairs + dropped)


def judge_geometry(
    decoded: DecodedGeometry, *, on_invalid: OnInvalid, most_repair_share: float
) -> ValidGeometry | Defect:
    """Repair a geometry if that is needed, allowed and unambiguous.

    Args:
        decoded: in the plane where its edges are straight.
        on_invalid: "repair" repairs; any other value returns the first defect.
        most_repair_share: largest share of the area by which two repairs may differ.
    """
    geometry, repairs = decoded.geometry, decoded.repairs
    if not shapely.is_valid(geometry):
        repairs = (*repairs, _explain(geometry))
    if repairs and on_invalid != "repair":
        return repairs[0]
    return _repaired(geometry, repairs, most_repair_share=most_repair_share)


def polygons_of(geometry: BaseGeometry) -> MultiPolygon:
    """Collect every polygon in `geometry`, however nested; points and lines are dropped."""
    if isinstance(geometry, MultiPolygon):
        return geometry
    if isinstance(geometry, Polygon):
        return MultiPolygon([] if geometry.is_empty else [geometry])
    parts = [
        polygon for part in getattr(geometry, "geoms", ()) for polygon in polygons_of(part).geoms
    ]
    return MultiPolygon(parts)


def oriented(geometry: MultiPolygon) -> MultiPolygon:
    """Orient shells counter-clockwise and holes clockwise, as RFC 7946 requires."""
    return polygons_of(shapely.orient_polygons(geometry, exterior_cw=False))


def _decode(wkb: bytes) -> tuple[BaseGeometry, tuple[Defect, ...]] | Defect:
    with warnings.catch_warnings():
        # numpy warns when a NaN passes through from_wkb; NaN gets its own defect later
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return shapely.from_wkb(wkb), ()
        except (shapely.errors.GEOSException, NotImplementedError) as error:
            geos_error = str(error)
        try:
            closed = shapely.from_wkb(wkb, on_invalid="fix")
        except (shapely.errors.GEOSException, NotImplementedError):
            closed = None
    if closed is None:
        return Defect("unreadable_geometry", f"the geometry cannot be decoded: {geos_error}")
    reason = "unclosed_ring" if "closed" in geos_error else "too_few_points"
    return closed, (Defect(reason, f"{REASONS[reason]}: {geos_error}"),)


def _polygonal_part(geometry: BaseGeometry) -> tuple[BaseGeometry, tuple[Defect, ...]] | Defect:
    if geometry.is_empty:
        return Defect("empty_geometry", f"{geometry.geom_type} without coordinates")
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry, ()
    polygons = polygons_of(geometry)
    if polygons.is_empty:
        message = f"got a {geometry.geom_type}, want a Polygon or MultiPolygon"
        return Defect("wrong_type", message, {"type": geometry.geom_type})
    types = sorted({part.geom_type for part in getattr(geometry, "geoms", ())})
    if set(types) <= {"Polygon", "MultiPolygon"}:
        return polygons, ()
    message = f"a {geometry.geom_type} of {', '.join(types)}; only its polygons are kept"
    return polygons, (Defect("mixed_collection", message, {"types": types}),)


def _explain(geometry: BaseGeometry) -> Defect:
    explained = str(shapely.is_valid_reason(geometry))
    phrase, _, place = explained.partition("[")
    slug = re.sub(r"[^a-z]+", "_", phrase.lower()).strip("_")
    reason = _REASON_OF_GEOS.get(slug, slug)
    at = [float(number) for number in place.rstrip("]").split()]
    return Defect(reason if reason in REASONS else "invalid_geometry", explained, {"at": at})


def _repaired(
    geometry: BaseGeometry, repairs: tuple[Defect, ...], *, most_repair_share: float
) -> ValidGeometry | Defect:
    """Repair a geometry if the two methods of GEOS agree on the result.

    'structure' unions overlapping parts, 'linework' applies the even-odd rule; both give the same
    for a bow-tie. Where they differ by more than allowed, choosing one would invent a boundary.
    """
    if shapely.is_valid(geometry):
        return ValidGeometry(oriented(polygons_of(geometry)), repairs)
    found = repairs[-1]
    if _has_stray_hole(geometry):
        message = (
            f"{found.message}; a hole outside of its polygon may be land, or a hole of another "
            "polygon: correct it in the source"
        )
        return Defect("repair_ambiguous", message, {"was": "hole_lies_outside_shell"})
    structure = polygons_of(shapely.make_valid(geometry, method="structure", keep_collapsed=False))
    if structure.area <= 0.0:
        return Defect(
            "no_area", f"{found.message}; nothing polygonal is left", {"was": found.reason}
        )
    linework = polygons_of(shapely.make_valid(geometry, method="linework"))
    share = float(shapely.symmetric_difference(structure, linework).area / structure.area)
    if share > most_repair_share:
        message = (
            f"{found.message}; its repairs differ by {share:.2%} of the area "
            f"(at most {most_repair_share:.1%}): correct it in the source"
        )
        return Defect("repair_ambiguous", message, {"was": found.reason, "differ": share})
    return ValidGeometry(oriented(structure), repairs)


def _has_stray_hole(geometry: BaseGeometry) -> bool:
    """Return True if a hole lies wholly outside of its shell: both repairs would make it land."""
    for polygon in polygons_of(geometry).geoms:
        shell = shapely.make_valid(Polygon(polygon.exterior))
        holes = shapely.make_valid([Polygon(ring) for ring in polygon.interiors])
        areas = shapely.area(holes)
        inside = shapely.area(shapely.intersection(holes, shell))
        if ((areas > 0.0) & (inside <= _ROUNDING * areas)).any():
            return True
    return False
