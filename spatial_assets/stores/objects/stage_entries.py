"""Units of the stages of one tile as a manifest holds them, and their figures by month.

A unit belongs to the calendar month of its scene or period, or to none. The figures stand for the
units of a month wherever a walk or a report does not need the units themselves.
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import reduce
from typing import Any, TypeVar

from spatial_assets.stores.objects.json import to_json
from spatial_assets.stores.objects.store import ObjectInfo
from spatial_assets.stores.stage_facts import (
    TILE_INDEX_STAGE,
    WHOLE_STAGE,
    Figures,
    IndexFacts,
    RawTileFacts,
    ReprojectedRasterFacts,
    SceneUnitFacts,
    StatisticsFacts,
    UnitFacts,
)

NO_MONTH = ""
"""Month of the units that stand for a whole stage or tile; a manifest's head holds them."""

_MONTH = re.compile(r"\d{4}(-\d{2})?(?=$|[-/])")  # of "2023", "2023-08", "2023-08-11/districts"


@dataclass(frozen=True)
class StageEntry:
    """Committed result of one unit of one stage."""

    fingerprint: str
    """Hash of all inputs of the unit."""

    objects: tuple[ObjectInfo, ...] = ()
    """Objects that the unit wrote."""

    facts: UnitFacts | None = None
    """Facts that later stages and reports need without reading the objects."""

    released: bool = False
    """True if [retention] keeps the objects no longer: the unit counts as stored, and is read or
    computed again where its pixels are needed."""

    def without_objects(self) -> StageEntry:
        """Return the entry after [retention] released its objects."""
        return replace(self, objects=(), released=True)


StageUnits = Mapping[str, Mapping[str, StageEntry]]
"""Stage -> unit -> entry."""


def month_of(stage: str, unit: str, entry: StageEntry) -> str:
    """Return the month, 2023-08, that a unit belongs to; the year of a period that is one."""
    if unit == WHOLE_STAGE or stage == TILE_INDEX_STAGE:
        return NO_MONTH
    day = entry.facts.scene.solar_day if isinstance(entry.facts, SceneUnitFacts) else unit
    found = _MONTH.match(day)
    return found[0] if found else NO_MONTH


def by_month(stages: StageUnits) -> dict[str, dict[str, dict[str, StageEntry]]]:
    """Divide units by month: month -> stage -> unit -> entry."""
    found: dict[str, dict[str, dict[str, StageEntry]]] = {}
    for stage, units in stages.items():
        for unit, entry in units.items():
            month = found.setdefault(month_of(stage, unit, entry), {})
            month.setdefault(stage, {})[unit] = entry
    return found


def digest_of(units: Mapping[str, StageEntry]) -> str:
    """Hash the fingerprints of some units, without the one that stands for the whole stage."""
    pairs = sorted((name, each.fingerprint) for name, each in units.items() if name != WHOLE_STAGE)
    return hashlib.sha256(to_json({"units": pairs})).hexdigest()[:16]


Value = TypeVar("Value")


def _larger(one: tuple[str, Figures], two: tuple[str, Figures]) -> tuple[str, Figures]:
    """Return the figures with the larger removed share; of equal ones the earlier unit's."""
    ranked = sorted((each for each in (one, two) if each[0]), key=lambda each: each[0])
    return max(ranked, key=lambda each: float(each[1]["removed_fraction"]), default=one)


def _added(one: Mapping[str, int], two: Mapping[str, int]) -> Mapping[str, int]:
    return {name: one.get(name, 0) + two.get(name, 0) for name in sorted({*one, *two})}


def _joined(one: Mapping[str, Value], two: Mapping[str, Value]) -> Mapping[str, Value]:
    return dict(sorted({**one, **two}.items()))


def _both(one: tuple[str, ...], two: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*one, *two}))


def _merged_by(merge: Callable[[Any, Any], object]) -> dict[str, object]:
    return {"merge": merge}


