"""What can be wrong with one feature of a boundaries file: every reason code, in one table.

A defect costs its feature, never the file. How defects are found lives in repair.py, lonlat.py
and vectors.py; how files are read lives in stores/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from spatial_assets.errors import VectorError

REASONS: Mapping[str, str] = MappingProxyType(
    {
        # not a boundary at all
        "null_geometry": "the feature has no geometry",
        "empty_geometry": "the geometry has no coordinates",
        "wrong_type": "the geometry is a point or a line; a boundary is a polygon",
        "unreadable_geometry": "the geometry cannot be decoded",
        "too_large": "the geometry has more bytes than the declared limit",
        # identity
        "missing_key": "the key column is null, blank or not a number",
        "duplicate_key": "an earlier feature already has this key; the first usable one is kept",
        # coordinates
        "bad_coordinate": "a coordinate is NaN or infinite",
        "outside_area_of_use": "the feature lies where its own CRS is not defined",
        "axes_swapped": "far from every other feature, and among them once x and y are swapped",
        "contains_pole": "the ring runs around a pole, so it has no inside in lon/lat",
        # repaired by on_invalid = "repair", quarantined by "quarantine"
        "unclosed_ring": "the last vertex of a ring is not its first",
        "mixed_collection": "a collection that holds more than polygons",
        "self_intersection": "the boundary crosses itself, as a bow-tie does",
        "ring_self_intersection": "a ring touches itself",
        "hole_lies_outside_shell": "a hole is not inside its polygon",
        "holes_are_nested": "a hole lies inside another hole",
        "nested_shells": "a polygon lies inside another polygon of the same feature",
        "interior_is_disconnected": "holes cut the polygon in pieces",
        "duplicate_rings": "the same ring twice",
        "too_few_points": "a ring with fewer than four vertices",
        "invalid_geometry": "invalid in a way that has no code of its own; see the message",
        # not repaired, whatever on_invalid says
        "repair_ambiguous": "two honest repairs differ by more than 0.1 % of the area",
        "no_area": "nothing polygonal is left after the repair",
    }
)


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong with one feature."""

    reason: str
    """A key of `REASONS`."""

    message: str
    """What we got, what was wanted."""

    evidence: Mapping[str, object] = field(default_factory=dict)
    """Figures and positions that let a person act; JSON types only."""

    def __post_init__(self) -> None:
        """Refuse a code that the table does not explain."""
        if self.reason not in REASONS:
            message = f"not a reason code: {self.reason!r}; add it to REASONS with its meaning"
            raise VectorError(message)
