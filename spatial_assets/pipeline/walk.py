"""One tile through the selected stages, in a worker: read, compute, store, report.

A worker reads and writes the object store and nothing else. It never raises: whatever goes
wrong becomes an outcome, and what was finished before is kept.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace

from spatial_assets.geo.preview import preview_png
from spatial_assets.pipeline.bench import Bench
from spatial_assets.pipeline.failures import TileQuarantinedError, outcome_of, trouble_of
from spatial_assets.pipeline.inputs import InputStages
from spatial_assets.pipeline.ledger import Ledger
from spatial_assets.pipeline.outcome import TileOutcome
from spatial_assets.pipeline.products import ProductStages
from spatial_assets.pipeline.stages import RAW
from spatial_assets.pipeline.standing import input_fingerprint
from spatial_assets.pipeline.task import TileResult, TileTask
from spatial_assets.project import Project
from spatial_assets.stores.objects import ObjectStore

ATTEMPTS = 3
"""Of a tile whose trouble may pass; every read and write below has retries of its own."""

FIRST_PAUSE = 1.0
"""Seconds before the second attempt, doubled each time, with jitter so that workers part."""


@dataclass(frozen=True)
class Walker:
    """Walks tiles; picklable, so that it is what workers are sent."""

    project: Project
    store: ObjectStore

    def __call__(self, task: TileTask) -> TileResult:
        """Walk one tile, again where that may help."""
        pauses = random.Random(task.tile.key)  # noqa: S311 - jitter guards nothing
        for attempt in range(ATTEMPTS):
            result = self.once(task)
            if not result.transient or attempt == ATTEMPTS - 1:
                return result
            time.sleep(FIRST_PAUSE * 2**attempt * pauses.uniform(0.5, 1.0))
            task = replace(task, manifest=result.manifest)
        raise AssertionError  # pragma: no cover - the last attempt returns

    def once(self, task: TileTask) -> TileResult:
        """Walk one tile once; every exception becomes an outcome here."""
        started = time.perf_counter()
        ledger = Ledger(task)
        try:
            walk = TileWalk(task, Bench.of(self.project, self.store), ledger)
            outcome = walk.run()
            transient = False
        except Exception as error:  # noqa: BLE001 - judged by failures.py, the one place for it
            outcome = outcome_of(
                error,
                task.tile.key,
                stages=task.stages,
                at=ledger.at,
                inputs=input_fingerprint(task.scenes, task.rejected),
            )
            transient = trouble_of(error).transient
        outcome = replace(outcome, seconds=time.perf_counter() - started)
        return ledger.result(outcome, transient=transient)


class TileWalk:
    """The stages of one tile, upstream first."""

    def __init__(self, task: TileTask, bench: Bench, ledger: Ledger) -> None:
        self._task = task
        self._bench = bench
        self._ledger = ledger
        self._inputs = InputStages(task, bench, ledger)
        self._products = ProductStages(task, bench, ledger)

    def run(self) -> TileOutcome:
        """Walk; returns how it went.

        Raises:
            TileQuarantinedError: scenes exist for the tile and none can be used, or a check
                failed on its pixels.
        """
        self._ledger.keep_intact(self._bench.store)
        self._inputs.read()
        if RAW in self._task.stages:
            self._refuse_unusable()
        for period in self._inputs.periods:
            layers = self._inputs.layers(period)
            self._products.make(period, layers)
        self._inputs.finish()
        self._products.finish()
        self._ledger.finish()
        return TileOutcome(
            tile=self._task.tile.key,
            stages=self._ledger.outcomes(),
            checks=tuple(self._ledger.checks),
            preview=self._preview(),
        )

    def _refuse_unusable(self) -> None:
        """Quarantine a tile that scenes were taken of, none of which can be used."""
        refused = {scene.id: scene.reason for scene in self._task.rejected}
        unreadable = dict.fromkeys(self._inputs.unreadable, "unreadable")
        existing = len(refused) + len(self._inputs.records)
        if not existing or len(unreadable) < len(self._inputs.records):
            return
        evidence = {**refused, **unreadable}
        named = ", ".join(f"{scene} ({reason})" for scene, reason in sorted(evidence.items()))
        message = (
            f"{existing} scenes reach the tile and none can be used: {named}; "
            "replace the files or add another scene, then materialize the tile again"
        )
        raise TileQuarantinedError(message, reason="no_usable_scene", evidence={"scenes": evidence})

    def _preview(self) -> bytes:
        """A small picture of the newest period that was composed in this walk."""
        newest = self._products.newest
        return b"" if newest is None else preview_png(newest)
