"""Validation of a set of boundaries: valid features, and quarantined ones with their reasons.

Takes features as read by stores/vectors/read.py, and returns valid lon/lat MultiPolygons; all
other features are quarantined. A bad feature never costs the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry import MultiPolygon

from spatial_assets.errors import VectorError
from spatial_assets.geo.vectors.areas import area_m2
from spatial_assets.geo.vectors.earlier import (
    EarlierResults,
    JudgedGeometry,
    digest_of,
    nothing_earlier,
)
from spatial_assets.geo.vectors.features import (
    Defect,
    QuarantinedFeature,
    RawFeature,
    ValidatedFeatures,
    ValidFeature,
)
from spatial_assets.geo.vectors.repair import OnInvalid, decode_geometry
from spatial_assets.geo.vectors.to_lonlat import SourceCrs

# The axes of a feature count as swapped if it is this many times farther from the middle of the
# file than the file is wide, but not once swapped. A remote island is far away either way.
_SWAP_FACTOR = 10.0
_MIN_SPREAD_DEGREES = 0.1
_MIN_FEATURES_FOR_MIDDLE = 3
_MAX_LISTED = 5


_ALL_ASKED, _ASKED_EVERY = 1000, 64  # features whose operation is asked for, at 0.2 ms each


@dataclass(frozen=True)
class _Accepted:
    raw: RawFeature
    key: str
    digest: bytes
    judged: JudgedGeometry

    @property
    def geometry(self) -> MultiPolygon:
        return self.judged.geometry


@dataclass(frozen=True, kw_only=True)
class _Rules:
    """Everything that decides about a feature on its own."""

    crs: SourceCrs
    key: str
    on_invalid: OnInvalid
    most_repair_share: float
    earlier: EarlierResults


def validate_features(  # noqa: PLR0913 - rules, each by its name
    features: Iterable[RawFeature],
    *,
    source_crs: CRS | None,
    key: str,
    columns: Sequence[str] = (),
    on_invalid: OnInvalid = "repair",
    most_repair_share: float = 1e-3,
    earlier: EarlierResults = nothing_earlier,
) -> ValidatedFeatures:
    """Sort features into valid and quarantined; none is dropped silently.

    Args:
        features: features as read.
        source_crs: CRS of their coordinates.
        key: column that identifies a feature.
        columns: further columns to keep.
        on_invalid: treatment of invalid features.
        most_repair_share: largest share of the area by which two repairs may differ.
        earlier: results of an earlier validation with the same CRS, rules and libraries; geometries
            with the same bytes are not judged again.

    Raises:
        VectorError: `source_crs` is missing or has no position on the Earth, or a feature has a
            defect and `on_invalid` is "refuse".
    """
    crs = SourceCrs.of(source_crs)
    rules = _Rules(
        crs=crs,
        key=key,
        on_invalid=on_invalid,
        most_repair_share=most_repair_share,
        earlier=earlier,
    )
    judged: list[_Accepted] = []
    rejected: list[QuarantinedFeature] = []
    for raw in features:
        outcome = _judge(raw, rules)
        if isinstance(outcome, Defect):
            rejected.append(_quarantined(raw, outcome, key=key))
        else:
            judged.append(outcome)
    swapped = _swapped(judged)
    for position, defect in (swapped | _duplicates(judged, swapped)).items():
        rejected.append(_quarantined(judged[position].raw, defect, key=key))
    refused = {feature.index for feature in rejected}
    kept = tuple(_valid(one, columns) for one in judged if one.raw.index not in refused)
    quarantined = tuple(sorted(rejected, key=lambda feature: feature.index))
    if quarantined and on_invalid == "refuse":
        raise VectorError(_refusal(quarantined))
    used = [one.raw.properties.get(key) for one in judged if one.raw.index not in refused]
    return ValidatedFeatures(
        kept=kept,
        quarantined=quarantined,
        source_crs=crs.crs,
        crs_accuracy=crs.accuracy,
        key_type="integer" if all(map(_is_integer, used)) else "text",
    )


def refuse_inaccurate_crs(validated: ValidatedFeatures) -> None:
    """Refuse features that were transformed with an unknown or poor accuracy.

    Raises:
        VectorError: with the accuracy and the remedy.
    """
    accuracy = validated.crs_accuracy
    if accuracy is not None and not accuracy.is_good:
        raise VectorError(
            f"{accuracy}, and on_inaccurate_crs is 'refuse': transform the source with a grid, "
            "install the grid of PROJ, or set on_inaccurate_crs to 'warn'"
        )


def _judge(raw: RawFeature, rules: _Rules) -> _Accepted | Defect:
    """Judge one feature on its own; `validate_features` compares it with the others."""
    if raw.problem is not None:
        return raw.problem
    value = raw.properties.get(rules.key)
    name = key_text(value)
    if name is None:
        return Defect("missing_key", f"column {rules.key!r} is {value!r}")
    digest = digest_of(raw.wkb or b"")
    is_asked = raw.index < _ALL_ASKED or raw.index % _ASKED_EVERY == 0
    operation = rules.crs.only_operation
    judged = rules.earlier(digest)
    if judged is None or (is_asked and (judged.operation or operation) is None):
        outcome = _judge_geometry(raw.wkb, rules, is_asked=is_asked)
        if isinstance(outcome, Defect):
            return outcome
        judged = outcome
    if is_asked and (used := judged.operation or operation) is not None:
        rules.crs.record(used)
    return _Accepted(raw, name, digest, judged)


def _judge_geometry(wkb: bytes | None, rules: _Rules, *, is_asked: bool) -> JudgedGeometry | Defect:
    """Decode, repair and move a geometry.

    Args:
        wkb: the geometry as read.
        rules: CRS and settings.
        is_asked: True if the operation is asked for that moves it.
    """
    decoded = decode_geometry(wkb)
    if isinstance(decoded, Defect):
        return decoded
    placed = rules.crs.placed(
        decoded, on_invalid=rules.on_invalid, most_repair_share=rules.most_repair_share
    )
    if isinstance(placed, Defect):
        return placed
    is_chosen = rules.crs.only_operation is None
    return JudgedGeometry(
        geometry=placed.geometry,
        area_m2=area_m2(placed.geometry),
        repairs=placed.repairs,
        operation=rules.crs.last_operation() if is_asked and is_chosen else None,
    )


def _is_integer(value: object) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return -(2**63) <= value < 2**63


def key_text(value: object) -> str | None:
    """Key as text, the same from every format: 7, 7.0 and "7" give "7"; None if it is no key."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    if value is None or (text := str(value).strip()) == "":
        return None
    return text


