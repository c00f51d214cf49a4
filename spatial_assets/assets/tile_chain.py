"""The tile chain: raw_tile to tile_index, one asset per stage, processed tile by tile in one step.

One step, because with separate steps two bad tiles of ten would lose all ten downstream.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from spatial_assets.assets.asset_keys import asset_name, run_tags
from spatial_assets.assets.backlog_check import backlog_key, backlog_result
from spatial_assets.assets.events import RunScope, TileEvent, TileEvents
from spatial_assets.assets.run_checks import judge_tables
from spatial_assets.assets.run_failures import as_dagster_failure, fail_if_any_tile_is_bad
from spatial_assets.assets.run_tiles import tiles_of_run
from spatial_assets.assets.specs import run_check_specs, stage_specs, tile_check_specs
from spatial_assets.instance.dagster_internals import accepted_warnings
from spatial_assets.instance.event_log_advice import event_log_advice
from spatial_assets.instance.signs_of_life import SignsOfLife, showing_signs_of_life
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


class RangePolicy(dg.BackfillPolicy):
    """Backfill in runs of neighbouring tiles, each of at most `max_partitions_per_run`.

    The daemon and the webserver receive the number, and split a larger backfill, whoever launched
    it. In this process the policy presents itself as that of a single run: the option
    `--partition-range` of Dagster's command line requires it, and executes the range in one run.
    """

    __slots__ = ()

    @property
    def policy_type(self) -> Any:  # noqa: ANN401 - an enumeration of Dagster that it does not export
        """Type of the policy, for the process that has the code."""
        return dg.BackfillPolicy.single_run().policy_type


RangePolicy.__name__ = dg.BackfillPolicy.__name__  # by which Dagster knows how to serialize it


@accepted_warnings()
def tile_chain(project: Project) -> dg.AssetsDefinition:
    """Return the assets of the chain for a project."""
    chain = chain_of(project)
    partitions = tile_partitions(project)

    @dg.multi_asset(
        name="tile_chain",
        specs=stage_specs(project, chain),
        check_specs=[
            *tile_check_specs(project, chain, partitions),
            *run_check_specs(project, chain),
        ],
        partitions_def=partitions,
        backfill_policy=RangePolicy(project.compute.max_tiles_per_run),
        can_subset=True,
    )
    def assets(
        context: dg.AssetExecutionContext,
        store: StoreResource,
        database: DatabaseResource,
        catalog: CatalogResource,
        engine: EngineResource,
    ) -> Iterator[TileEvent]:
        """Process the selected tiles through the selected stages, and report each as it ends."""
        tiles = tiles_of_run(context, project)
        scope = RunScope(
            tiles=tiles,
            stages=[asset_name(project, key) for key in context.selected_asset_keys],
            checks=context.selected_asset_check_keys,
            assets=context.assets_def,
            is_single=len(tiles) == 1,
        )
        resources = ChainResources(store, database, catalog, engine)
        yield from run_chain(context, project, resources=resources, scope=scope)

    return assets


@dataclass(frozen=True)
class ChainResources:
    """The resources of Dagster that the chain needs."""

    store: StoreResource
    database: DatabaseResource
    catalog: CatalogResource
    engine: EngineResource


def run_chain(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    project: Project,
    *,
    resources: ChainResources,
    scope: RunScope,
) -> Iterator[TileEvent]:
    """Process the tiles of a run, and yield the events of each as it ends.

    Raises:
        Failure: a tile was newly quarantined or failed, or the run could not begin.
    """
    from spatial_assets.pipeline.run.driver import TilePipeline

    report = RunReport()
    with (
        showing_signs_of_life(context) as signs,
        as_dagster_failure(),
        resources.database.open(project) as opened,
    ):
        objects = resources.store.open()
        pipeline = TilePipeline(
            project=project,
            store=objects,
            database=opened,
            engine=resources.engine.start(project, objects),
            clock=now,
            owner=writer(context.run.run_id),
            find=resources.catalog.scenes,
        )
        yield from process_tiles(context, pipeline, report, scope=scope, signs=signs)
    fail_if_any_tile_is_bad(report)


def process_tiles(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    pipeline: "TilePipeline",
    report: RunReport,
    *,
    scope: RunScope,
    signs: SignsOfLife,
) -> Iterator[TileEvent]:
    """Yield the events of each tile of this run, then those of the tables they add rows to."""
    from spatial_assets.pipeline.freshness.backlog import backlog_now

    keys, project = scope.tiles, pipeline.project
    warn_of_large_rows(context, scope)
    context.instance.add_run_tags(context.run.run_id, dict(run_tags(project)))
    events = TileEvents(context.instance, project, scope=scope, database=pipeline.database.url)
    progress = TileProgress(context.log.info, total=len(keys))
    # Closed at an interrupt too, so that the leases of the tiles in flight are released.
    with closing(pipeline.run(keys, stages=scope.stages)) as outcomes:
        for outcome in outcomes:
            report.add(outcome)
            yield from events.of_tile(outcome)
            progress.count(outcome)
            signs.note()
    yield from events.of_run(judge_tables(project, pipeline.database))
    backlog_check = backlog_key(project)
    if backlog_check in scope.checks:
        backlog = backlog_now(project, pipeline.database, now=pipeline.clock())
        yield backlog_result(backlog, backlog_check)
    for line in report.warning_lines():
        context.log.warning(line)
    context.log.info("%d tiles: %s", len(keys), report.summary())


def warn_of_large_rows(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, scope: RunScope
) -> None:
    """Warn if the event log of this instance is not made for a run of so many tiles."""
    partitioned = sum(spec.partitions_def is not None for spec in scope.assets.check_specs)
    longest = max(map(len, scope.tiles), default=0)
    advice = event_log_advice(
        context.instance, tiles=len(scope.tiles), checks=partitioned, key_length=longest
    )
    if advice is not None:
        context.log.warning(advice)


MAX_PROGRESS_LINES = 20
"""Log lines per run, however many tiles it has: every line is an event in a database."""


@dataclass
class TileProgress:
    """Counts tiles, and logs the progress of the run and the estimated time left."""

    log: Callable[[str], None]
    total: int
    _done: int = 0
    _started: float = field(default_factory=time.monotonic)

    def count(self, outcome: TileOutcome) -> None:
        """Count a tile, and log the progress at every twentieth of the run."""
        before, self._done = self._done, self._done + 1
        if (
            self._done * MAX_PROGRESS_LINES // self.total
            == before * MAX_PROGRESS_LINES // self.total
        ):
            return
        seconds = time.monotonic() - self._started
        left = seconds / self._done * (self.total - self._done)
        self.log(
            f"{self._done} of {self.total} tiles, last {outcome.tile} {outcome.state}; "
            f"about {left:.0f} s left"
        )
