"""The driver: plans the tiles of a run, feeds the engine, commits what comes back.

The driver alone writes the database, the manifests and the time axis; workers write
objects. The order of a commit is in commit.py, what a worker does in walk.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from spatial_assets.errors import LeaseHeldError
from spatial_assets.geo.grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.axes import ensure_axes
from spatial_assets.pipeline.commit import Committer
from spatial_assets.pipeline.engine import Engine, WorkerDied
from spatial_assets.pipeline.failures import outcome_of, worker_died
from spatial_assets.pipeline.outcome import TileOutcome
from spatial_assets.pipeline.planning import refuse_what_cannot_fit
from spatial_assets.pipeline.stages import RAW, Chain
from spatial_assets.pipeline.standing import Standing, input_fingerprint
from spatial_assets.pipeline.supply import SceneSupply
from spatial_assets.pipeline.task import TileResult, TileTask
from spatial_assets.pipeline.walk import Walker
from spatial_assets.project import Project
from spatial_assets.stores.database import Database
from spatial_assets.stores.identity import claim_store
from spatial_assets.stores.leases import Lease, acquire
from spatial_assets.stores.manifests import TileManifest, read_manifest
from spatial_assets.stores.objects import ObjectStore

LEASE = timedelta(minutes=15)
"""A tile takes seconds to minutes; after this the tile of a driver that died is free again."""


@dataclass(kw_only=True)
class TilePipeline:
    """A project's chain, ready to run over tiles."""

    project: Project
    store: ObjectStore
    database: Database
    engine: Engine
    clock: Callable[[], datetime]
    """The present moment, UTC; passed in so that tests can freeze it."""

    owner: str
    """Who holds the leases, for people: a run id, or host and process."""

    @property
    def chain(self) -> Chain:
        """The stages of this project."""
        return Chain(
            indices=tuple(self.project.indices.names),
            with_boundaries=bool(self.project.boundaries),
        )

    def run(self, keys: Sequence[str], *, stages: Iterable[str]) -> Iterator[TileOutcome]:
        """Walk the tiles `keys` through `stages` and yield each outcome once it is committed.

        Tiles end in any order. Bad tiles are outcomes, not exceptions.

        Raises:
            GridError: a key is not a tile of this project, or the store holds another grid.
            SourceUnavailableError: the catalogue did not answer.
            StoreError, DatabaseError: the ground itself is away.
        """
        selected = self.chain.in_order(stages)
        tiles = [self.project.partitioning.tile(key) for key in keys]
        if not tiles or not selected:
            return
        project = self.project
        claim_store(self.store, project.grid_id, grid=project.grid.model_dump(mode="json"))
        self.database.ensure_schema(project.boundaries, project.indices.names)
        supply = SceneSupply(project, self.store, self.engine)
        if RAW in selected:
            supply.gather(tiles)
        periods = ensure_axes(project, self.store, supply, owner=self.owner, clock=self.clock)
        run = _Run(pipeline=self, supply=supply, periods=periods, selected=selected)
        yield from run.walk(tiles)


@dataclass(kw_only=True, eq=False)
class _Run:
    """One run over some tiles."""

    pipeline: TilePipeline
    supply: SceneSupply
    periods: Periods
    selected: tuple[str, ...]
    _leases: dict[str, Lease] = field(default_factory=dict)
    _early: list[TileOutcome] = field(default_factory=list)
    """Outcomes of tiles that need no worker."""

    def __post_init__(self) -> None:
        pipeline = self.pipeline
        self._committer = Committer(
            project=pipeline.project,
            store=pipeline.store,
            database=pipeline.database,
            periods=self.periods,
            clock=pipeline.clock,
        )
        self._standing = Standing.load(pipeline.database, pipeline.project.grid_id)
        self._committer.record_scenes(self.supply.rejected.values())

    def walk(self, tiles: Sequence[Tile]) -> Iterator[TileOutcome]:
        """Yield the outcome of each tile, committed."""
        walker = Walker(self.pipeline.project, self.pipeline.store)
        try:
            for task, result in self.pipeline.engine.run(walker, self._tasks(tiles)):
                yield from self._drain_early()
                yield self._settle(task, result)
            yield from self._drain_early()
        finally:
            for lease in self._leases.values():
                lease.release()

    def _drain_early(self) -> Iterator[TileOutcome]:
        while self._early:
            yield self._early.pop(0)

    def _tasks(self, tiles: Sequence[Tile]) -> Iterator[TileTask]:
        """The tiles that need a worker, each with its lease taken; read lazily by the engine."""
        for tile in tiles:
            task = self._task(tile)
            outcome = self._without_worker(tile, task)
            if outcome is None:
                yield task
            else:
                self._early.append(outcome)

    def _task(self, tile: Tile) -> TileTask:
        project = self.pipeline.project
        stored = read_manifest(self.pipeline.store, tile.key)
        footprint = tile.footprint(project.pixel_grid)
        return TileTask(
            tile=tile,
            stages=self.selected,
            scenes=self.supply.for_tile(tile),
            rejected=self.supply.rejected_near(footprint),
            manifest=stored or TileManifest(grid_id=project.grid_id, tile=tile.key),
            periods=self.periods,
            product_periods=self.supply.product_periods(self.periods),
            boundaries=tuple(each.name for each in project.boundaries),
        )

    def _without_worker(self, tile: Tile, task: TileTask) -> TileOutcome | None:
        """The outcome of a tile that must not be walked: quarantined, held, too large, unknown."""
        inputs = input_fingerprint(task.scenes, task.rejected)
        if RAW in self.selected:
            standing = self._standing.outcome(tile.key, self.selected, inputs=inputs)
            if standing is not None:
                return standing
        try:
            self.supply.require_answers(tile)
            refuse_what_cannot_fit(self.pipeline.project, task)
            self._leases[tile.key] = self._take_lease(tile.key)
        except Exception as error:  # noqa: BLE001 - judged by failures.py, the one place for it
            outcome = outcome_of(
                error, tile.key, stages=self.selected, at=self.selected[0], inputs=inputs
            )
            if not isinstance(error, LeaseHeldError):  # another writer's tile: its states stay
                self._committer.note(outcome)
            return outcome
        return None

    def _take_lease(self, key: str) -> Lease:
        pipeline = self.pipeline
        return acquire(
            pipeline.store, f"tile/{key}", owner=pipeline.owner, ttl=LEASE, clock=pipeline.clock
        )

    def _settle(self, task: TileTask, result: TileResult | WorkerDied) -> TileOutcome:
        """Commit a walked tile and let go of it."""
        inputs = input_fingerprint(task.scenes, task.rejected)
        lease = self._leases.pop(task.tile.key)
        try:
            if isinstance(result, WorkerDied):
                memory = self.pipeline.project.compute.for_tile(task.tile.key).memory_mb
                outcome = worker_died(
                    task.tile.key, stages=self.selected, memory_mb=memory, inputs=inputs
                )
                self._committer.note(outcome)
                return outcome
            lease.keep_alive()  # whoever lost it must not commit
            self._committer.commit(task.tile, result)
        except LeaseHeldError as error:
            return outcome_of(
                error, task.tile.key, stages=self.selected, at=self.selected[0], inputs=inputs
            )
        finally:
            lease.release()
        return result.outcome
