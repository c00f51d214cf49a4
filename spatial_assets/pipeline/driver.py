"""The driver: plans the tiles of a run, feeds the engine, commits what comes back.

The driver alone writes the database, the manifests and the time axis; workers write
objects. The order of a commit is in commit.py, what a worker does in walk.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from spatial_assets.catalog import Catalogue, find_scenes
from spatial_assets.geo.grid import Tile
from spatial_assets.pipeline.axes import ensure_axes
from spatial_assets.pipeline.commit import Committer
from spatial_assets.pipeline.engine import Engine
from spatial_assets.pipeline.leasing import TileLeases
from spatial_assets.pipeline.outcome import TileOutcome
from spatial_assets.pipeline.run import Run
from spatial_assets.pipeline.run_log import RunLog
from spatial_assets.pipeline.stages import RAW, Chain, chain_of
from spatial_assets.pipeline.standing import Standing
from spatial_assets.pipeline.supply import SceneSupply
from spatial_assets.project import Project
from spatial_assets.project.retry_budget import retry_budget
from spatial_assets.stores.database import Database
from spatial_assets.stores.identity import claim_store
from spatial_assets.stores.objects import ObjectStore

PATIENCE = timedelta(seconds=120)
"""How long tiles that another driver holds are waited for while none of them comes free: longer
than the lease of a driver that died."""


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

    find: Callable[[Project], Catalogue] = find_scenes
    """Where the scenes of the project's area come from."""

    patience: timedelta = PATIENCE

    @property
    def chain(self) -> Chain:
        """The stages of this project."""
        return chain_of(self.project)

    def run(self, keys: Sequence[str], *, stages: Iterable[str]) -> Iterator[TileOutcome]:
        """Walk the tiles `keys` through `stages` and yield each outcome once it is committed.

        Tiles end in any order. Bad tiles are outcomes, not exceptions.

        Raises:
            GridError: a key is not a tile of this project, or the store holds another grid.
            SourceUnavailableError: the catalogue did not answer.
            StoreError, DatabaseError: the ground itself is away.
        """
        selected = self.chain.in_order(stages)
        project = self.project
        tiles = [project.partitioning.tile(key) for key in dict.fromkeys(keys)]
        if not tiles or not selected:
            return
        retry_budget.refill()
        claim_store(self.store, project.grid_id, grid=project.grid.model_dump(mode="json"))
        self.database.ensure_schema(project.boundaries, project.indices.names)
        log = RunLog(
            database=self.database,
            grid_id=project.grid_id,
            owner=self.owner,
            stages=selected,
            workers=self.engine.workers,
            clock=self.clock,
        )
        with self.database.kept_open():
            yield from log.of(self._walk(tiles, selected))

    def _walk(
        self, tiles: Sequence[Tile], selected: tuple[str, ...]
    ) -> Generator[TileOutcome, None, None]:
        """Yield the outcomes of `tiles`, each once it is committed."""
        project = self.project
        supply = SceneSupply(project, self.store, self.engine, self.find)
        if RAW in selected:
            supply.gather(tiles)
        periods = ensure_axes(project, self.store, supply, owner=self.owner, clock=self.clock)
        standing = Standing.load(self.database, project.grid_id, [tile.key for tile in tiles])
        committer = Committer(
            project=project,
            store=self.store,
            database=self.database,
            periods=periods,
            clock=self.clock,
            standing=standing,
        )
        committer.record_scenes(supply.rejected.values(), usable=supply.records)
        with TileLeases(self.store, owner=self.owner, clock=self.clock) as leases:
            run = Run(
                project=project,
                chain=self.chain,
                selected=selected,
                supply=supply,
                periods=periods,
                standing=standing,
                committer=committer,
                leases=leases,
            )
            try:
                yield from run.walk(tiles, self.engine, patience=self.patience)
            finally:
                committer.finish()
