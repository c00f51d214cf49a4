"""One run over some tiles: it leases them, sends them to workers and settles the results.

A tile whose quarantine still applies needs no worker. While workers are busy, the remote scenes
of the next tiles are prefetched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property

from spatial_assets.catalog.access.source_access import source_access
from spatial_assets.catalog.rasters.prefetch import Prefetch
from spatial_assets.errors import LeaseHeldError
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.engines.engine import Engine, InlineEngine, ProcessEngine, WorkerDied
from spatial_assets.pipeline.failures import outcome_of, worker_died
from spatial_assets.pipeline.outcome import TileOutcome
from spatial_assets.pipeline.run.commit import Committer
from spatial_assets.pipeline.run.known_states import KnownStates
from spatial_assets.pipeline.run.memory_planning import require_memory
from spatial_assets.pipeline.run.scenes_of_run import RunScenes
from spatial_assets.pipeline.run.tile_leases import TileLeases
from spatial_assets.pipeline.stages import RAW, TILE_INDEX, Chain, by_boundary
from spatial_assets.pipeline.tile.raw_tile import remote_windows, scenes_to_read
from spatial_assets.pipeline.tile.task import TileResult, TileTask, input_fingerprint
from spatial_assets.pipeline.tile.walk import Walker
from spatial_assets.project import Project
from spatial_assets.stores.objects.manifests import TileManifest, read_manifest

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
                    self._outcome_of(self._leased_elsewhere[tile.key], tile) for tile in held
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
        due = (task for task in map(self._new_task, tiles) if not self._is_quarantined(task))
        for task, take in self.leases.prepare(due, self._take):
            ready = self._prepared(task, take)
            if ready is not None:
                yield ready

    def _is_quarantined(self, task: TileTask) -> bool:
        """Return True, and record the outcome, if an earlier quarantine still applies."""
        outcome = self._quarantine_outcome(task)
        if outcome is None:
            return False
        self.committer.record_known_quarantine(task, outcome)
        self._without_worker.append(outcome)
        return True

    def _take(self, task: TileTask) -> TileManifest | None:
        """Lease the tile and return its stored manifest. Called by several threads.

        Raises:
            LeaseHeldError: another driver holds it.
        """
        key = task.tile.key
        self.leases.take(key)
        try:
            # Not earlier: before the lease another driver may have written it.
            return read_manifest(self.committer.store, key)
        except BaseException:
            self.leases.release(key)
            raise

    def _prepared(self, task: TileTask, take: Callable[[], TileManifest | None]) -> TileTask | None:
        """Complete the task with its stored manifest; on an error record it and return None."""
        try:
            stored = take()
            task = self._with_manifest(task, stored)
        except LeaseHeldError as error:
            self._leased_elsewhere[task.tile.key] = error
            return None
        except Exception as error:  # noqa: BLE001 - judged by failures.py, the one place for it
            outcome = self._outcome_of(error, task.tile, inputs=self._inputs(task))
            self.committer.record_states(outcome)
            self._without_worker.append(outcome)
            return None
        self._stored[task.tile.key] = stored
        return task

    def _with_manifest(self, task: TileTask, stored: TileManifest | None) -> TileTask:
        """Return the task of a leased tile; the lease is released if the tile cannot be walked.

        Raises:
            UninspectedSceneError: a scene that reaches it could not be inspected.
            TooLargeError: the tile does not fit in the memory of a worker.
        """
        try:
            self.scenes.require_inspected(task.tile)
            if stored is not None:
                kept = self.scenes.kept_of(stored, task.scenes) if RAW in self.selected else ()
                task = replace(task, manifest=self._known(stored), kept=kept)
            require_memory(self.project, task)
        except BaseException:
            self.leases.release(task.tile.key)
            raise
        return task

    def _new_task(self, tile: Tile) -> TileTask:
        """Return the task of a tile, as if nothing were stored of it."""
        scenes = self.scenes.for_tile(tile)
        return TileTask(
            tile=tile,
            stages=self.selected,
            scenes=tuple(scene for scene, _ in scenes),
            raw_bytes=tuple(size for _, size in scenes),
            rejected=self.scenes.rejected_near(tile.footprint(self.project.pixel_grid)),
            scenes_hash=self.scenes.scenes_hash(tile),
            manifest=TileManifest(grid_id=self.project.grid_id, tile=tile.key),
            periods=self.periods,
            product_periods=self._product_periods,
            boundaries=tuple(each.name for each in self.project.boundaries),
        )

    @cached_property
    def _product_periods(self) -> tuple[int, ...]:
        return self.scenes.product_periods(self.periods)

    @cached_property
    def _upstream(self) -> frozenset[str]:
        """The stages that the selected ones depend on, directly or not, without themselves."""
        found: set[str] = set()
        new = set(self.selected)
        while new:
            new = {name for stage in new for name in self.chain.upstream_of(stage)} - found
            found |= new
        return frozenset(found - set(self.selected))

    def _quarantine_outcome(self, task: TileTask) -> TileOutcome | None:
        return self.known_states.outcome(
            task.tile.key, self.selected, upstream=self._upstream, inputs=self._inputs(task)
        )

    def _known(self, stored: TileManifest) -> TileManifest:
        """Return the manifest without the stages whose rows are not in this database."""
        tabular = [by_boundary(name) for name in self.chain.indices] + [TILE_INDEX]
        for stage in tabular:
            if stage in self.selected and not self.known_states.has_rows(stage, stored):
                fresh = self.committer.reload([stored.tile])  # another driver may have been faster
                if not fresh.has_rows(stage, stored):
                    stored = stored.without(stage)
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
                    outcome = worker_died(
                        key, stages=self.selected, memory_mb=memory, inputs=self._inputs(task)
                    )
                    self.committer.record_states(outcome)
                    return outcome
                if RAW not in self.selected and self.known_states.is_known(result.outcome):
                    result = replace(
                        result, outcome=replace(result.outcome, already_quarantined=True)
                    )
                self.committer.commit(task, result, stored=stored)
        except LeaseHeldError as error:
            return self._outcome_of(error, task.tile, inputs=self._inputs(task))
        return result.outcome

    def _outcome_of(self, error: Exception, tile: Tile, *, inputs: str = "") -> TileOutcome:
        return outcome_of(error, tile.key, stages=self.selected, at=self.selected[0], inputs=inputs)

    def _inputs(self, task: TileTask) -> str:
        return input_fingerprint(task.scenes, task.rejected, self.project.checks)


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
