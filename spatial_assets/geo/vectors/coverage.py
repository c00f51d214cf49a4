"""Measures of the overlaps and gaps between neighbouring boundaries; asset checks judge them.

In a clean coverage, polygons that share an edge share its vertices. Field parcels need not touch
at all, so a defect in a set of regions is normal in a set of fields.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.geo.vectors.areas import area_m2
from spatial_assets.geo.vectors.repair import polygons_of

NEGLIGIBLE_M2 = 0.01
"""Smaller overlaps and gaps come from the rounding of coordinates, not from the boundaries."""

_ROUNDING = 1e-9  # share of the area


@dataclass(frozen=True)
class Overlap:
    """An area that two boundaries share."""

    keys: tuple[str, str]
    """Keys of the two boundaries, in the order of the set."""

    area_m2: float
    """Size of the shared area."""


@dataclass(frozen=True)
class Gap:
    """An area that boundaries enclose but none contains: a sliver, a lake or an enclave."""

    area_m2: float
    """Size of the gap."""

    roundness: float
    """4 pi area / perimeter^2 in the lon/lat plane: near 0 a sliver, 1 a circle."""

    centre: tuple[float, float]
    """(longitude, latitude) of a point inside."""


@dataclass(frozen=True)
class CoverageReport:
    """Deviations of a set of boundaries from a coverage without overlaps and gaps."""

    overlaps: tuple[Overlap, ...]
    """Overlaps, largest first."""

    gaps: tuple[Gap, ...]
    """Gaps, largest first."""

    features_with_invalid_edges: int
    """Number of features with an edge that a neighbour lacks: overlapping, or noded differently."""

    @property
    def overlap_m2(self) -> float:
        """Total shared area, counting each pair of boundaries."""
        return math.fsum(overlap.area_m2 for overlap in self.overlaps)

    @property
    def gap_m2(self) -> float:
        """Total area enclosed but contained in no boundary."""
        return math.fsum(gap.area_m2 for gap in self.gaps)

    def figures(self, *, largest: int = 10) -> dict[str, object]:
        """Figures for a check's metadata with the `largest` cases listed; JSON types only."""
        return {
            "overlaps": len(self.overlaps),
            "overlap_m2": self.overlap_m2,
            "largest_overlaps": [[*o.keys, o.area_m2] for o in self.overlaps[:largest]],
            "gaps": len(self.gaps),
            "gap_m2": self.gap_m2,
            "largest_gaps": [[*g.centre, g.area_m2, g.roundness] for g in self.gaps[:largest]],
            "features_with_invalid_edges": self.features_with_invalid_edges,
        }


def coverage_report(keys: Sequence[str], geometries: Sequence[BaseGeometry]) -> CoverageReport:
    """Find overlaps and gaps among valid lon/lat polygons.

    Args:
        keys: keys of the boundaries.
        geometries: geometry of each key, valid, EPSG:4326.
    """
    if not geometries:
        return CoverageReport((), (), 0)
    shapes = np.asarray(geometries, dtype=object)
    invalid = ~shapely.is_empty(shapely.coverage_invalid_edges(shapes))
    return CoverageReport(
        overlaps=_overlaps(keys, shapes, np.flatnonzero(invalid)),
        gaps=_gaps(_union(shapes, invalid)),
        features_with_invalid_edges=int(invalid.sum()),
    )


def _overlaps(
    keys: Sequence[str], shapes: np.ndarray[tuple[int], np.dtype[np.object_]], suspects: np.ndarray
) -> tuple[Overlap, ...]:
    """Find overlaps; one of any two has an invalid edge, so a clean coverage costs nothing."""
    found = []
    rows, columns = shapely.STRtree(shapes).query(shapes[suspects], predicate="intersects")
    intersecting = zip(suspects[rows].tolist(), columns.tolist(), strict=True)
    pairs = {(min(pair), max(pair)) for pair in intersecting if pair[0] != pair[1]}
    for first, second in pairs:
        area = area_m2(polygons_of(shapely.intersection(shapes[first], shapes[second])))
        if area > NEGLIGIBLE_M2:
            found.append(Overlap((keys[first], keys[second]), area))
    return tuple(sorted(found, key=lambda overlap: (-overlap.area_m2, overlap.keys)))


def _union(
    shapes: np.ndarray[tuple[int], np.dtype[np.object_]], invalid: np.ndarray
) -> BaseGeometry:
    """Union of all shapes; the clean ones are joined along their common edges, 20 times faster."""
    clean = shapes[~invalid]
    joined = shapely.coverage_union_all(clean)
    area = float(shapely.area(clean).sum())
    # It knows no overlaps. One that GEOS did not report would show in the area.
    if abs(joined.area - area) > _ROUNDING * area:
        return shapely.union_all(shapes)
    return shapely.union_all([joined, *shapes[invalid]]) if invalid.any() else joined


def _gaps(union: BaseGeometry) -> tuple[Gap, ...]:
    found = []
    for polygon in polygons_of(union).geoms:
        for ring in polygon.interiors:
            hole = shapely.Polygon(ring)
            area = area_m2(hole)
            if area <= NEGLIGIBLE_M2:
                continue
            inside = hole.representative_point()
            roundness = 4.0 * math.pi * hole.area / hole.length**2
            found.append(Gap(area, roundness, (inside.x, inside.y)))
    return tuple(sorted(found, key=lambda gap: (-gap.area_m2, gap.centre)))
