"""Runs of Dagster over a range of tiles, on SQLite in a folder."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dagster as dg

from spatial_assets.definitions import build_definitions
from spatial_assets.pipeline.engines.engine import ProcessEngine
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project

INSTANCE = Path(__file__).parents[1] / "dagster.yaml"
FIRST, LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
WORKERS, CACHE_MB = 2, 64


def run_nothing(keys: Sequence[str], home: Path) -> None:
    """Run one asset whose tiles do nothing over a range, planned events included."""

    @dg.asset(
        partitions_def=dg.StaticPartitionsDefinition(list(keys)),
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
    )
    def nothing(context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization]:
        engine = ProcessEngine(workers=WORKERS, gdal_cache_mb=CACHE_MB)
        for key, _ in engine.run(str, context.partition_keys):
            yield dg.AssetMaterialization("nothing", partition=key)

    launch(lambda instance: materialized([nothing], instance, keys), home)


def run_range(project: Project, tiles: Sequence[str], home: Path) -> None:
    """Run tiles in one run of Dagster, on SQLite."""
    definitions = build_definitions(project)
    assets = [*(definitions.assets or ()), *(definitions.asset_checks or ())]
    stages = chain_of(project).stages
    launch(
        lambda instance: materialized(
            assets, instance, tiles, selection=stages, resources=definitions.resources
        ),
        home,
    )


def launch(run: Callable[[dg.DagsterInstance], None], home: Path) -> None:
    """Call `run` with an instance in a folder, configured by the `dagster.yaml` of the project."""
    home.mkdir(exist_ok=True)
    shutil.copy(INSTANCE, home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run(instance)


def materialized(
    assets: Sequence[object], instance: dg.DagsterInstance, tiles: Sequence[str], **more: object
) -> None:
    """Run Dagster once over a range of tiles."""
    done = dg.materialize(
        assets,  # type: ignore[arg-type]
        instance=instance,
        tags={FIRST: tiles[0], LAST: tiles[-1]},
        run_config=QUIET,
        **more,  # type: ignore[arg-type]
    )
    if not done.success:
        raise RuntimeError("the run failed")
