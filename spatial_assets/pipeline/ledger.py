"""The books of one walk: which units stand, which were made, and what that makes of each stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.outcome import CheckOutcome, StageOutcome, State, TileOutcome
from spatial_assets.pipeline.stages import RAW, REPROJECTED
from spatial_assets.pipeline.task import IndexRow, StatisticsRows, TileResult, TileTask
from spatial_assets.stores.manifests import StageEntry, TileManifest, intact
from spatial_assets.stores.objects import ObjectStore

WHOLE = ""
"""The unit of a manifest that stands for a whole stage: it says that the stage has run."""


class Ledger:
    """Counts what a walk does, and turns it into a manifest and outcomes."""

    def __init__(self, task: TileTask) -> None:
        self.at = task.stages[0]
        """The stage being worked on: where an exception belongs."""

        self.manifest = task.manifest
        self.checks: list[CheckOutcome] = []
        self.index_rows: tuple[IndexRow, ...] | None = None
        self.statistics: list[StatisticsRows] = []
        self._task = task
        self._made: dict[str, list[str]] = defaultdict(list)
        self._facts: dict[str, dict[str, object]] = defaultdict(dict)
        self._dropped: list[str] = []
        self._empty: set[str] = set()
        self._finished = False

    def keep_intact(self, store: ObjectStore) -> None:
        """Forget every unit whose objects are not what was committed: it is made again."""
        for stage, units in self.manifest.stages.items():
            for unit, entry in units.items():
                if not intact(store, [entry]):
                    self.manifest = self.manifest.without(stage, unit)

    def standing(self, stage: str, unit: str, wanted: str) -> bool:
        """Whether a unit is in the store with the fingerprint `wanted`."""
        entry = self.manifest.entry(stage, unit)
        return entry is not None and entry.fingerprint == wanted

    def make(self, stage: str, unit: str, entry: StageEntry) -> None:
        """Note a unit that was made in this walk."""
        self.manifest = self.manifest.with_entry(stage, unit, entry)
        self._made[stage].append(unit)

    def drop(self, stage: str, unit: str) -> None:
        """Forget a unit for good; its objects are deleted after the commit."""
        entry = self.manifest.entry(stage, unit)
        if entry is not None:
            self._dropped += [info.path for info in entry.objects]
            self.manifest = self.manifest.without(stage, unit)
            self._made[stage].append(unit)

    def has_run(self, stage: str) -> bool:
        """Whether a stage has been made for this tile, by this walk or before."""
        return self.manifest.entry(stage, WHOLE) is not None

    def units(self, stage: str) -> Mapping[str, StageEntry]:
        """The units of a stage, without the one that stands for the whole."""
        units = self.manifest.units(stage)
        return {unit: entry for unit, entry in units.items() if unit != WHOLE}

    def report(self, stage: str, **facts: object) -> None:
        """Add to the facts of a stage's outcome."""
        self._facts[stage].update(facts)

    def empty(self, stage: str) -> None:
        """Note that a stage has nothing valid to show."""
        self._empty.add(stage)

    def close(self, stage: str) -> None:
        """Note that a selected stage is complete for this tile."""
        before = self._task.manifest.entry(stage, WHOLE)
        entry = StageEntry(self.fingerprint_of(stage))
        self.manifest = self.manifest.with_entry(stage, WHOLE, entry)
        if before is None or before.fingerprint != entry.fingerprint:
            self._made[stage].append(WHOLE)

    def fingerprint_of(self, stage: str) -> str:
        """Hash over the units of a stage: the data version of its Dagster event."""
        units = sorted((unit, entry.fingerprint) for unit, entry in self.units(stage).items())
        return fingerprint(stage, units)

    def finish(self) -> None:
        """Note that the walk reached its end."""
        self._finished = True

    def outcomes(self) -> tuple[StageOutcome, ...]:
        """One outcome for each selected stage."""
        return tuple(self._outcome(stage) for stage in self._task.stages)

    def _outcome(self, stage: str) -> StageOutcome:
        entries = self.units(stage).values()
        if not self._made[stage]:
            state = State.UNCHANGED
        else:
            state = State.EMPTY if stage in self._empty else State.MATERIALIZED
        size = sum(info.size for entry in entries for info in entry.objects)
        facts = {"bytes": size, "units_made": len(self._made[stage]), **self._facts[stage]}
        return StageOutcome(
            stage=stage, state=state, fingerprint=self.fingerprint_of(stage), facts=facts
        )

    def result(self, outcome: TileOutcome, *, transient: bool) -> TileResult:
        """What goes back to the driver: everything, or what can be kept of a walk cut short."""
        if self._finished:
            return TileResult(
                outcome=outcome,
                manifest=self.manifest,
                index_rows=self.index_rows,
                statistics=tuple(self.statistics),
                dropped_objects=tuple(sorted(set(self._dropped) - self._named())),
            )
        return TileResult(outcome=outcome, manifest=self._salvaged(), transient=transient)

    def _named(self) -> set[str]:
        return {info.path for info in self.manifest.objects()}

    def _salvaged(self) -> TileManifest:
        """The manifest without what the walk wrote but could not bring to the database.

        Inputs have no rows: what was read and reprojected stays, and is not done again.
        """
        kept = self.manifest
        for stage, units in self._made.items():
            for unit in units:
                if stage not in {RAW, REPROJECTED} or unit == WHOLE:
                    kept = kept.without(stage, unit)
        return kept
