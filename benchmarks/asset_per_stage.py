"""The same stages as Dagster users usually write them: one asset a stage, one run a partition.

Loaded by `dagster asset materialize -m benchmarks.asset_per_stage` with $SPATIAL_ASSETS_PROJECT
set; every step runs in a separate process, Dagster's default.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import dagster as dg

from spatial_assets.partitions import tile_partitions
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import load_project

project = load_project()
stages = chain_of(project).stages
partitions = tile_partitions(project)


def stage_asset(number: int, stage: str) -> dg.AssetsDefinition:
    """Build the asset of one stage, which depends on the stage before it."""

    @dg.asset(name=stage, partitions_def=partitions, deps=stages[max(number - 1, 0) : number])
    def asset(context: dg.AssetExecutionContext) -> None:
        from benchmarks.direct_run import run_directly  # noqa: PLC0415 - not at import

        run_directly(project, [context.partition_key], stages=[stage])

    return asset


defs = dg.Definitions([stage_asset(number, stage) for number, stage in enumerate(stages)])
