"""The books of one walk: which units stand, which were made, and what that makes of each stage.

Which units of a manifest the store no longer holds as they were committed.

Asked before every walk, so in few requests: a folder that is the tile's own is listed once.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.outcome import CheckOutcome, StageOutcome, State, TileOutcome
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER
from spatial_assets.pipeline.tile.task import IndexRow, StatisticsRows, TileResult, TileTask
from spatial_assets.stores.objects.manifests import StageEntry, TileManifest, holds
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore

WHOLE = ""
"""The unit of a manifest that stands for a whole stage: it says that the stage has run."""


class ManifestBuilder:
    """Counts what a walk does, over all its attempts, and turns it into a manifest and outcomes."""

    def __init__(self, task: TileTask) -> None:
        self.at = task.stages[0]
        """The stage being worked on: where an exception belongs."""

        self.manifest = task.manifest
        self.index_rows: tuple[IndexRow, ...] | None = None
        self._task = task
        self._checks: dict[tuple[str, str], CheckOutcome] = {}
        self._statistics: dict[tuple[str, int, str], StatisticsRows] = {}
        self._made: dict[str, set[str]] = defaultdict(set)
        self._lost: dict[str, list[str]] = defaultdict(list)
        self._facts: dict[str, dict[str, object]] = defaultdict(dict)
        self._dropped: list[str] = []
        self._empty: set[str] = set()
        self._closed: set[str] = set()

    def begin(self, store: ObjectStore) -> None:
        """Start an attempt: what is not in the store as it was committed must be made again."""
        self.at = self._task.stages[0]
        self._closed.clear()
        self._empty.clear()
        self._lost.clear()
        for stage, unit in lost_units(store, self.manifest):
            if stage in self._task.stages:
                self.manifest = self.manifest.without(stage, unit)
                self._made[stage].add(unit)
            else:
                self._lost[stage].append(unit)

    def standing(self, stage: str, unit: str, wanted: str) -> bool:
        """Whether a unit is in the store with the fingerprint `wanted`."""
        entry = self.manifest.entry(stage, unit)
        return entry is not None and entry.fingerprint == wanted

    def make(self, stage: str, unit: str, entry: StageEntry) -> None:
        """Note a unit that was made in this walk."""
        self.manifest = self.manifest.with_entry(stage, unit, entry)
        self._made[stage].add(unit)

    def drop(self, stage: str, unit: str) -> None:
        """Forget a unit for good; its objects are deleted after the commit."""
        entry = self.manifest.entry(stage, unit)
        if entry is not None:
            self._dropped += [info.path for info in entry.objects]
            self.manifest = self.manifest.without(stage, unit)
            self._made[stage].add(unit)

    def has_run(self, stage: str) -> bool:
        """Whether a stage has been made for this tile, by this walk or before."""
        return self.manifest.entry(stage, WHOLE) is not None

    def require_intact(self, stage: str, *, for_stage: str) -> None:
        """Refuse to go on from a stored stage of which something is gone.

        Raises:
            MissingInputError: naming the selection that makes it again.
        """
        if not self._lost[stage]:
            return
        lost = ", ".join(sorted(self._lost[stage])[:3])
        message = (
            f"{stage} of tile {self._task.tile.key} is not as it was committed: {lost} is gone or "
            f'damaged, and {for_stage} needs it; materialize {stage} again (--select "{stage}+")'
        )
        raise MissingInputError(message)

    def units(self, stage: str) -> Mapping[str, StageEntry]:
        """The units of a stage, without the one that stands for the whole."""
        units = self.manifest.units(stage)
        return {unit: entry for unit, entry in units.items() if unit != WHOLE}

    def made(self, stage: str) -> bool:
        """Whether anything of a stage was made or dropped in this walk."""
        return bool(self._made[stage])

    def whole(self, stage: str) -> Mapping[str, object]:
        """Facts of a stage as it was last closed; empty where it never was."""
        entry = self.manifest.entry(stage, WHOLE)
        return {} if entry is None else entry.facts

    def report(self, stage: str, **facts: object) -> None:
        """Add to the facts of a stage's outcome."""
        self._facts[stage].update(facts)

    def check(self, outcome: CheckOutcome) -> None:
        """Note what a check said; what it says last counts."""
        self._checks[(outcome.stage, outcome.check)] = outcome

    def said(self, check: str) -> CheckOutcome | None:
        """What a check said last; None: nothing."""
        return next((each for each in self._checks.values() if each.check == check), None)

    def summarise(self, rows: StatisticsRows) -> None:
        """Note rows for the database."""
        self._statistics[(rows.index, rows.period, rows.boundary_table)] = rows

    def empty(self, stage: str) -> None:
        """Note that a stage has nothing valid to show."""
        self._empty.add(stage)

    def close(self, stage: str, **facts: object) -> None:
        """Note that a selected stage is complete for this tile; `facts` are kept beside it."""
        before = self._task.manifest.entry(stage, WHOLE)
        entry = StageEntry(self.fingerprint_of(stage), facts=facts)
        self.manifest = self.manifest.with_entry(stage, WHOLE, entry)
        self._closed.add(stage)
        if before is None or before.fingerprint != entry.fingerprint:
            self._made[stage].add(WHOLE)

    def fingerprint_of(self, stage: str) -> str:
        """Hash over the units of a stage: the data version of its Dagster event."""
        units = sorted((unit, entry.fingerprint) for unit, entry in self.units(stage).items())
        return fingerprint(stage, units)

    @property
    def checks(self) -> tuple[CheckOutcome, ...]:
        """What the checks said."""
        return tuple(self._checks.values())

    def outcomes(self) -> tuple[StageOutcome, ...]:
        """One outcome for each selected stage."""
        return tuple(self._outcome(stage) for stage in self._task.stages)

    def cut_short(self, outcome: TileOutcome) -> TileOutcome:
        """The outcome of a walk that broke off: stages that were complete by then are good."""
        stages = tuple(
            self._outcome(each.stage) if each.stage in self._closed else each
            for each in outcome.stages
        )
        return replace(outcome, stages=stages, checks=self.checks)

    def _outcome(self, stage: str) -> StageOutcome:
        entries = self.units(stage).values()
        empty = stage in self._empty
        if not self._made[stage]:
            state = State.UNCHANGED
        else:
            state = State.EMPTY if empty else State.MATERIALIZED
        size = sum(info.size for entry in entries for info in entry.objects)
        facts = {"bytes": size, "units_made": len(self._made[stage]), **self._facts[stage]}
        return StageOutcome(
            stage=stage,
            state=state,
            fingerprint=self.fingerprint_of(stage),
            facts=facts,
            empty=empty,
        )

    def result(self, outcome: TileOutcome) -> TileResult:
        """What goes back to the driver; of a walk that broke off, the units that it finished."""
        manifest = self._trusted()
        named = {info.path for info in manifest.objects()}
        return TileResult(
            outcome=outcome,
            manifest=manifest,
            index_rows=self.index_rows,
            statistics=tuple(self._statistics.values()),
            dropped_objects=tuple(sorted(set(self._dropped) - named)),
        )

    def _trusted(self) -> TileManifest:
        """The manifest; a stage that was begun and not finished does not count as having run."""
        manifest = self.manifest
        for stage in self._task.stages:
            if stage not in self._closed and self._made[stage]:
                manifest = manifest.without(stage, WHOLE)
        return manifest


