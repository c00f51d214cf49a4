"""One run over some tiles: it leases them, sends them to workers and settles the results.

A tile whose quarantine still applies needs no worker. While workers are busy, the remote scenes
of the next tiles are prefetched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property

from spatial_assets.catalog.access.source_access import source_access
from spatial_assets.catalog.rasters.prefetch import Prefetch
from spatial_assets.errors import LeaseHeldError, RegridUnderWayError
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.engines.engine import Engine, InlineEngine, ProcessEngine, WorkerDied
from spatial_assets.pipeline.failures import (
    Caught,
    MissingInputError,
    outcome_of,
    result_or_error,
    worker_died,
)
from spatial_assets.pipeline.freshness.former_code import AcceptedCode
from spatial_assets.pipeline.freshness.stage_inputs import stage_settings
from spatial_assets.pipeline.outcome import TileOutcome
from spatial_assets.pipeline.run.commit import Committer
from spatial_assets.pipeline.run.known_states import KnownStates
from spatial_assets.pipeline.run.memory_planning import require_memory
from spatial_assets.pipeline.run.scenes_of_run import RunScenes
from spatial_assets.pipeline.run.settled_months import VERIFIED_MONTHS, SettledMonths
from spatial_assets.pipeline.run.tile_leases import TileLeases
from spatial_assets.pipeline.stages import RAW, TILE_INDEX, Chain, by_boundary
from spatial_assets.pipeline.tile.raw_tile import remote_windows, scenes_to_read
from spatial_assets.pipeline.tile.retention import FirstKept
from spatial_assets.pipeline.tile.task import TileResult, TileTask, input_fingerprints
from spatial_assets.pipeline.tile.tile_index import ROWS_UNIT
from spatial_assets.pipeline.tile.validated_boundaries import ValidatedBoundaries
from spatial_assets.pipeline.tile.walk import Walker
from spatial_assets.project import Project
from spatial_assets.stores.objects.manifests import TileManifest, read_head, with_months
from spatial_assets.stores.stage_facts import WHOLE_STAGE, WholeStageFacts

LEASE_POLL_SECONDS = 0.5
"""Seconds between polls of tiles that another driver holds."""


@dataclass(kw_only=True, eq=False)
class Run:
    """One run over some tiles."""

    project: Project
    chain: Chain
    selected: tuple[str, ...]
    scenes: RunScenes
    periods: Periods
    known_states: KnownStates
    committer: Committer
    leases: TileLeases
    first_kept: FirstKept = field(default_factory=FirstKept)
    """First periods that [retention] keeps."""

    without_boundaries: Collection[str] = ()
    """Boundary sets that never were valid: there is nothing to compute for them."""

    verified_months: int = VERIFIED_MONTHS
    """Settled months of a tile whose objects are verified."""

    _stored: dict[str, TileManifest | None] = field(default_factory=dict)
    """Manifests of the tiles in flight, before this run."""

    _without_worker: list[TileOutcome] = field(default_factory=list)
    """Outcomes of tiles that needed no worker."""

    _leased_elsewhere: dict[str, LeaseHeldError] = field(default_factory=dict)
    """Tiles that another driver holds."""

    def walk(
        self, tiles: Sequence[Tile], engine: Engine, *, lease_wait: timedelta
    ) -> Iterator[TileOutcome]:
        """Yield the outcome of each tile once it is committed; tiles held by others come last.

        No lease is held while waiting for those, so that two drivers never wait for each other.
        """
        waiting = list(tiles)
        deadline = time.monotonic() + lease_wait.total_seconds()
        while waiting:
            yield from self._walk_once(waiting, engine)
            held = [tile for tile in waiting if tile.key in self._leased_elsewhere]
            if len(held) < len(waiting):
                deadline = time.monotonic() + lease_wait.total_seconds()
            elif time.monotonic() >= deadline:
                yield from (
                    self._failed(self._leased_elsewhere[tile.key], self._new_task(tile))
                    for tile in held
                )
                return
            waiting = held
            if waiting:
                time.sleep(LEASE_POLL_SECONDS)

    def _walk_once(self, tiles: Sequence[Tile], engine: Engine) -> Iterator[TileOutcome]:
        """Yield the outcomes of the tiles that no other driver holds."""
        self._leased_elsewhere.clear()
        walker = Walker(self.project.for_workers(), self.committer.store)
        tasks = self._tasks(tiles)
        if isinstance(engine, InlineEngine | ProcessEngine):
            tasks = with_prefetch(tasks, self.project)
        # Closed before the leases are released: no worker writes after that.
        with closing(engine.run(walker, tasks)) as results:
            for task, result in results:
                yield from self._outcomes_without_worker()
                yield self._settle(task, result)
        yield from self._outcomes_without_worker()

    def _outcomes_without_worker(self) -> Iterator[TileOutcome]:
        while self._without_worker:
            yield self._without_worker.pop(0)

    def _tasks(self, tiles: Sequence[Tile]) -> Iterator[TileTask]:
        """Yield the tiles that need a worker, each with its lease; the engine reads them lazily."""
        due = (task for task in map(self._new_task, tiles) if not self._needs_no_worker(task))
        for task, take in self.leases.prepare(due, self._take):
            ready = self._prepared(task, take)
            if ready is not None:
                yield ready

    def _needs_no_worker(self, task: TileTask) -> bool:
        """Return True, and record the outcome, if all stages stay in quarantine."""
        if task.stages:
            return False
        outcome = self._with_standing(task, TileOutcome(tile=task.tile.key, stages=()))
        self.committer.record_known_quarantine(task, outcome)
        self._without_worker.append(outcome)
        return True

    def _with_standing(self, task: TileTask, outcome: TileOutcome) -> TileOutcome:
        """Return the outcome of a tile with the stages that were not walked, in chain order."""
        ended = {**task.standing, **{each.stage: each for each in outcome.stages}}
        return replace(outcome, stages=tuple(ended[stage] for stage in self.selected))

    def _take(self, task: TileTask) -> TileManifest | None:
        """Lease the tile and return its stored manifest. Called by several threads.

        Raises:
            LeaseHeldError: another driver holds it.
        """
        key = task.tile.key
        self.leases.take(key)
        try:
            # Not earlier: before the lease another driver may have written it.
            head = read_head(self.committer.store, key)
            if head is None:
                return None
            months = self._months.concerned(task, head) if RAW in self.selected else head.unread
            return with_months(self.committer.store, head, months)
        except BaseException:
            self.leases.release(key)
            raise

    def _prepared(self, task: TileTask, take: Callable[[], TileManifest | None]) -> TileTask | None:
        """Complete the task with its stored manifest; on an error record it and return None."""
        found = result_or_error(lambda: self._with_manifest(task, take()))
        if not isinstance(found, Caught):
            return found
        if isinstance(found.error, RegridUnderWayError):
            raise found.error  # it concerns all tiles
        if isinstance(found.error, LeaseHeldError):
            self._leased_elsewhere[task.tile.key] = found.error
            return None
        outcome = self._failed(found.error, task)
        self.committer.record_states(outcome)
        self._without_worker.append(outcome)
        return None

    def _with_manifest(self, task: TileTask, stored: TileManifest | None) -> TileTask:
        """Return the task of a leased tile; the lease is released if the tile cannot be walked.

        Raises:
            UninspectedSceneError: a scene that reaches it could not be inspected.
            TooLargeError: the tile does not fit in the memory of a worker.
        """
        try:
            self.scenes.require_inspected(task.tile)
            if stored is not None:
                if self._needs_all_months(task, stored):
                    stored = with_months(self.committer.store, stored, stored.unread)
                kept = self.scenes.kept_of(stored, task.scenes) if RAW in self.selected else ()
                kept = tuple(scene for scene in kept if scene.solar_day >= self._first_day)
                task = replace(task, manifest=self._known(stored), kept=kept)
            if RAW in self.selected:
                task = self._months.narrowed(task, stored)
            require_memory(self.project, task)
        except BaseException:
            self.leases.release(task.tile.key)
            raise
        self._stored[task.tile.key] = stored
        return task

    def _new_task(self, tile: Tile) -> TileTask:
        """Return the task of a tile, as if nothing were stored of it."""
        found = self.scenes.for_tile(tile)
        scenes = tuple(scene for scene, _ in found)
        rejected = self.scenes.rejected_near(tile.footprint(self.project.pixel_grid))
        inputs = input_fingerprints(scenes, rejected, settings=self._settings)
        standing = self.known_states.standing(
            tile.key, self.selected, chain=self.chain, inputs=inputs
        )
        return TileTask(
            tile=tile,
            stages=tuple(stage for stage in self.selected if stage not in standing),
            inputs=inputs,
            standing=standing,
            scenes=scenes,
            raw_bytes=tuple(size for _, size in found),
            rejected=rejected,
            scenes_hash=self.scenes.scenes_hash(tile),
            manifest=TileManifest(grid_id=self.project.grid_id, tile=tile.key),
            periods=self.periods,
            product_periods=self._product_periods,
            first_kept=self.first_kept,
            boundaries=self._boundary_names,
            accepted=self._accepted.of_tile(tile.key),
        )

    @cached_property
    def _accepted(self) -> AcceptedCode:
        return AcceptedCode.load(self.committer.store)

    @cached_property
    def _months(self) -> SettledMonths:
        return SettledMonths(
            project=self.project,
            scenes=self.scenes,
            settings=self._settings,
            now=self.committer.clock(),
            verified=self.verified_months,
        )

    def _needs_all_months(self, task: TileTask, stored: TileManifest) -> bool:
        """Return True if something else than scenes and settings concerns settled months too."""
        if not stored.unread:
            return False
        tabular = [stage for stage in self._tabular if stage in self.selected]
        return (
            stored.entry(TILE_INDEX, ROWS_UNIT) is None
            or any(stored.entry(stage, WHOLE_STAGE) is None for stage in tabular)
            or not all(self.known_states.has_rows(stage, stored) for stage in tabular)
            or self.known_states.released(stored.tile, self.selected)
            or self._has_other_boundaries(task, stored)
        )

    def _has_other_boundaries(self, task: TileTask, stored: TileManifest) -> bool:
        """Return True if other features touch the tile; features are only read if a set is new."""
        try:
            return any(self._differ(stage, task, stored) for stage in self.chain.statistics)
        except MissingInputError:
            return True

    def _differ(self, stage: str, task: TileTask, stored: TileManifest) -> bool:
        """Return True if a stage of statistics was made of other features."""
        made = stored.facts(stage, WholeStageFacts).get(WHOLE_STAGE, WholeStageFacts())
        if made.versions == self._boundary_versions:
            return False
        return made.features != self._boundaries.features(task.boundaries, task.tile)

    @cached_property
    def _boundaries(self) -> ValidatedBoundaries:
        return ValidatedBoundaries(self.committer.store, self.project.pixel_grid)

    @cached_property
    def _boundary_versions(self) -> Mapping[str, str]:
        """Version of each validated set, as the run begins."""
        return self._boundaries.versions(self._boundary_names)

    @cached_property
    def _boundary_names(self) -> tuple[str, ...]:
        names = (each.name for each in self.project.boundaries)
        return tuple(name for name in names if name not in self.without_boundaries)

    @cached_property
    def _tabular(self) -> tuple[str, ...]:
        """Stages whose results are rows."""
        return (*(by_boundary(name) for name in self.chain.indices), TILE_INDEX)

    @cached_property
    def _settings(self) -> Mapping[str, str]:
        return stage_settings(self.project)

    @cached_property
    def _product_periods(self) -> tuple[int, ...]:
        found = self.scenes.product_periods(self.periods)
        return tuple(period for period in found if period >= self.first_kept.periods)

    @cached_property
    def _first_day(self) -> date:
        """First day of the first period that the product keeps."""
        return self.periods.first_day(self.first_kept.periods)

    def _known(self, stored: TileManifest) -> TileManifest:
        """Return the manifest without the stages whose rows are not in this database.

        Of stages that left the project only the objects stay listed, for `prune`.
        """
        for stage in self._tabular:
            if stage in self.selected and not self.known_states.has_rows(stage, stored):
                fresh = self.committer.reload([stored.tile])  # another driver may have been faster
                if not fresh.has_rows(stage, stored):
                    stored = stored.without(stage)
        stored = stored.without_books_of_others(self.chain.stages)
        if self.known_states.released(stored.tile, self.selected):
            return stored.invalidated(self.selected)
        return stored

    def _settle(self, task: TileTask, result: TileResult | WorkerDied) -> TileOutcome:
        """Commit a walked tile and release its lease."""
        key = task.tile.key
        stored = self._stored.pop(key)
        try:
            with self.leases.committing(key):
                if isinstance(result, WorkerDied):
                    memory = self.project.compute.for_tile(key).memory_mb
                    died = worker_died(
                        key, stages=task.stages, memory_mb=memory, inputs=task.inputs
                    )
                    outcome = self._with_standing(task, died)
                    self.committer.record_states(outcome)
                    return outcome
                outcome = self._with_standing(task, result.outcome)
                if RAW not in self.selected:
                    outcome = self.known_states.with_known(outcome)
                self.committer.commit(task, replace(result, outcome=outcome), stored=stored)
        except LeaseHeldError as error:
            return self._failed(error, task)
        return outcome

    def _failed(self, error: Exception, task: TileTask) -> TileOutcome:
        """Return the outcome of a tile that could not be walked or committed."""
        outcome = outcome_of(
            error, task.tile.key, stages=task.stages, at=task.stages[0], inputs=task.inputs
        )
        return self._with_standing(task, outcome)


def with_prefetch(tasks: Iterable[TileTask], project: Project) -> Iterator[TileTask]:
    """Yield the tasks; one with remote scenes after the prefetch of the next task's has begun.

    It serves workers on this machine, whose cache receives the files.
    """
    waiting: TileTask | None = None
    with Prefetch(source_access(project)) as prefetch:
        for task in tasks:
            box = project.pixel_grid.geobox(task.tile.window)
            clear = project.sensor.clear
            missing = scenes_to_read(task, task.manifest, clear) if RAW in task.stages else []
            windows = list(remote_windows(missing, box, clear))
            prefetch.request(windows)
            if waiting is not None:
                yield waiting
            waiting = task
            if not windows:
                yield task
                waiting = None
        if waiting is not None:
            yield waiting
