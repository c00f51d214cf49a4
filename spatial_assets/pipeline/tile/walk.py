"""One tile through the selected stages, in a worker: read, compute, store, report.

A worker reads and writes the object store and nothing else. It never raises: every error becomes
an outcome, and the units finished before it are kept.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from spatial_assets.errors import REASONS_OF_THE_MOMENT
from spatial_assets.geo.pixels.thumbnail import preview_png
from spatial_assets.pipeline.failures import (
    MissingInputError,
    TileQuarantinedError,
    UnreachableScenesError,
    failure_of,
    outcome_of,
)
from spatial_assets.pipeline.outcome import TileOutcome
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER, TILE_INDEX, by_boundary
from spatial_assets.pipeline.tile.boundary_statistics import BoundaryStatisticsStage
from spatial_assets.pipeline.tile.manifest_builder import ManifestBuilder
from spatial_assets.pipeline.tile.raw_tile import RawTileStage
from spatial_assets.pipeline.tile.reprojected_raster import ReprojectedRasterStage, SceneLayer
from spatial_assets.pipeline.tile.spectral_index import SpectralIndexStage
from spatial_assets.pipeline.tile.task import TileResult, TileTask, input_fingerprint
from spatial_assets.pipeline.tile.tile_index import TileIndexStage
from spatial_assets.pipeline.tile.worker_context import WorkerContext
from spatial_assets.project import Project
from spatial_assets.retries import Backoff, with_retries
from spatial_assets.stores.objects.store import ObjectStore

TILE_BACKOFF = Backoff(first=1.0, largest=2.0, attempts=3)
"""Attempts at a tile with a transient error; every read and write below has its own retries."""


@dataclass(frozen=True)
class Walker:
    """Walks tiles; picklable, as it is sent to the workers."""

    project: Project
    store: ObjectStore

    def __call__(self, task: TileTask) -> TileResult:
        """Walk one tile, with retries of transient errors; each builds on the one before."""
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
                at=builder.stage,
                inputs=input_fingerprint(task.scenes, task.rejected, self.project.checks),
            )
            result = builder.result(builder.cut_short(outcome))
        seconds = time.perf_counter() - started
        return replace(result, outcome=replace(result.outcome, seconds=seconds))

    def _attempt(self, task: TileTask, builder: ManifestBuilder) -> TileResult:
        """Walk one tile once; units finished before an exception can be committed."""
        walk = TileWalk(task, WorkerContext.of(self.project, self.store), builder)
        try:
            return builder.result(walk.run())
        except Exception:
            walk.break_off()
            raise


class TileWalk:
    """The stages of one tile, upstream first.

    Bad or missing input of an index, of statistics or of `tile_index` stops that stage and those
    that depend on it, and no other.
    """

    def __init__(self, task: TileTask, context: WorkerContext, builder: ManifestBuilder) -> None:
        self._task = task
        self._context = context
        self._builder = builder
        self._raw = RawTileStage(task, context, builder)
        self._reprojected = ReprojectedRasterStage(task, context, raw=self._raw)
        self._indices = SpectralIndexStage(task, context, builder)
        self._statistics = BoundaryStatisticsStage(task, context, builder, indices=self._indices)
        self._tile_index = TileIndexStage(builder, indices=self._indices)
        self._stopped: dict[str, TileQuarantinedError | MissingInputError] = {}

    def run(self) -> TileOutcome:
        """Walk the tile and return its outcome.

        Raises:
            TileQuarantinedError: scenes exist for the tile and none can be used, or a check
                failed on its pixels.
            MissingInputError: a stage needs stored inputs that do not exist.
        """
        self._builder.begin(self._context.store)
        if RAW in self._task.stages:
            with self._builder.in_stage(RAW):
                self._raw.read()
                self._refuse_unusable()
        for period in self._reprojected.periods:
            # No name is kept for the layers: the statistics need the memory.
            self._make_indices(period, self._reprojected.of_period(period))
            self._make_statistics(period)
        if REPROJECTED_RASTER in self._task.stages:
            with self._builder.in_stage(REPROJECTED_RASTER):
                self._reprojected.finish()
        self._finish_products()
        newest = self._indices.newest
        return TileOutcome(
            tile=self._task.tile.key,
            stages=self._builder.outcomes(),
            checks=self._builder.checks,
            preview=b"" if newest is None else preview_png(newest),
        )

    def break_off(self) -> None:
        """Leave the units that were finished in a state that can be committed."""
        if TILE_INDEX in self._task.stages:
            self._tile_index.break_off()

    def _refuse_unusable(self) -> None:
        """Quarantine a tile of which scenes exist and none can be used.

        Raises:
            TileQuarantinedError: all of them are bad.
            UnreachableScenesError: some may be good, but their files cannot be reached now.
        """
        evidence = {scene.id: scene.reason for scene in self._task.rejected} | self._raw.unusable
        if self._raw.usable or not evidence:
            return
        named = ", ".join(f"{scene} ({reason})" for scene, reason in sorted(evidence.items()))
        if not REASONS_OF_THE_MOMENT.isdisjoint(evidence.values()):
            raise UnreachableScenesError(
                f"{len(evidence)} scenes reach the tile and none can be used now: {named}; make "
                "the files accessible, then materialize the tile again",
                evidence={"scenes": evidence},
            )
        message = (
            f"{len(evidence)} scenes reach the tile and none can be used: {named}; "
            "replace the files or add another scene, then materialize the tile again"
        )
        raise TileQuarantinedError(message, reason="no_usable_scene", evidence={"scenes": evidence})

    def _make_indices(self, period: int, layers: Sequence[SceneLayer]) -> None:
        """Bring the selected indices of one period up to date."""
        self._indices.begin_period()
        for index in self._context.project.indices_in_use:
            if period in self._reprojected.incomplete and self._indices.has(index.name, period):
                continue
            self._work_on(index.name, work=partial(self._indices.make, index, period, layers))

    def _make_statistics(self, period: int) -> None:
        """Bring the selected statistics of one period up to date, from what is stored."""
        for index in self._indices.names:
            work = partial(self._statistics.make, index, period)
            self._work_on(by_boundary(index), index, work=work)

    def _finish_products(self) -> None:
        """Close the indices and statistics, and make the rows of `tile_index`.

        Raises:
            TileQuarantinedError, MissingInputError: the error that stopped a stage.
        """
        for index in self._indices.names:
            self._work_on(index, work=partial(self._indices.close, index))
            self._work_on(by_boundary(index), index, work=partial(self._statistics.close, index))
        self._work_on(TILE_INDEX, *self._indices.names, work=self._tile_index.make)
        for stage, error in self._stopped.items():
            with self._builder.in_stage(stage):
                raise error

    def _work_on(self, stage: str, *upstream: str, work: Callable[[], None]) -> None:
        """Work on a stage if it is selected and neither it nor its upstream was stopped."""
        if stage not in self._task.stages or {stage, *upstream} & self._stopped.keys():
            return
        try:
            with self._builder.in_stage(stage):
                work()
        except (TileQuarantinedError, MissingInputError) as error:
            self._stopped[stage] = error