@dataclass(frozen=True, kw_only=True)
class StageSummary:
    """Figures of some units of one stage. A field that a kind of stage lacks keeps its default."""

    units: int = field(default=0, metadata=_merged_by(operator.add))
    bytes: int = field(default=0, metadata=_merged_by(operator.add))
    """Size of the objects."""

    scenes: int = field(default=0, metadata=_merged_by(operator.add))
    """Number of scenes, of an index summed over its periods."""

    released: int = field(default=0, metadata=_merged_by(operator.add))
    """Number of units whose objects [retention] released."""

    rows: int = field(default=0, metadata=_merged_by(operator.add))
    """Number of rows of statistics."""

    valid: float = field(default=0.0, metadata=_merged_by(max))
    """Largest valid share of a unit."""

    readable: float = field(default=1.0, metadata=_merged_by(min))
    """Smallest readable share of a raw scene."""

    unreadable: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict, metadata=_merged_by(_joined)
    )
    """Scene -> band -> number of pixels that could not be read; only scenes that have some."""

    unusable: tuple[str, ...] = field(default=(), metadata=_merged_by(_both))
    """Scenes of which no pixel could be read."""

    doubts: Mapping[str, list[str]] = field(default_factory=dict, metadata=_merged_by(_joined))
    """Scene -> codes of its warnings; only scenes that have some."""

    implausible: float = field(default=0.0, metadata=_merged_by(max))
    """Largest implausible share of a scene."""

    bands: Mapping[str, int] = field(default_factory=dict, metadata=_merged_by(_added))
    """Band names joined by commas -> number of scenes that have exactly these."""

    shift: float = field(default=0.0, metadata=_merged_by(max))
    """Largest shift of a raster in pixels."""

    places: int = field(default=0, metadata=_merged_by(operator.add))
    """Number of places at which the placement was measured."""

    worst: tuple[str, Figures] = field(default=("", {}), metadata=_merged_by(_larger))
    """Unit with the largest removed share of an index, and its figures; "" if there is none."""

    uniform: tuple[str, ...] = field(default=(), metadata=_merged_by(_both))
    """Units of an index that have one value over all clear land."""

    def __add__(self, other: StageSummary) -> StageSummary:
        """Return the figures of the units of both."""
        merged = {
            each.name: each.metadata["merge"](getattr(self, each.name), getattr(other, each.name))
            for each in fields(self)
        }
        return StageSummary(**merged)

    def to_document(self) -> dict[str, object]:
        """Return the fields that differ from their defaults as JSON values."""
        nothing = StageSummary()
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in found.items() if value != getattr(nothing, name)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StageSummary:
        """Read what `to_document` wrote.

        Raises:
            ValueError, TypeError: it is no summary.
        """
        found = dict(document)
        for name in ("unusable", "uniform"):
            found[name] = tuple(found.get(name, ()))
        if "worst" in found:
            unit, figures = found["worst"]
            found["worst"] = (unit, figures)
        return cls(**found)


def total(summaries: Iterable[StageSummary]) -> StageSummary:
    """Merge summaries."""
    return reduce(operator.add, summaries, StageSummary())


def summary_of(units: Mapping[str, StageEntry]) -> StageSummary:
    """Return the figures of units of one stage, without the one that stands for the whole."""
    return total(
        replace(_of_unit(unit, each), released=int(each.released))
        for unit, each in units.items()
        if unit != WHOLE_STAGE
    )


def _of_unit(unit: str, entry: StageEntry) -> StageSummary:
    """Return the figures of one unit."""
    size = sum(info.size for info in entry.objects)
    facts = entry.facts
    if isinstance(facts, RawTileFacts):
        return _of_raw(facts, size)
    if isinstance(facts, ReprojectedRasterFacts):
        measured = facts.alignment or {}
        return StageSummary(
            units=1,
            bytes=size,
            scenes=1,
            valid=facts.valid_fraction,
            bands={",".join(facts.scene.bands): 1},
            shift=float(measured.get("shift_pixels", 0.0)),
            places=int(measured.get("places_looked_at", 0)),
        )
    if isinstance(facts, IndexFacts):
        figures = facts.range or {}
        return StageSummary(
            units=1,
            bytes=size,
            scenes=facts.scenes,
            valid=facts.valid_fraction,
            worst=(unit, figures) if "removed_fraction" in figures else ("", {}),
            uniform=(unit,) if figures.get("spread") == 0 else (),
        )
    rows = facts.rows if isinstance(facts, StatisticsFacts) else 0
    return StageSummary(units=1, bytes=size, rows=rows)


def _of_raw(facts: RawTileFacts, size: int) -> StageSummary:
    name, inspected = facts.scene.id, facts.scene.facts
    warnings, figures = inspected.get("warnings"), inspected.get("figures")
    share = figures.get("implausible_share") if isinstance(figures, Mapping) else None
    return StageSummary(
        units=1,
        bytes=size,
        scenes=1,
        readable=facts.readable_fraction,
        unreadable={name: facts.unreadable} if facts.unreadable else {},
        unusable=(name,) if facts.readable_fraction == 0.0 else (),
        doubts={name: list(warnings)} if isinstance(warnings, list) and warnings else {},
        implausible=float(share or 0),
        bands={",".join(facts.scene.bands): 1},
    )
