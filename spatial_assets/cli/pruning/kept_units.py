"""Units of a tile's manifest that the project keeps, and those that it keeps no longer, by reason.

Pure. Indices and boundary sets that left the project, periods outside `[scenes] datetime` or older
than `[retention] periods`, and pixels that `[retention]` releases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Self

from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER, TILE_INDEX, Chain, chain_of
from spatial_assets.pipeline.tile.retention import FirstKept, period_of, releasable_units
from spatial_assets.pipeline.tile.tile_index import ROWS_UNIT
from spatial_assets.project import Project
from spatial_assets.project.sections.retention import RetentionSettings
from spatial_assets.project.sections.scenes import Interval
from spatial_assets.stores.objects.manifests import StageEntry, TileManifest
from spatial_assets.stores.objects.store import ObjectInfo
from spatial_assets.stores.stage_facts import (
    WHOLE_STAGE,
    IndexFacts,
    StatisticsFacts,
    WholeStageFacts,
)


class Outdated(StrEnum):
    """Reasons for which objects of a tile are kept no longer, as the user reads them."""

    OLD = "of periods that [retention] periods keeps no longer"
    OUTSIDE = "of periods outside [scenes] datetime"
    RAW = "in raw_tile that [retention] releases"
    REPROJECTED = "in reprojected_raster that [retention] releases"


@dataclass(frozen=True, kw_only=True)
class PrunedManifest:
    """A manifest without what is kept no longer."""

    manifest: TileManifest
    objects: Mapping[Outdated, Sequence[ObjectInfo]]
    """Reason -> objects that are deleted; those of former indices are deleted with their cube."""

    periods: frozenset[str] = frozenset()
    """Labels of the removed periods."""

    scenes_outside: frozenset[str] = frozenset()
    """Scenes of the periods that were outside [scenes] datetime."""


@dataclass(frozen=True, kw_only=True)
class OutdatedUnits:
    """Figures of what is kept no longer of one tile; those of all tiles are held at once."""

    sizes: Mapping[Outdated, tuple[int, int]]
    """Reason -> number of objects, and their bytes."""

    periods: frozenset[str]
    scenes_outside: frozenset[str]

    @classmethod
    def of(cls, pruned: PrunedManifest) -> Self:
        """Return the figures of a pruned manifest."""
        sizes = {
            why: (len(found), sum(info.size for info in found))
            for why, found in pruned.objects.items()
        }
        return cls(sizes=sizes, periods=pruned.periods, scenes_outside=pruned.scenes_outside)


@dataclass(frozen=True, kw_only=True)
class KeptUnits:
    """Settings that decide which units are kept."""

    chain: Chain
    boundaries: frozenset[str]
    retention: RetentionSettings
    interval: Interval
    """Interval that [scenes] datetime asks for."""

    today: date
    periods: Periods | None = None
    """Time axis of the cubes; None: there are none."""

    @classmethod
    def of(cls, project: Project, periods: Periods | None, *, today: date) -> Self:
        """Return the settings of a project."""
        return cls(
            chain=chain_of(project),
            boundaries=frozenset(each.name for each in project.boundaries),
            retention=project.retention,
            interval=project.scenes.interval,
            today=today,
            periods=periods,
        )

    def pruned(self, manifest: TileManifest) -> PrunedManifest:
        """Return a whole manifest without what is kept no longer."""
        work = _Work(manifest)
        for stage, unit, entry in work.units():
            if stage not in self.chain.stages or self._is_of_former_set(unit, entry):
                work.manifest = work.manifest.without(stage, unit)
        if self.periods is not None:
            first = self._first_kept(manifest, self.periods)
            self._remove_periods(work, first, self.periods)
            self._release(work, first, self.periods)
        before, after = (_index_units(each) for each in (manifest, work.manifest))
        if before != after:  # rows of `tile_index` go too: they are made anew, whatever comes back
            work.manifest = work.manifest.without(TILE_INDEX, ROWS_UNIT)
        return PrunedManifest(
            manifest=work.manifest,
            objects=dict(work.objects),
            periods=frozenset(work.periods),
            scenes_outside=frozenset(work.scenes_outside),
        )

    def is_outside(self, period: int) -> bool:
        """Return True if [scenes] datetime asks for no day of a period."""
        assert self.periods is not None  # noqa: S101 - for mypy
        start, end = self.interval.start, self.interval.end
        return (start is not None and self.periods.last_day(period) < start.date()) or (
            end is not None and self.periods.first_day(period) > end.date()
        )

    def first_day(self, manifest: TileManifest) -> str:
        """Return the ISO date of the first day that [retention] periods keeps; empty: all are."""
        if self.periods is None or self.retention.periods is None:
            return ""
        first = self._first_kept(manifest, self.periods)
        return self.periods.first_day(first.periods).isoformat()

    def is_old(self, period_start: str, *, first_day: str) -> bool:
        """Return True if a period is kept no longer, by the ISO date of its first day.

        Args:
            period_start: first day of the period.
            first_day: see `first_day`.
        """
        assert self.periods is not None  # noqa: S101 - for mypy
        day = max(date.fromisoformat(period_start), self.periods.first_day(0))
        return period_start < first_day or self.is_outside(self.periods.index_of(day))

    def _is_of_former_set(self, unit: str, entry: StageEntry) -> bool:
        is_statistics = isinstance(entry.facts, StatisticsFacts)
        return is_statistics and unit.partition("/")[2] not in self.boundaries

    def _first_kept(self, manifest: TileManifest, periods: Periods) -> FirstKept:
        """Return the first kept periods, counted from the newest when the tile last ran."""
        known = manifest.facts(RAW, WholeStageFacts).get(WHOLE_STAGE, WholeStageFacts()).periods
        newest = max(known or (), default=0)
        return FirstKept.of(self.retention, periods, newest=newest, today=self.today)

    def _remove_periods(self, work: _Work, first: FirstKept, periods: Periods) -> None:
        for stage, unit, entry in work.units():
            period = period_of(entry, periods)
            if period is None:
                continue
            if period < first.periods:
                work.remove(stage, unit, entry, why=Outdated.OLD)
            elif self.is_outside(period):
                work.remove(stage, unit, entry, why=Outdated.OUTSIDE)
            else:
                continue
            work.periods.add(periods.label(period))
        whole = work.manifest.entry(RAW, WHOLE_STAGE)
        if work.periods and whole is not None and isinstance(whole.facts, WholeStageFacts):
            kept = tuple(
                each
                for each in whole.facts.periods or ()
                if each >= first.periods and not self.is_outside(each)
            )
            facts = replace(whole.facts, periods=kept)
            work.manifest = work.manifest.with_entry(RAW, WHOLE_STAGE, replace(whole, facts=facts))

    def _release(self, work: _Work, first: FirstKept, periods: Periods) -> None:
        found = releasable_units(work.manifest, periods, first, indices=self.chain.indices)
        for stage, unit in tuple(found):
            entry = work.manifest.units(stage)[unit]
            why = {RAW: Outdated.RAW, REPROJECTED_RASTER: Outdated.REPROJECTED}[stage]
            work.objects[why] += entry.objects
            work.manifest = work.manifest.with_entry(stage, unit, entry.without_objects())


def _index_units(manifest: TileManifest) -> set[tuple[str, str]]:
    """Return (stage, unit) of the periods of all indices."""
    return {
        (stage, unit)
        for stage, units in manifest.stages.items()
        for unit, entry in units.items()
        if isinstance(entry.facts, IndexFacts)
    }


@dataclass
class _Work:
    """A manifest while units are taken out of it."""

    manifest: TileManifest
    objects: defaultdict[Outdated, list[ObjectInfo]] = field(
        default_factory=lambda: defaultdict(list)
    )
    periods: set[str] = field(default_factory=set)
    scenes_outside: set[str] = field(default_factory=set)

    def units(self) -> list[tuple[str, str, StageEntry]]:
        """Return (stage, unit, entry) of all units."""
        return [
            (stage, unit, entry)
            for stage, units in self.manifest.stages.items()
            for unit, entry in units.items()
        ]

    def remove(self, stage: str, unit: str, entry: StageEntry, *, why: Outdated) -> None:
        """Take a unit out."""
        if entry.objects:
            self.objects[why] += entry.objects
        if stage == RAW and why is Outdated.OUTSIDE:
            self.scenes_outside.add(unit)
        self.manifest = self.manifest.without(stage, unit)
