"""The tile chain: raw_tile to tile_index, one asset a stage, walked tile by tile in one step.

One step, because in separate steps two bad tiles of ten would lose all ten downstream.

TileProgress of a long step in its log: rarely, because every line is an event in a database.
"""


# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.assets.backlog_check import KEY as BACKLOG
from spatial_assets.assets.backlog_check import backlog_result
from spatial_assets.assets.dagster_internals import accepted_warnings
from spatial_assets.assets.events import TileEvent, TileEvents
from spatial_assets.assets.run_checks import judge_tables
from spatial_assets.assets.run_failures import fail_if_any_tile_is_bad, failing_plainly
from spatial_assets.assets.specs import run_check_specs, stage_specs, tile_check_specs
from spatial_assets.partitions import tile_partitions
from spatial_assets.pipeline.outcome import RunReport, TileOutcome
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project
from spatial_assets.resources import (
    CatalogResource,
    DatabaseResource,
    EngineResource,
    StoreResource,
    now,
    writer,
)

if TYPE_CHECKING:
    from spatial_assets.pipeline.run.driver import TilePipeline


STEP = "tile_chain"


@accepted_warnings()
def tile_chain(project: Project) -> dg.AssetsDefinition:
    """The assets of the chain for a project."""
    chain = chain_of(project)
    partitions = tile_partitions(project)

    @dg.multi_asset(
        name=STEP,
        specs=stage_specs(project, chain),
        check_specs=[
            *tile_check_specs(project, chain, partitions),
            *run_check_specs(project, chain),
        ],
        partitions_def=partitions,
        # the whole range in one run: --partition-range accepts nothing else
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def assets(
        context: dg.AssetExecutionContext,
        store: StoreResource,
        database: DatabaseResource,
        catalog: CatalogResource,
        engine: EngineResource,
    ) -> Iterator[TileEvent]:
        """Walk the selected tiles through the selected stages, reporting each as it ends."""
        from spatial_assets.assets.sqlite_event_log import event_log_open
        from spatial_assets.pipeline.run.driver import TilePipeline

        report = RunReport()
        with (
            failing_plainly(),
            event_log_open(context.instance),
            database.open(project) as opened,
        ):
            objects = store.open()
            pipeline = TilePipeline(
                project=project,
                store=objects,
                database=opened,
                engine=engine.start(project, objects),
                clock=now,
                owner=writer(context.run.run_id),
                find=catalog.scenes,
            )
            yield from walked(context, pipeline, report)
        fail_if_any_tile_is_bad(report)

    return assets


def walked(
    context: dg.AssetExecutionContext, pipeline: "TilePipeline", report: RunReport
) -> Iterator[TileEvent]:
    """What happens to the tiles of this run, and then to the tables that they add to."""
    from spatial_assets.pipeline.freshness.backlog import backlog_now

    keys = context.partition_keys
    stages = [key.to_user_string() for key in context.selected_asset_keys]
    events = TileEvents(context, pipeline.chain, database=pipeline.database.url)
    progress = TileProgress(context.log.info, total=len(keys))
    for outcome in pipeline.run(keys, stages=stages):
        report.add(outcome)
        yield from events.of(outcome)
        progress.count(outcome)
    yield from events.of_run(judge_tables(pipeline.project, pipeline.database))
    if BACKLOG in context.selected_asset_check_keys:
        backlog = backlog_now(pipeline.project, pipeline.database, now=pipeline.clock())
        yield backlog_result(backlog)
    context.log.info("%d tiles: %s", len(keys), report.summary())


LINES = 20
"""Lines a run at the most, however many tiles it has."""


@dataclass
class TileProgress:
    """Counts tiles, and says now and then how far the run is and how long it will take."""

    say: Callable[[str], None]
    total: int
    _done: int = 0
    _started: float = field(default_factory=time.monotonic)

    def count(self, outcome: TileOutcome) -> None:
        """Count a tile; every twentieth part of the run is said."""
        before, self._done = self._done, self._done + 1
        if self._done * LINES // self.total == before * LINES // self.total:
            return
        seconds = time.monotonic() - self._started
        left = seconds / self._done * (self.total - self._done)
        self.say(
            f"{self._done} of {self.total} tiles, last {outcome.tile} {outcome.state}; "
            f"about {left:.0f} s left"
        )
