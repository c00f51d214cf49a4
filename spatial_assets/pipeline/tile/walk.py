"""One tile through the selected stages, in a worker: read, compute, store, report.

A worker reads and writes the object store and nothing else. It never raises: whatever goes
wrong becomes an outcome, and what was finished before is kept.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace

from spatial_assets.geo.pixels.thumbnail import preview_png
from spatial_assets.pipeline.failures import TileQuarantinedError, failure_of, outcome_of
from spatial_assets.pipeline.outcome import TileOutcome
from spatial_assets.pipeline.stages import RAW
from spatial_assets.pipeline.tile.manifest_builder import ManifestBuilder
from spatial_assets.pipeline.tile.product_stages import ProductStages
from spatial_assets.pipeline.tile.raw_tile import RawTileStage
from spatial_assets.pipeline.tile.reprojected_raster import ReprojectedStage
from spatial_assets.pipeline.tile.task import TileResult, TileTask, input_fingerprint
from spatial_assets.pipeline.tile.worker_context import WorkerContext
from spatial_assets.project import Project
from spatial_assets.retries import Backoff, with_retries
from spatial_assets.stores.objects.store import ObjectStore

TILE_BACKOFF = Backoff(first=1.0, largest=2.0, attempts=3)
"""Attempts of a tile whose error may pass; every read and write below has its own retries."""


@dataclass(frozen=True)
class Walker:
    """Walks tiles; picklable, so that it is what workers are sent."""

    project: Project
    store: ObjectStore

    def __call__(self, task: TileTask) -> TileResult:
        """Walk one tile, again where that may help; what one attempt made the next builds on."""
        started = time.perf_counter()
        builder = ManifestBuilder(task)
        jitter = random.Random(task.tile.key).random  # noqa: S311 - jitter guards nothing
        try:
            result = with_retries(
                lambda: self._attempt(task, builder),
                backoff=replace(TILE_BACKOFF, jitter=jitter),
                errors=(Exception,),
                may_pass=lambda error: failure_of(error).transient,
            )
        except Exception as error:  # noqa: BLE001 - judged by failures.py, the one place for it
            outcome = outcome_of(
                error,
                task.tile.key,
                stages=task.stages,
                at=builder.at,
                inputs=input_fingerprint(task.scenes, task.rejected, self.project.checks),
            )
            result = builder.result(builder.cut_short(outcome))
        seconds = time.perf_counter() - started
        return replace(result, outcome=replace(result.outcome, seconds=seconds))

    def _attempt(self, task: TileTask, builder: ManifestBuilder) -> TileResult:
        """Walk one tile once; what was finished before an exception can be committed."""
        walk = TileWalk(task, WorkerContext.of(self.project, self.store), builder)
        try:
            return builder.result(walk.run())
        except Exception:
            walk.break_off()
            raise


class TileWalk:
    """The stages of one tile, upstream first."""

    def __init__(self, task: TileTask, context: WorkerContext, builder: ManifestBuilder) -> None:
        self._task = task
        self._context = context
        self._builder = builder
        self._raw = RawTileStage(task, context, builder)
        self._layers = ReprojectedStage(task, context, raw=self._raw)
        self._products = ProductStages(task, context, builder)

    def run(self) -> TileOutcome:
        """Walk; returns how it went.

        Raises:
            TileQuarantinedError: scenes exist for the tile and none can be used, or a check
                failed on its pixels.
            MissingInputError: a stage stands on stored inputs that are not there.
        """
        self._builder.begin(self._context.store)
        self._raw.read()
        if RAW in self._task.stages:
            self._refuse_unusable()
        for period in self._layers.periods:
            # the layers are let go of before the statistics want memory of their own
            self._products.make_indices(period, self._layers.of_period(period))
            self._products.make_statistics(period)
        self._layers.finish()
        self._products.finish()
        return TileOutcome(
            tile=self._task.tile.key,
            stages=self._builder.outcomes(),
            checks=self._builder.checks,
            preview=self._preview(),
        )

    def break_off(self) -> None:
        """Leave what was finished in a state that can be committed."""
        self._products.break_off()

    def _refuse_unusable(self) -> None:
        """Quarantine a tile that scenes were taken of, none of which can be used."""
        evidence = {scene.id: scene.reason for scene in self._task.rejected} | self._raw.unusable
        if self._raw.usable or not evidence:
            return
        named = ", ".join(f"{scene} ({reason})" for scene, reason in sorted(evidence.items()))
        message = (
            f"{len(evidence)} scenes reach the tile and none can be used: {named}; "
            "replace the files or add another scene, then materialize the tile again"
        )
        raise TileQuarantinedError(message, reason="no_usable_scene", evidence={"scenes": evidence})

    def _preview(self) -> bytes:
        """A small picture of the newest period that was composed in this walk."""
        newest = self._products.newest
        return b"" if newest is None else preview_png(newest)