MIN_LISTED_OBJECTS = 3
"""Objects of a stage from which one listing is cheaper than asking for each."""

MAX_CONCURRENT_HEADS = 8


def lost_units(store: ObjectStore, manifest: TileManifest) -> tuple[tuple[str, str], ...]:
    """(stage, unit) of what is gone, or not what was committed, in the order of the manifest."""
    asked: list[tuple[str, str, ObjectInfo]] = []
    for stage, units in manifest.stages.items():
        listed = _listed(store, stage, units)
        asked += [
            (stage, unit, info)
            for unit, entry in units.items()
            for info in entry.objects
            if not _same(listed.get(info.path), info)
        ]
    return tuple(dict.fromkeys(_not_held(store, asked)))


def _listed(
    store: ObjectStore, stage: str, units: Mapping[str, StageEntry]
) -> dict[str, ObjectInfo]:
    """What lies in the stage's folder of the tile; nothing where each object is asked for."""
    paths = [info.path for entry in units.values() for info in entry.objects]
    if stage not in {RAW, REPROJECTED_RASTER} or len(paths) < MIN_LISTED_OBJECTS:
        return {}  # the shards of a cube lie among those of other tiles
    folder = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    return {info.path: info for info in store.list(folder)}


def _same(found: ObjectInfo | None, info: ObjectInfo) -> bool:
    return found is not None and found.size == info.size and found.etag == info.etag != ""


def _not_held(
    store: ObjectStore, asked: list[tuple[str, str, ObjectInfo]]
) -> Iterator[tuple[str, str]]:
    """Those of `asked` that the store does not hold; where only the etag differs, bytes decide."""
    if len(asked) < MIN_LISTED_OBJECTS:
        answers = [holds(store, info) for _, _, info in asked]
    else:
        answers = list(_askers().map(lambda each: holds(store, each[2]), asked))
    for (stage, unit, _), held in zip(asked, answers, strict=True):
        if not held:
            yield stage, unit


@cache
def _askers() -> ThreadPoolExecutor:
    """Those who ask; starting them for each tile would cost more than most answers."""
    return ThreadPoolExecutor(MAX_CONCURRENT_HEADS, thread_name_prefix="intact")
