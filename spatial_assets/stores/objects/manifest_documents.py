"""JSON of manifests: a head for each tile, and a part for each month of its units.

The head names each part by the hash of its bytes and holds the figures of its units, so that most
questions need no part. Repeated content is stored once: a CRS in the head, the header of a band and
a scene in the part. The first schema had one document for each tile; it is read and never written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from spatial_assets.stores.objects.json import to_json
from spatial_assets.stores.objects.stage_entries import (
    StageEntry,
    StageSummary,
    StageUnits,
    digest_of,
    summary_of,
)
from spatial_assets.stores.objects.store import ObjectInfo
from spatial_assets.stores.stage_facts import facts_from

FIRST_SCHEMA = 1
"""Schema of the manifests that are one document."""

PART_DIGEST_DIGITS = 32
"""Hex digits of a SHA-256 in the name of a part: 128 bits, which nobody collides by chance."""

_CRS_DIGITS = 12  # of the SHA-256 of its WKT: a tile has a few

Crs = Mapping[str, str]
"""Short hash of a CRS -> its WKT."""


@dataclass(frozen=True)
class Settled:
    """Inputs from which a walk through all stages brought the units of a month up to date."""

    inputs: str
    """Hash of the scenes, settings and code, see `pipeline.run.settled_months`."""

    kept: tuple[tuple[str, str], ...] = ()
    """(id, granule) of the scenes whose result stays although the catalogue does not list them."""


@dataclass(frozen=True, kw_only=True)
class ManifestPart:
    """One stored part of a manifest, as its head describes it."""

    digest: str
    """First digits of the SHA-256 of its bytes; its name."""

    stages: Mapping[str, StageSummary] = field(default_factory=dict)
    """Stage -> figures of its units."""

    units: Mapping[str, str] = field(default_factory=dict)
    """Stage -> hash of the fingerprints of its units."""

    def to_document(self, settled: Settled | None) -> dict[str, object]:
        """Return the part as the head describes it, as JSON values."""
        found: dict[str, object] = {
            "digest": self.digest,
            "stages": {
                stage: {"hash": self.units[stage], **summary.to_document()}
                for stage, summary in self.stages.items()
            },
        }
        if settled is not None:
            found["settled"] = settled.inputs
            if settled.kept:
                found["kept"] = [list(each) for each in settled.kept]
        return found

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> tuple[ManifestPart, Settled | None]:
        """Read what `to_document` wrote; raises as `head_from` does."""
        units = {stage: str(each["hash"]) for stage, each in mapping(document["stages"]).items()}
        stages = {
            stage: StageSummary.from_document({k: v for k, v in each.items() if k != "hash"})
            for stage, each in document["stages"].items()
        }
        part = cls(digest=str(document["digest"]), stages=stages, units=units)
        if "settled" not in document:
            return part, None
        kept = tuple((str(name), str(granule)) for name, granule in document.get("kept", ()))
        return part, Settled(str(document["settled"]), kept)


def encoded_part(stages: StageUnits, *, tile: str, month: str) -> tuple[bytes, ManifestPart, Crs]:
    """Return the bytes of a part, its description, and the CRS that its units refer to."""
    body, crs = encoded(stages)
    data = to_json({**body, "tile": tile, "month": month})
    part = ManifestPart(
        digest=part_digest(data),
        stages={stage: summary_of(units) for stage, units in stages.items()},
        units={stage: digest_of(units) for stage, units in stages.items()},
    )
    return data, part, crs


def part_digest(data: bytes) -> str:
    """Return the name of a part with these bytes."""
    return hashlib.sha256(data).hexdigest()[:PART_DIGEST_DIGITS]


def decoded_part(document: Mapping[str, Any], *, tile: str, crs: Crs) -> StageUnits:
    """Return the units of a part.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not a part of this tile.
    """
    if document["tile"] != tile:
        message = f"it belongs to tile {document['tile']!r}"
        raise ValueError(message)
    return decoded(document, crs)


def first_schema_units(document: Mapping[str, Any]) -> StageUnits:
    """Return the units of a manifest of the first schema; raises as `decoded_part` does."""
    return {
        stage: {
            unit: StageEntry(
                fingerprint=str(entry["fingerprint"]),
                objects=tuple(ObjectInfo(**fields) for fields in _list(entry["objects"])),
                facts=facts_from(entry["facts"], stage=stage, unit=unit),
                released=entry.get("released", False) is True,
            )
            for unit, entry in units.items()
        }
        for stage, units in mapping(document["stages"]).items()
    }


def mapping(value: object) -> dict[str, Any]:
    """Return `value`; raise TypeError unless it is a JSON object."""
    if not isinstance(value, dict):
        message = f"wanted a JSON object, got {value!r}"
        raise TypeError(message)
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        message = f"wanted a JSON list, got {value!r}"
        raise TypeError(message)
    return value


class _Table:
    """Values that are stored once and referred to by their position."""

    def __init__(self) -> None:
        self.values: list[object] = []
        self._positions: dict[bytes, int] = {}

    def position(self, value: dict[str, object]) -> int:
        """Return the position of a value, which is added if it is new."""
        key = to_json(value)
        if key not in self._positions:
            self._positions[key] = len(self.values)
            self.values.append(value)
        return self._positions[key]


def encoded(stages: StageUnits) -> tuple[dict[str, object], Crs]:
    """Return units as JSON values, and the CRS that they refer to."""
    scenes, bands, crs = _Table(), _Table(), dict[str, str]()

    def band(header: dict[str, Any]) -> int:
        if isinstance(header.get("crs"), str):
            wkt = header["crs"]
            key = hashlib.sha256(wkt.encode()).hexdigest()[:_CRS_DIGITS]
            crs[key] = wkt
            header = {**{name: v for name, v in header.items() if name != "crs"}, "crs_hash": key}
        return bands.position(header)

    def scene(document: dict[str, Any]) -> int:
        facts = mapping(document["facts"])
        headers = facts.get("bands")
        if isinstance(headers, dict) and all(isinstance(each, dict) for each in headers.values()):
            facts = {name: value for name, value in facts.items() if name != "bands"}
            numbers = {name: band(header) for name, header in sorted(headers.items())}
            document = {**document, "facts": facts, "band_headers": numbers}
        return scenes.position(document)

    def entry(each: StageEntry) -> dict[str, object]:
        facts = {} if each.facts is None else each.facts.to_document()
        if isinstance(facts.get("scene"), dict):
            facts = {**facts, "scene": scene(mapping(facts["scene"]))}
        objects = [list(asdict(info).values()) for info in each.objects]
        released = {"released": True} if each.released else {}
        return {"fingerprint": each.fingerprint, "objects": objects, "facts": facts, **released}

    units = {
        stage: {unit: entry(each) for unit, each in sorted(entries.items())}
        for stage, entries in sorted(stages.items())
    }
    return {"stages": units, "scenes": scenes.values, "bands": bands.values}, crs


def decoded(document: Mapping[str, Any], crs: Crs) -> StageUnits:
    """Return the units that `encoded` wrote; raises as `decoded_part` does."""
    bands = [_band(header, crs) for header in _list(document["bands"])]
    scenes = [_scene(each, bands) for each in _list(document["scenes"])]

    def entry(each: dict[str, Any], stage: str, unit: str) -> StageEntry:
        facts = each["facts"]
        if "scene" in facts:
            facts = {**facts, "scene": scenes[facts["scene"]]}
        return StageEntry(
            fingerprint=str(each["fingerprint"]),
            objects=tuple(ObjectInfo(*values) for values in _list(each["objects"])),
            facts=facts_from(facts, stage=stage, unit=unit),
            released=each.get("released", False) is True,
        )

    return {
        stage: {unit: entry(each, stage, unit) for unit, each in units.items()}
        for stage, units in mapping(document["stages"]).items()
    }


def _band(header: dict[str, Any], crs: Crs) -> dict[str, Any]:
    if "crs_hash" not in header:
        return header
    return {**{k: v for k, v in header.items() if k != "crs_hash"}, "crs": crs[header["crs_hash"]]}


def _scene(document: dict[str, Any], bands: list[dict[str, Any]]) -> dict[str, Any]:
    if "band_headers" not in document:
        return document
    headers = {name: bands[at] for name, at in document["band_headers"].items()}
    return {**document, "facts": {**document["facts"], "bands": headers}}
