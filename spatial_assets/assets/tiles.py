"""The tile chain: raw_tile to tile_index, one asset a stage, walked tile by tile in one step.

One step, because in separate steps two bad tiles of ten would lose all ten downstream.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.assets.accepted import accepted_warnings
from spatial_assets.assets.backlog import KEY as BACKLOG
from spatial_assets.assets.backlog import backlog_result
from spatial_assets.assets.events import TileEvent, TileEvents
from spatial_assets.assets.failing import fail_if_any_tile_is_bad, failing_plainly
from spatial_assets.assets.progress import Progress
from spatial_assets.assets.run_checks import judge_tables
from spatial_assets.assets.specs import run_check_specs, stage_specs, tile_check_specs
from spatial_assets.partitions import tile_partitions
from spatial_assets.pipeline.outcome import RunReport
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
    from spatial_assets.pipeline.driver import TilePipeline

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
        from spatial_assets.assets.open_log import event_log_open  # noqa: PLC0415 - not at import
        from spatial_assets.pipeline.driver import TilePipeline  # noqa: PLC0415

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
    from spatial_assets.pipeline.backlog import backlog_now  # noqa: PLC0415 - not at import

    keys = context.partition_keys
    stages = [key.to_user_string() for key in context.selected_asset_keys]
    events = TileEvents(context, pipeline.chain, database=pipeline.database.url)
    progress = Progress(context.log.info, total=len(keys))
    for outcome in pipeline.run(keys, stages=stages):
        report.add(outcome)
        yield from events.of(outcome)
        progress.count(outcome)
    yield from events.of_run(judge_tables(pipeline.project, pipeline.database))
    if BACKLOG in context.selected_asset_check_keys:
        backlog = backlog_now(pipeline.project, pipeline.database, now=pipeline.clock())
        yield backlog_result(backlog)
    context.log.info("%d tiles: %s", len(keys), report.sentence())
