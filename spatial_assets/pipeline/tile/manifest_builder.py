"""Manifest and outcomes of one tile, built up while its stages run.

Before each attempt the builder drops every unit whose objects the store no longer holds as they
were committed. It takes few requests for that: a folder that belongs to the tile is listed once.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.outcome import CheckOutcome, StageOutcome, State, TileOutcome
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.pipeline.tile.task import (
    MONTH_DIGITS,
    IndexRow,
    StatisticsRows,
    TileResult,
    TileTask,
)
from spatial_assets.stores.objects.manifests import Settled, StageEntry, TileManifest, holds
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore
from spatial_assets.stores.stage_facts import (
    WHOLE_STAGE,
    FactsT,
    SceneUnitFacts,
    WholeStageFacts,
)


class ManifestBuilder:
    """Records what a walk does, over all its attempts, as a manifest and outcomes."""

    def __init__(self, task: TileTask) -> None:
        self.stage = task.stages[0]
        """The stage being worked on: an exception belongs to it."""

        self.manifest = task.manifest
        self.index_rows: tuple[IndexRow, ...] | None = None
        self._task = task
        self._checks: dict[tuple[str, str], CheckOutcome] = {}
        self._statistics: dict[tuple[str, int, str], StatisticsRows] = {}
        self._changed: dict[str, set[str]] = defaultdict(set)
        self._lost: dict[str, list[str]] = defaultdict(list)
        self._reported: dict[str, dict[str, object]] = defaultdict(dict)
        self._dropped: list[str] = []
        self._empty: set[str] = set()
        self._closed: set[str] = set()

    def begin(self, store: ObjectStore) -> None:
        """Start an attempt: units that are not in the store as committed must be made again."""
        self.stage = self._task.stages[0]
        self._closed.clear()
        self._empty.clear()
        self._lost.clear()
        for stage, unit in lost_units(store, self.manifest):
            if stage in self._task.stages:
                self.manifest = self.manifest.without(stage, unit)
                self._changed[stage].add(unit)
            else:
                self._lost[stage].append(unit)

    @contextmanager
    def in_stage(self, stage: str) -> Iterator[None]:
        """Work on a stage in this block."""
        outer, self.stage = self.stage, stage
        yield
        self.stage = outer  # not after an exception, which belongs to `stage`

    def is_current(self, stage: str, unit: str, *expected: str) -> bool:
        """Return True if the store holds a unit with one of the fingerprints `expected`."""
        entry = self.manifest.entry(stage, unit)
        return entry is not None and entry.fingerprint in expected

    def add(self, stage: str, unit: str, entry: StageEntry) -> None:
        """Record a unit that was made in this walk."""
        self.manifest = self.manifest.with_entry(stage, unit, entry)
        self._changed[stage].add(unit)

    def describe(self, stage: str, scene: SceneRecord) -> None:
        """Bring up to date what the manifest says of a scene whose pixels stay as they are.

        Later stages, also of later runs, take the scene's day and platform from there.
        """
        entry = self.manifest.entry(stage, scene.id)
        facts = None if entry is None else entry.facts
        if entry is None or not isinstance(facts, SceneUnitFacts):
            return
        if not scene.is_described_by(facts.scene):
            described = replace(facts, scene=scene.to_stored())
            entry = replace(entry, facts=described)
            self.manifest = self.manifest.with_entry(stage, scene.id, entry)

    def restate(self, stage: str, unit: str, entry: StageEntry) -> None:
        """Record a unit that stays as it is under another fingerprint."""
        self.manifest = self.manifest.with_entry(stage, unit, entry)

    def drop(self, stage: str, unit: str) -> None:
        """Remove a unit for good; its objects are deleted after the commit."""
        entry = self.manifest.entry(stage, unit)
        if entry is not None:
            self._dropped += [info.path for info in entry.objects]
            self.manifest = self.manifest.without(stage, unit)
            self._changed[stage].add(unit)

    def release(self, stage: str, unit: str) -> None:
        """Keep a unit without its objects, which are deleted after the commit."""
        entry = self.manifest.entry(stage, unit)
        if entry is not None:
            self._dropped += [info.path for info in entry.objects]
            self.manifest = self.manifest.with_entry(stage, unit, entry.without_objects())

    def has_run(self, stage: str) -> bool:
        """Return True if a stage was completed for this tile, in this walk or an earlier one."""
        return self.manifest.entry(stage, WHOLE_STAGE) is not None

    def require_intact(self, stage: str) -> None:
        """Refuse to continue from a stored stage that has lost objects.

        Raises:
            MissingInputError: with the selection that makes it again.
        """
        if not self._lost[stage]:
            return
        lost = ", ".join(sorted(self._lost[stage])[:3])
        message = (
            f"{stage} of tile {self._task.tile.key} is not as it was committed: {lost} is missing "
            f"or damaged, and {self.stage} needs it; materialize {stage} again "
            f'(--select "{stage}+")'
        )
        raise MissingInputError(message)

    def units(self, stage: str) -> Mapping[str, StageEntry]:
        """Return the units of a stage, without the one that stands for the whole."""
        units = self.manifest.units(stage)
        return {unit: entry for unit, entry in units.items() if unit != WHOLE_STAGE}

    def facts(self, stage: str, kind: type[FactsT]) -> dict[str, FactsT]:
        """Return the facts of the units of a stage."""
        return self.manifest.facts(stage, kind)

    def whole(self, stage: str) -> WholeStageFacts:
        """Return the facts of a stage when it was last completed."""
        return self.facts(stage, WholeStageFacts).get(WHOLE_STAGE, WholeStageFacts())

    def has_changed(self, stage: str) -> bool:
        """Return True if a unit of the stage was made or dropped in this walk."""
        return bool(self._changed[stage])

    def changed_units(self, stage: str) -> frozenset[str]:
        """Return the units of the stage that were made or dropped in this walk."""
        return frozenset(self._changed[stage])

    def has_closed(self, stages: Iterable[str]) -> bool:
        """Return True if this walk completed all of some stages."""
        return self._closed.issuperset(stages)

    def settle(self, inputs: Mapping[str, str]) -> None:
        """Record the inputs that the units of some spans are up to date with.

        Args:
            inputs: span, see `TileTask.span_of` -> hash of its inputs.
        """
        kept: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for scene in self._task.kept:
            kept[scene.solar_day.isoformat()[:MONTH_DIGITS]].append((scene.id, scene.granule))
        settled = {
            month: Settled(inputs[span], tuple(kept[month]))
            for month in self.manifest.months()
            if (span := self._task.span_of(month)) in inputs
        }
        self.manifest = replace(self.manifest, settled={**self.manifest.settled, **settled})

    def report(self, stage: str, **facts: object) -> None:
        """Add facts to the outcome of a stage."""
        self._reported[stage].update(facts)

    def check(self, outcome: CheckOutcome) -> None:
        """Record the result of a check; the last one counts."""
        self._checks[(outcome.stage, outcome.check)] = outcome

    def last_check(self, check: str) -> CheckOutcome | None:
        """Return the last result of a check, or None."""
        return next((each for each in self._checks.values() if each.check == check), None)

    def warn(self, check: str, warnings: Sequence[str]) -> None:
        """Let a check that was recorded fail with further warnings."""
        found = self.last_check(check)
        if found is not None and warnings:
            verdict = replace(found.verdict, passed=False)
            self.check(replace(found, verdict=verdict, warnings=(*found.warnings, *warnings)))

    def add_statistics(self, rows: StatisticsRows) -> None:
        """Record rows for the database."""
        self._statistics[(rows.index, rows.period, rows.boundary_table)] = rows

    def mark_empty(self, stage: str) -> None:
        """Record that a stage has no valid pixel."""
        self._empty.add(stage)

    def close(self, stage: str, facts: WholeStageFacts | None = None) -> None:
        """Record that a selected stage is complete for this tile, with facts of the whole."""
        before = self._task.manifest.entry(stage, WHOLE_STAGE)
        entry = StageEntry(self.fingerprint_of(stage), facts=facts)
        self.manifest = self.manifest.with_entry(stage, WHOLE_STAGE, entry)
        self._closed.add(stage)
        if before is None or before.fingerprint != entry.fingerprint:
            self._changed[stage].add(WHOLE_STAGE)

    def fingerprint_of(self, stage: str) -> str:
        """Hash the units of a stage: the data version of its Dagster event.

        It was a hash of all units at once, and stays so for as long as nothing changes.
        """
        whole = self.manifest.entry(stage, WHOLE_STAGE)
        if whole is not None and (not self._changed[stage] or self._is_of_old(stage, whole)):
            return whole.fingerprint
        return fingerprint_of_stage(self.manifest, stage)

    def _is_of_old(self, stage: str, whole: StageEntry) -> bool:
        """Return True if a stage is as a manifest that was one document describes it."""
        expected = first_fingerprint_of_stage(self.manifest, stage)
        return not self.manifest.unread and whole.fingerprint == expected

    @property
    def checks(self) -> tuple[CheckOutcome, ...]:
        """Results of the checks."""
        return tuple(self._checks.values())

    def outcomes(self) -> tuple[StageOutcome, ...]:
        """Return one outcome for each selected stage."""
        return tuple(self._outcome(stage) for stage in self._task.stages)

    def cut_short(self, outcome: TileOutcome) -> TileOutcome:
        """Return the outcome of a walk that failed: the stages completed before are good."""
        stages = tuple(
            self._outcome(each.stage) if each.stage in self._closed else each
            for each in outcome.stages
        )
        return replace(outcome, stages=stages, checks=self.checks)

    def _outcome(self, stage: str) -> StageOutcome:
        empty = stage in self._empty
        if not self._changed[stage]:
            state = State.UNCHANGED
        else:
            state = State.EMPTY if empty else State.MATERIALIZED
        size = self.manifest.summary(stage).bytes
        changed = len(self._changed[stage])
        if stage in self._task.accepted:
            self.report(stage, accepted_code=", ".join(self._task.accepted[stage]))
        return StageOutcome(
            stage=stage,
            state=state,
            fingerprint=self.fingerprint_of(stage),
            facts={"bytes": size, "units_made": changed, **self._reported[stage]},
            empty=empty,
        )

    def result(self, outcome: TileOutcome) -> TileResult:
        """Return the result for the driver; after a failure, with the units finished before."""
        manifest = self._trusted()
        named = {info.path for info in manifest.objects()}
        return TileResult(
            outcome=outcome,
            manifest=manifest,
            index_rows=self.index_rows,
            index_rows_are_all=not manifest.unread,
            statistics=tuple(self._statistics.values()),
            dropped_objects=tuple(sorted(set(self._dropped) - named)),
        )

    def _trusted(self) -> TileManifest:
        """Return the manifest, in which a stage that was begun and not completed has not run."""
        manifest = self.manifest
        for stage in self._task.stages:
            if stage not in self._closed and self._changed[stage]:
                manifest = manifest.without(stage, WHOLE_STAGE)
        return manifest


MIN_LISTED_OBJECTS = 3
"""Number of objects in a stage from which one listing is cheaper than a request for each."""

MAX_CONCURRENT_HEADS = 8


def fingerprint_of_stage(manifest: TileManifest, stage: str) -> str:
    """Hash the units of a stage, without the one that stands for the whole."""
    return fingerprint(stage, manifest.hashes(stage))


def first_fingerprint_of_stage(manifest: TileManifest, stage: str) -> str:
    """Hash the units of a stage as for manifests that were one document; all must be read."""
    units = manifest.units(stage)
    prints = sorted((unit, entry.fingerprint) for unit, entry in units.items() if unit)
    return fingerprint(stage, prints)


def lost_units(store: ObjectStore, manifest: TileManifest) -> tuple[tuple[str, str], ...]:
    """Return (stage, unit) of missing or changed objects, in the order of the manifest."""
    unconfirmed: list[tuple[str, str, ObjectInfo]] = []
    for stage, units in manifest.stages.items():
        listed = _listed(store, stage, units, every=not manifest.unread)
        unconfirmed += [
            (stage, unit, info)
            for unit, entry in units.items()
            for info in entry.objects
            if not _is_same(listed.get(info.path), info)
        ]
    return tuple(dict.fromkeys(_not_held(store, unconfirmed)))


def _listed(
    store: ObjectStore, stage: str, units: Mapping[str, StageEntry], *, every: bool
) -> dict[str, ObjectInfo]:
    """List the stage's folder of the tile; empty where a request for each object is better.

    Unless the units are those of every month, the folder of each scene is listed: years of others
    lie beside them.
    """
    paths = [info.path for entry in units.values() for info in entry.objects]
    if stage not in {RAW, REPROJECTED_RASTER} or len(paths) < MIN_LISTED_OBJECTS:
        return {}  # the shards of a cube lie among those of other tiles
    folders = {posixpath.dirname(path) for path in paths}
    if every:
        folders = {posixpath.commonpath(sorted(folders))}
    elif stage == REPROJECTED_RASTER:
        return {}
    return {info.path: info for folder in sorted(folders) for info in store.list(folder)}


def _is_same(found: ObjectInfo | None, info: ObjectInfo) -> bool:
    return found is not None and found.size == info.size and found.etag == info.etag != ""


def _not_held(
    store: ObjectStore, unconfirmed: list[tuple[str, str, ObjectInfo]]
) -> Iterator[tuple[str, str]]:
    """Yield those that the store does not hold; where only the etag differs, the bytes decide."""
    if len(unconfirmed) < MIN_LISTED_OBJECTS:
        answers = [holds(store, info) for _, _, info in unconfirmed]
    else:
        answers = list(_threads().map(lambda each: holds(store, each[2]), unconfirmed))
    for (stage, unit, _), held in zip(unconfirmed, answers, strict=True):
        if not held:
            yield stage, unit


@cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads for requests; starting them for each tile costs more than most answers."""
    return ThreadPoolExecutor(MAX_CONCURRENT_HEADS, thread_name_prefix="intact")
