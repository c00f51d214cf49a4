"""The tile chain: raw_tile to tile_index, one asset a stage, walked tile by tile in one step.

One step, because in separate steps two bad tiles of ten would lose all ten downstream.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

from collections.abc import Iterator, Sequence

import dagster as dg

from spatial_assets.assets.events import TileEvents
from spatial_assets.assets.progress import Progress
from spatial_assets.assets.specs import check_specs, stage_specs
from spatial_assets.partitions import tile_partitions
from spatial_assets.pipeline.stages import Chain
from spatial_assets.project import Project
from spatial_assets.resources import (
    CatalogResource,
    DatabaseResource,
    EngineResource,
    StoreResource,
    now,
    writer,
)

STEP = "tile_chain"


def tile_chain(project: Project) -> dg.AssetsDefinition:
    """The assets of the chain for a project."""
    chain = Chain(indices=tuple(project.indices.names), with_boundaries=bool(project.boundaries))

    @dg.multi_asset(
        name=STEP,
        specs=stage_specs(project, chain),
        check_specs=check_specs(chain),
        partitions_def=tile_partitions(project),
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
        pool="tile_chain",
    )
    def assets(
        context: dg.AssetExecutionContext,
        store: StoreResource,
        database: DatabaseResource,
        catalog: CatalogResource,
        engine: EngineResource,
    ) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult]:
        """Walk the selected tiles through the selected stages, reporting each as it ends."""
        from spatial_assets.pipeline.driver import TilePipeline  # noqa: PLC0415 - not at import
        from spatial_assets.pipeline.outcome import BadTilesError, RunReport  # noqa: PLC0415

        keys = context.partition_keys
        report, progress = RunReport(), Progress(context.log.info, total=len(keys))
        events = TileEvents(context)
        with database.open(project) as opened:
            pipeline = TilePipeline(
                project=project,
                store=store.open(),
                database=opened,
                engine=engine.start(),
                clock=now,
                owner=writer(context.run_id),
                find=catalog.scenes,
            )
            for outcome in pipeline.run(keys, stages=selected_stages(context)):
                report.add(outcome)
                yield from events.of(outcome)
                progress.count(outcome)
        context.log.info("%d tiles: %s", len(keys), report.sentence())
        try:
            report.raise_if_any_tile_is_bad()
        except BadTilesError as error:
            # A rerun of the step would not change what is bad; tiles were retried one by one.
            raise dg.Failure(str(error), allow_retries=False) from error

    return assets


def selected_stages(context: dg.AssetExecutionContext) -> Sequence[str]:
    """Names of the stages this run was asked for."""
    return [key.to_user_string() for key in context.selected_asset_keys]
