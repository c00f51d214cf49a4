"""The driver of a run: it plans the tiles, feeds the engine and commits the results.

Only the driver writes the database, the manifests and the time axis; workers write objects. The
time axis is decided, and the cubes extended to it, before any worker starts. The order of a
commit is in commit.py, the work of a worker in tile/walk.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from spatial_assets.catalog import Catalogue, find_scenes
from spatial_assets.catalog.sources.search import lacking_bands
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.indices import INDICES
from spatial_assets.pipeline import ownership
from spatial_assets.pipeline.engines.engine import Engine
from spatial_assets.pipeline.outcome import TileOutcome
from spatial_assets.pipeline.regrid.needs import require_no_regrid
from spatial_assets.pipeline.run.commit import Committer
from spatial_assets.pipeline.run.known_states import KnownStates
from spatial_assets.pipeline.run.run import Run
from spatial_assets.pipeline.run.run_log import RunLog
from spatial_assets.pipeline.run.scenes_of_run import RunScenes
from spatial_assets.pipeline.run.settled_months import VERIFIED_MONTHS
from spatial_assets.pipeline.run.tile_leases import TileLeases
from spatial_assets.pipeline.stages import RAW, Chain, chain_of
from spatial_assets.pipeline.tile.retention import FirstKept
from spatial_assets.project import Project
from spatial_assets.retries import retry_budget
from spatial_assets.stores.cube.cube import ensure_cube, stored_cube
from spatial_assets.stores.cube.metadata import CubeSpec
from spatial_assets.stores.objects.grid_identity import claim_grid
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.tables.database import Database

logger = logging.getLogger(__name__)

LEASE_WAIT = timedelta(seconds=120)
"""Longest wait for tiles leased by another driver while none of them is released: longer than the
lease of a driver that died."""


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
    """Holder of the leases, for the user: a run id, or host and process."""

    find: Callable[[Project], Catalogue] = find_scenes
    """Search for the scenes of the project's area."""

    without_boundaries: Collection[str] = ()
    """Boundary sets whose source is bad and that never were valid; the tiles do without them."""

    lease_wait: timedelta = LEASE_WAIT
    verified_months: int = VERIFIED_MONTHS
    """Settled months of a tile whose objects each run verifies."""

    @property
    def chain(self) -> Chain:
        """The stages of this project."""
        return chain_of(self.project)

    def run(
        self, keys: Sequence[str], *, stages: Iterable[str]
    ) -> Generator[TileOutcome, None, None]:
        """Walk the tiles `keys` through `stages` and yield each outcome once it is committed.

        Tiles end in any order. Bad tiles are outcomes, not exceptions. A consumer that may stop
        early closes the generator, which releases the leases.

        Raises:
            GridError: a key is not a tile of this project, or the store holds another grid.
            ForeignProjectError: the store or the database belongs to another project.
            SourceUnavailableError: the catalogue did not answer.
            StoreError, DatabaseError: the store or the database is not available.
        """
        selected = self.chain.in_order(stages)
        project = self.project
        tiles = [project.partitioning.tile(key) for key in dict.fromkeys(keys)]
        if not tiles or not selected:
            return
        retry_budget.refill()
        ownership.claim(project, self.store, self.database)
        claim_grid(self.store, project.grid_id, grid=project.grid.model_dump(mode="json"))
        require_no_regrid(project, self.store)
        log = RunLog(
            database=self.database,
            grid_id=project.grid_id,
            owner=self.owner,
            stages=selected,
            workers=self.engine.workers,
            clock=self.clock,
        )
        with self.database.keep_open():
            yield from log.of(self._walk(tiles, selected))

    def _walk(
        self, tiles: Sequence[Tile], selected: tuple[str, ...]
    ) -> Generator[TileOutcome, None, None]:
        """Yield the outcomes of `tiles`, each once it is committed."""
        project = self.project
        scenes = RunScenes(project, self.store, self.engine, self.find)
        if RAW in selected:
            scenes.gather(tiles, now=self.clock())
            for line in lacking_bands(project, scenes.catalogue.scenes):
                logger.warning("%s", line)
        periods = ensure_axes(project, self.store, scenes, owner=self.owner, clock=self.clock)
        first_kept = FirstKept()
        if RAW in selected:
            first_kept = self._leave_out_old_periods(scenes, periods)
            scenes.register(owner=self.owner, clock=self.clock)
        known_states = KnownStates.load(
            self.database, project.grid_id, [tile.key for tile in tiles]
        )
        committer = Committer(
            project=project,
            store=self.store,
            database=self.database,
            periods=periods,
            clock=self.clock,
            known_states=known_states,
        )
        committer.forget_other_stages()
        committer.record_scenes(scenes.rejected.values(), usable=scenes.records)
        with TileLeases(self.store, owner=self.owner, clock=self.clock) as leases:
            run = Run(
                project=project,
                chain=self.chain,
                selected=selected,
                scenes=scenes,
                periods=periods,
                known_states=known_states,
                committer=committer,
                leases=leases,
                first_kept=first_kept,
                without_boundaries=self.without_boundaries,
                verified_months=self.verified_months,
            )
            try:
                yield from run.walk(tiles, self.engine, lease_wait=self.lease_wait)
            finally:
                committer.finish()

    def _leave_out_old_periods(self, scenes: RunScenes, periods: Periods) -> FirstKept:
        """Leave out the scenes of periods that are kept no longer; return the first ones kept."""
        newest = max(scenes.product_periods(periods), default=0)
        first = FirstKept.of(
            self.project.retention, periods, newest=newest, today=self.clock().date()
        )
        scenes.leave_out_before(periods.first_day(first.periods))
        return first


def ensure_axes(
    project: Project,
    store: ObjectStore,
    scenes: RunScenes,
    *,
    owner: str,
    clock: Callable[[], datetime],
) -> Periods:
    """Create the cubes, or extend them all to the same axis: that of the last period with data.

    An axis that is longer already stays: only `regrid` shortens one.

    Returns:
        The time axis of the project.

    Raises:
        SettingsError: no start is known.
        GridError: a stored cube starts elsewhere in space or time.
    """
    days = [scene.solar_day for scene in scenes.catalogue.scenes]
    stored = stored_axes(project, store)
    periods = project.periods(
        clock().date(),
        min(days, default=None),
        latest=max([*days, *(axis.end for axis in stored)], default=None),
        stored=stored[0].start if stored else None,
    )
    scenes.refuse_before(periods)
    for index in project.indices_in_use:
        spec = CubeSpec(
            index=index.name,
            grid=project.pixel_grid,
            grid_id=project.grid_id,
            extent=project.partitioning.extent,
            periods=periods,
            long_name=index.description,
        )
        ensure_cube(store, spec, owner=owner, clock=clock)
    return periods


def stored_axes(project: Project, store: ObjectStore) -> list[Periods]:
    """Time axes of the stored cubes; of those of other indices only if the project's have none.

    An index that is computed from stored inputs, without the catalogue, gets their axis.
    """
    for names in (project.indices.names, INDICES):
        cubes = [stored_cube(store, name) for name in names]
        if any(cubes):
            return [cube.periods for cube in cubes if cube is not None]
    return []