def _valid(one: _Accepted, columns: Sequence[str]) -> ValidFeature:
    return ValidFeature(
        key=one.key,
        index=one.raw.index,
        properties={name: one.raw.properties.get(name) for name in columns},
        geometry=one.geometry,
        area_m2=one.judged.area_m2,
        repairs=one.judged.repairs,
        digest=one.digest,
        operation=one.judged.operation,
    )


def _quarantined(raw: RawFeature, defect: Defect, *, key: str) -> QuarantinedFeature:
    return QuarantinedFeature(
        key=key_text(raw.properties.get(key)),
        index=raw.index,
        reason=defect.reason,
        message=defect.message,
        evidence=defect.evidence,
        properties=raw.properties,
        wkb=raw.wkb,
    )


def _swapped(judged: Sequence[_Accepted]) -> dict[int, Defect]:
    """Positions of features that are far from all others, but close once x and y are swapped.

    In lon/lat a swapped feature is still on the Earth, so only its neighbours reveal the swap.
    """
    if len(judged) < _MIN_FEATURES_FOR_MIDDLE:
        return {}
    bounds: NDArray[np.float64] = shapely.bounds([one.geometry for one in judged])
    centres = (bounds[:, :2] + bounds[:, 2:]) / 2.0
    middle = np.median(centres, axis=0)
    away = np.linalg.norm(centres - middle, axis=1)
    away_swapped = np.linalg.norm(centres[:, ::-1] - middle, axis=1)
    near = np.maximum(_SWAP_FACTOR * np.median(away), _MIN_SPREAD_DEGREES)
    suspects = np.flatnonzero((away_swapped <= near) & (away > _SWAP_FACTOR * near))
    defects = {}
    for position in suspects.tolist():
        x, y = centres[position].tolist()
        message = (
            f"at ({x:.4f}, {y:.4f}), {away[position]:.1f} degrees from the middle of the file; "
            f"swapped it would be {away_swapped[position]:.2f} away: write x (longitude) first"
        )
        evidence = {"degrees": float(away[position]), "swapped": float(away_swapped[position])}
        defects[position] = Defect("axes_swapped", message, evidence)
    return defects


def _duplicates(judged: Sequence[_Accepted], unusable: Mapping[int, Defect]) -> dict[int, Defect]:
    first: dict[str, _Accepted] = {}
    defects = {}
    for position, one in enumerate(judged):
        if position in unusable:
            continue
        earlier = first.setdefault(one.key, one)
        if earlier is not one:
            same = bool(shapely.equals_exact(earlier.geometry, one.geometry, tolerance=0.0))
            message = f"key {one.key!r} already belongs to feature {earlier.raw.index}"
            evidence = {"first": earlier.raw.index, "same_geometry": same}
            defects[position] = Defect("duplicate_key", message, evidence)
    return defects


def _refusal(quarantined: Sequence[QuarantinedFeature]) -> str:
    shown = quarantined[:_MAX_LISTED]
    named = "; ".join(f"feature {f.index} (key {f.key}): {f.reason}, {f.message}" for f in shown)
    more = f"; and {len(quarantined) - len(shown)} more" if len(quarantined) > len(shown) else ""
    return (
        f"{len(quarantined)} features cannot be used and on_invalid is 'refuse': {named}{more}. "
        "Correct them in the source, or set on_invalid to 'repair' or 'quarantine'"
    )
