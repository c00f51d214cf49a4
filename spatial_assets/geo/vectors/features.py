"""Features of a boundaries file: raw, valid and quarantined ones, and the reason codes.

Data classes and fingerprints only. A defect costs its feature, never the file. The rules that
find defects belong in `repair`, `to_lonlat` and `validate`, and reading files in stores/.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry import MultiPolygon

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
        "undecodable_text": "a column has text that is not of the encoding the file declares",
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
        "repair_ambiguous": "honest repairs differ: by more than 0.1 % of the area, or by a hole",
        "no_area": "nothing polygonal is left after the repair",
    }
)


@dataclass(frozen=True)
class Defect:
    """One defect of one feature."""

    reason: str
    """A key of `REASONS`."""

    message: str
    """The value found, and the value expected."""

    evidence: Mapping[str, object] = field(default_factory=dict)
    """Figures and positions that a person needs to act; JSON types only."""

    def __post_init__(self) -> None:
        """Refuse a code that the table does not explain."""
        if self.reason not in REASONS:
            message = f"not a reason code: {self.reason!r}; add it to REASONS with its meaning"
            raise VectorError(message)


MAX_CRS_ERROR_M = 5.0
"""Accuracy up to which a transformation passes without a word: half a pixel of Sentinel-2."""


@dataclass(frozen=True, kw_only=True)
class CrsAccuracy:
    """Accuracy of the transformation from the CRS of a file to WGS 84."""

    operation: str
    """Name that PROJ gives it; of several, the least accurate one."""

    accuracy_m: float | None
    """Accuracy in metres as PROJ states it; None if unknown, as for a ballpark transformation."""

    missing: tuple[str, ...] = ()
    """Better operations whose grids are not installed."""

    @property
    def is_good(self) -> bool:
        """True if the accuracy is known and at most `MAX_CRS_ERROR_M`."""
        return self.accuracy_m is not None and self.accuracy_m <= MAX_CRS_ERROR_M

    def __str__(self) -> str:
        """Return the doubt as a sentence for the user."""
        known = "unknown" if self.accuracy_m is None else f"{self.accuracy_m:.4g} m"
        better = f"; a better one lacks its grid: {', '.join(self.missing)}" if self.missing else ""
        return f"accuracy of the transformation to WGS 84 is {known} ({self.operation}{better})"


@dataclass(frozen=True, kw_only=True)
class RawFeature:
    """One feature as read from the file."""

    index: int
    """Position in the file, from 0."""

    properties: Mapping[str, object]
    """Values of the key column and the configured columns."""

    wkb: bytes | None
    """Geometry in the CRS of the file, undecoded; None if there is none."""

    problem: Defect | None = None
    """Defect found while reading this feature."""


@dataclass(frozen=True, kw_only=True)
class ValidFeature:
    """One valid boundary."""

    key: str
    """Key, unique within its set."""

    index: int
    """Position in the source file."""

    properties: Mapping[str, object]
    """Values of the configured columns."""

    geometry: MultiPolygon
    """Geometry in lon/lat (EPSG:4326): x before y, 2D, valid, shells counter-clockwise."""

    area_m2: float
    """Area on the WGS84 ellipsoid."""

    repairs: tuple[Defect, ...] = ()
    """Defects that have been repaired."""

    digest: bytes = b""
    """Hash of the geometry as read."""

    operation: tuple[str, float | None] | None = None
    """Operation that moved it to lon/lat, and its accuracy in metres; None if not asked for."""

    @property
    def fingerprint(self) -> str:
        """Hash of key, geometry and columns; it changes when a statistic or a row would change."""
        (wkb,) = canonical_wkb([self.geometry])
        return _fingerprint(self, wkb)


@dataclass(frozen=True, kw_only=True)
class QuarantinedFeature:
    """One quarantined feature, with everything needed to find and correct it."""

    key: str | None
    """Key of the feature, if it has one."""

    index: int
    """Position in the source file."""

    reason: str
    """A key of `REASONS`."""

    message: str
    """The value found, and the value expected."""

    evidence: Mapping[str, object]
    """Figures and positions; JSON types only."""

    properties: Mapping[str, object]
    """Values as read."""

    wkb: bytes | None
    """Geometry as read, in the CRS of the file."""


@dataclass(frozen=True, kw_only=True)
class ValidatedFeatures:
    """Every feature of a file, valid or quarantined, each group in file order."""

    kept: tuple[ValidFeature, ...]
    """Valid features with unique keys."""

    quarantined: tuple[QuarantinedFeature, ...]
    """Features that cannot be used."""

    source_crs: CRS
    """CRS of the file, and of the quarantined geometries."""

    crs_accuracy: CrsAccuracy | None = None
    """Accuracy with which the features were transformed; None if none was."""

    key_type: Literal["text", "integer"] = "text"
    """Type of the key column: integer if all values are, of at most 64 bits."""

    notes: tuple[str, ...] = ()
    """Doubts about the file that do not prevent its use."""

    @property
    def repaired(self) -> int:
        """Number of kept features that were repaired."""
        return sum(1 for feature in self.kept if feature.repairs)

    @cached_property
    def wkb(self) -> tuple[bytes, ...]:
        """Geometries of the kept features as little-endian WKB, on every machine."""
        return canonical_wkb([feature.geometry for feature in self.kept])

    @cached_property
    def fingerprints(self) -> tuple[str, ...]:
        """Fingerprints of the kept features."""
        return tuple(map(_fingerprint, self.kept, self.wkb))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the set of valid features, independent of their order."""
        return hashlib.sha256("\n".join(sorted(self.fingerprints)).encode()).hexdigest()

    @cached_property
    def report(self) -> dict[str, object]:
        """Figures for the log and the asset's metadata; JSON types only."""
        repairs = Counter(defect.reason for f in self.kept for defect in f.repairs)
        reasons = Counter(feature.reason for feature in self.quarantined)
        geometries = [feature.geometry for feature in self.kept]
        accuracy = self.crs_accuracy
        doubts = [str(accuracy)] if accuracy and not accuracy.is_good else []
        return {
            "features": len(self.kept) + len(self.quarantined),
            "kept": len(self.kept),
            "repaired": self.repaired,
            "quarantined": len(self.quarantined),
            "repairs": dict(sorted(repairs.items())),
            "reasons": dict(sorted(reasons.items())),
            "bounds": shapely.total_bounds(geometries).tolist() if geometries else None,
            "area_m2": math.fsum(feature.area_m2 for feature in self.kept),
            "fingerprint": self.fingerprint,
            "crs": self.source_crs.name,
            "crs_accuracy_m": accuracy.accuracy_m if accuracy else None,
            "warnings": [*self.notes, *doubts],
        }


_JSON = json.JSONEncoder(sort_keys=True, default=str, ensure_ascii=False)


def _fingerprint(feature: ValidFeature, wkb: bytes) -> str:
    columns = _JSON.encode(dict(feature.properties))
    digest = hashlib.sha256()
    for part in (feature.key.encode(), wkb, columns.encode()):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def canonical_wkb(geometries: Sequence[MultiPolygon]) -> tuple[bytes, ...]:
    """Encode geometries, all at once."""
    return tuple(shapely.to_wkb(np.asarray(geometries, object), byte_order=1, output_dimension=2))
