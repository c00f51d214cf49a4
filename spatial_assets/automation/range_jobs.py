"""Jobs of ranges: one of all tiles, and one of each region with its tiles and no others.

Dagster offers every partition of its assets to the backfill of an asset job, and refuses such a job
other partitions than its assets have; `dagster job backfill` makes one run of each partition. So
these are not asset jobs: their partitions are the ranges of the tiles, and their op processes a
range and reports each tile as the assets do.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from spatial_assets.assets.asset_keys import run_tags
from spatial_assets.assets.events import RunScope
from spatial_assets.assets.run_tiles import refuse_edited_area
from spatial_assets.assets.specs import TILE_GROUP
from spatial_assets.assets.tile_chain import ChainResources, run_chain
from spatial_assets.pipeline.key_ranges import KeyRange, key_ranges
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project
from spatial_assets.resources import (
    CatalogResource,
    DatabaseResource,
    EngineResource,
    StoreResource,
)

FIRST_TILE_TAG = "spatial_assets/first_tile"
LAST_TILE_TAG = "spatial_assets/last_tile"
"""Ends of the range of a run. Dagster's own tags of ranges belong to runs of assets."""

BETWEEN = ":"
"""Stands between the first and the last tile in the key of a range; in no key of a tile."""


ALL_RANGES = "tile_ranges"
"""Name of the job of all tiles."""


def region_job_name(region: str) -> str:
    """Name of a region's job, and of its schedule."""
    return f"{TILE_GROUP}_{region}"


def range_jobs(project: Project, chain: dg.AssetsDefinition) -> list[dg.JobDefinition]:
    """Return the job of all tiles and that of each region: all stages of the tiles.

    Args:
        project: whose tiles and regions.
        chain: the assets of its tiles.
    """
    everything = range_job(project, ALL_RANGES, project.tile_keys, chain, of="of the project")
    return [
        everything,
        *(
            range_job(
                project,
                region_job_name(region),
                project.region_tiles(region),
                chain,
                of=f"of the region {region}; `spatial-assets tiles --region {region}` lists them",
            )
            for region in project.regions
        ),
    ]


def tile_ranges(project: Project, tiles: Iterable[str]) -> Mapping[str, KeyRange]:
    """Map the key of each range of these tiles to the range, in the order of the tiles."""
    longest = project.compute.max_tiles_per_run
    found = key_ranges(project.tile_keys, tiles, longest=longest)
    return {
        part.first if part.count == 1 else f"{part.first}{BETWEEN}{part.last}": part
        for part in found
    }


def range_job(
    project: Project, name: str, tiles: Iterable[str], chain: dg.AssetsDefinition, *, of: str
) -> dg.JobDefinition:
    """Return a job with one partition for each range of the tiles.

    Args:
        project: the project.
        name: name of the job.
        tiles: keys of the tiles.
        chain: the assets of the tiles.
        of: words for its description that say which tiles they are.
    """
    ranges = tile_ranges(project, tiles)

    @dg.op(name=f"{name}_range", out=dg.Out(dg.Nothing))
    def process_range(
        context: dg.OpExecutionContext,
        store: StoreResource,
        database: DatabaseResource,
        catalog: CatalogResource,
        engine: EngineResource,
    ) -> Iterator[object]:
        """Process the tiles of one range through all stages, and report each as it ends."""
        if context.partition_key not in ranges:
            refuse_edited_area(context, [context.partition_key])
        part = ranges[context.partition_key]
        scope = RunScope(
            tiles=tiles_of(project, part),
            stages=chain_of(project).stages,
            checks=chain.check_keys,
            assets=chain,
            is_single=False,
        )
        resources = ChainResources(store, database, catalog, engine)
        for event in run_chain(context, project, resources=resources, scope=scope):
            yield as_evaluation(event)
        yield dg.Output(None)

    def tags_of_range(key: str) -> Mapping[str, str]:
        return {FIRST_TILE_TAG: ranges[key].first, LAST_TILE_TAG: ranges[key].last}

    @dg.job(
        name=name,
        description="A partition is a range of neighbours, and a backfill one run for each: all "
        f"stages of the tiles {of}.",
        tags=dict(run_tags(project)),
        config=dg.PartitionedConfig(
            partitions_def=dg.StaticPartitionsDefinition(list(ranges)),
            run_config_for_partition_key_fn=lambda _: {},
            tags_for_partition_key_fn=tags_of_range,
        ),
    )
    def job() -> None:
        process_range()

    return job


def tiles_of(project: Project, part: KeyRange) -> tuple[str, ...]:
    """Return the tiles of a range."""
    keys = project.tile_keys
    return tuple(keys[keys.index(part.first) : keys.index(part.last) + 1])


def as_evaluation(event: object) -> object:
    """Return an event in the form that an op may yield: a check result names its asset."""
    if not isinstance(event, dg.AssetCheckResult):
        return event
    assert event.asset_key is not None  # noqa: S101 - for mypy: set by those who make them
    assert event.check_name is not None  # noqa: S101 - for mypy
    return dg.AssetCheckEvaluation(
        asset_key=event.asset_key,
        check_name=event.check_name,
        passed=event.passed,
        metadata=event.metadata,
        severity=event.severity,
    )
