"""One tile through the selected stages, in a worker: read, compute, store, report.

A worker reads and writes the object store and nothing else. It never raises: every error becomes
an outcome, and the units finished before it are kept.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from spatial_assets.errors import REASONS_OF_THE_MOMENT, RasterError
from spatial_assets.geo.pixels.thumbnail import preview_png
from spatial_assets.pipeline.failures import (
    Caught,
    MissingInputError,
    TileQuarantinedError,
    UnreachableScenesError,
    failure_of,
    outcome_of,
    result_or_error,
    stage_outcome_of,
    stopped_by,
)
from spatial_assets.pipeline.outcome import StageOutcome, TileOutcome
from spatial_assets.pipeline.stages import (
    RAW,
    REPROJECTED_RASTER,
    TILE_INDEX,
    by_boundary,
    chain_of,
)
from spatial_assets.pipeline.tile.boundary_statistics import BoundaryStatisticsStage
from spatial_assets.pipeline.tile.manifest_builder import ManifestBuilder
from spatial_assets.pipeline.tile.raw_tile import RawTileStage, scenes_to_read
from spatial_assets.pipeline.tile.reprojected_raster import ReprojectedRasterStage, SceneLayer
from spatial_assets.pipeline.tile.retention import (
    expired_units,
    lost_lines,
    releasable_units,
)
from spatial_assets.pipeline.tile.spectral_index import SpectralIndexStage
from spatial_assets.pipeline.tile.task import TileResult, TileTask
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
        found = result_or_error(
            lambda: with_retries(
                lambda: self._attempt(task, builder),
                backoff=replace(TILE_BACKOFF, jitter=jitter),
                errors=(Exception,),
                may_pass=lambda error: failure_of(error).transient,
            )
        )
        if isinstance(found, Caught):
            outcome = outcome_of(
                found.error,
                task.tile.key,
                stages=task.stages,
                at=builder.stage,
                inputs=task.inputs,
            )
            found = builder.result(builder.cut_short(outcome))
        seconds = time.perf_counter() - started
        return replace(found, outcome=replace(found.outcome, seconds=seconds))

    def _attempt(self, task: TileTask, builder: ManifestBuilder) -> TileResult:
        """Walk one tile once; units finished before an exception can be committed."""
        walk = TileWalk(task, WorkerContext.of(self.project, self.store), builder)
        with ExitStack() as if_interrupted:
            if_interrupted.callback(walk.break_off)
            result = builder.result(walk.run())
            if_interrupted.pop_all()
        return result


class TileWalk:
    """The stages of one tile, upstream first.

    Bad or missing input of an index, of statistics or of `tile_index` stops that stage and those
    that depend on it, and no other. `tile_index` describes every index that is stored.
    """

    def __init__(self, task: TileTask, context: WorkerContext, builder: ManifestBuilder) -> None:
        self._task = task
        self._context = context
        self._builder = builder
        self._raw = RawTileStage(task, context, builder)
        self._reprojected = ReprojectedRasterStage(task, context, raw=self._raw)
        self._indices = SpectralIndexStage(task, context, reprojected=self._reprojected)
        self._statistics = BoundaryStatisticsStage(task, context, builder, indices=self._indices)
        self._tile_index = TileIndexStage(builder, indices=self._indices)
        self._chain = chain_of(context.project)
        self._stopped = dict(task.standing)
        """Stage -> outcome of a stage that cannot be made now."""

    def run(self) -> TileOutcome:
        """Walk the tile and return its outcome.

        Raises:
            TileQuarantinedError: scenes exist for the tile and none can be used.
            MissingInputError: a stage before the indices needs stored inputs that do not exist.
        """
        self._builder.begin(self._context.store)
        if self._is_whole:
            self._drop_expired()
        if RAW in self._task.stages:
            with self._builder.in_stage(RAW):
                self._raw.read()
                self._refuse_unusable()
        self._require_bands()
        for period in self._reprojected.periods:
            # No name is kept for the layers: the statistics need the memory.
            self._make_indices(period, self._reprojected.of_period(period))
            self._make_statistics(period)
        if REPROJECTED_RASTER in self._task.stages:
            with self._builder.in_stage(REPROJECTED_RASTER):
                self._reprojected.finish()
        self._finish_products()
        self._builder.warn("source_intact", lost_lines(self._raw.lost))
        if self._is_whole:
            self._release()
        self._settle()
        newest = self._indices.newest
        return TileOutcome(
            tile=self._task.tile.key,
            stages=tuple(self._ended(each) for each in self._builder.outcomes()),
            checks=self._builder.checks,
            preview=b"" if newest is None else preview_png(newest),
        )

    @property
    def _is_whole(self) -> bool:
        """True if all stages are walked, except those that stay in quarantine."""
        return {*self._chain.stages} <= {*self._task.stages, *self._task.standing}

    def _drop_expired(self) -> None:
        """Drop the periods that the product keeps no longer, with their rows."""
        task = self._task
        for stage, unit in expired_units(self._builder.manifest, task.periods, task.first_kept):
            if stage in self._chain.statistics:
                self._statistics.drop(stage, unit)
            else:
                self._builder.drop(stage, unit)

    def _release(self) -> None:
        """Release the pixels of scenes that are kept no longer, and are not needed any more."""
        task, names = self._task, self._chain.indices
        found = tuple(
            releasable_units(self._builder.manifest, task.periods, task.first_kept, indices=names)
        )
        for stage, unit in found:
            self._builder.release(stage, unit)
        for stage in (RAW, REPROJECTED_RASTER):
            count = self._builder.manifest.summary(stage).released
            if count:
                self._builder.report(stage, scenes_released=count)

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
        if self._raw.has_usable or not evidence:
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

    def _require_bands(self) -> None:
        """Stop the selected indices of which no scene has the bands."""
        for index in self._context.project.indices_in_use:
            work = partial(self._indices.require_bands, index, self._reprojected.records)
            self._work_on(index.name, work=work)

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
            self._work_on(by_boundary(index), work=work)

    def _finish_products(self) -> None:
        """Close the indices and statistics, and make the rows of `tile_index`."""
        for index in self._indices.names:
            self._work_on(index, work=partial(self._indices.close, index))
            self._work_on(by_boundary(index), work=partial(self._statistics.close, index))
        self._work_on(TILE_INDEX, work=partial(self._tile_index.make, without=self._stopped))

    def _settle(self) -> None:
        """Record what is up to date, unless something is left that the next walk tries again."""
        task = self._task
        if task.unsettled is None or not self._builder.has_closed(self._chain.stages):
            return
        clear = self._context.project.sensor.clear
        unread = scenes_to_read(task, self._builder.manifest, clear)
        days = {scene.solar_day.isoformat() for scene in unread}
        days |= {task.periods.label(period) for period in self._reprojected.incomplete}
        used = (*task.scenes, *task.kept)
        days |= {each.solar_day.isoformat() for each in used if each.id in self._raw.lost}
        left = {task.span_of(day) for day in days}
        self._builder.settle({k: v for k, v in task.unsettled.items() if k not in left})

    def _work_on(self, stage: str, *, work: Callable[[], None]) -> None:
        """Work on a stage if it is selected and neither it nor its upstream was stopped."""
        if stage not in self._task.stages or stage in self._stopped or self._cause(stage):
            return
        before = self._builder.stage
        try:
            with self._builder.in_stage(stage):
                work()
        except (TileQuarantinedError, RasterError, MissingInputError) as error:
            self._builder.stage = before
            self._stopped[stage] = stage_outcome_of(error, stage, inputs=self._task.inputs)

    def _cause(self, stage: str) -> StageOutcome | None:
        """Return the outcome of the stage for which this one cannot be made, or None."""
        cause = self._chain.blocked_by(stage, self._stopped)
        return None if cause is None else self._stopped[cause]

    def _ended(self, made: StageOutcome) -> StageOutcome:
        """Return the outcome of a stage; `made` if nothing stopped it."""
        cause = self._cause(made.stage)
        if cause is not None:
            return stopped_by(cause, made.stage, inputs=self._task.inputs)
        return self._stopped.get(made.stage, made)
