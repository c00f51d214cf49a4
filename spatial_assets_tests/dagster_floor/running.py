"""Runs of the definitions within this process, and what an instance knows afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import Any

import dagster as dg

from spatial_assets.definitions import build_definitions
from spatial_assets.project import Project
from spatial_assets.resources import EngineResource

CHAIN = ("raw_tile", "reprojected_raster", "ndvi", "ndvi_by_boundary", "tile_index")
BOUNDARIES = ("raw_boundaries", "validated_boundaries", "boundaries")
DATA_VERSION = "dagster/data_version"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
INLINE = EngineResource(workers=0, gdal_cache_mb=64)


def definitions(project: Project, *assets: dg.AssetsDefinition) -> dg.Definitions:
    """The project's definitions without worker processes, and a person's own assets."""
    ours = build_definitions(project, engine=INLINE)
    return dg.Definitions.merge(ours, dg.Definitions(assets=assets)) if assets else ours


def materialize(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    select: Collection[str],
    *,
    tiles: Sequence[str] = (),
) -> dg.ExecuteInProcessResult:
    """Materialize assets in this process: for one tile, for a range of them, or without."""
    one = tiles[0] if len(tiles) == 1 else None
    tags = dict(zip(RANGE_TAGS, (tiles[0], tiles[-1]), strict=True)) if len(tiles) > 1 else {}
    with warnings.catch_warnings():
        # said of any job that holds the chain and what follows it; `dagster asset` makes no job
        warnings.filterwarnings("ignore", "Asset job .* varying BackfillPolicies")
        return dg.materialize(
            [*(defs.assets or ()), *(defs.asset_checks or ())],  # type: ignore[list-item]
            selection=list(select),
            partition_key=one,
            tags=tags,
            resources=defs.resources,
            instance=instance,
            raise_on_error=False,
        )


def newest(
    instance: dg.DagsterInstance, asset: str, tile: str | None = None
) -> dg.AssetMaterialization | None:
    """The newest materialization of an asset, or of one of its tiles."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[tile] if tile else None)
    for record in instance.fetch_materializations(wanted, limit=1).records:
        return record.asset_materialization
    return None


def told(instance: dg.DagsterInstance, asset: str, tile: str | None = None) -> dict[str, Any]:
    """The metadata of the newest materialization, as plain values."""
    event = newest(instance, asset, tile)
    assert event is not None, f"{asset} of {tile} was never materialized"
    return {name: value.value for name, value in event.metadata.items()}


def tags_of(instance: dg.DagsterInstance, asset: str, tile: str) -> dict[str, str]:
    """The tags of the newest materialization of a tile."""
    event = newest(instance, asset, tile)
    assert event is not None, f"{asset} of {tile} was never materialized"
    return dict(event.tags or {})


def versions(instance: dg.DagsterInstance, asset: str, tiles: Sequence[str]) -> dict[str, str]:
    """The data version of each tile that exists."""
    events = {tile: newest(instance, asset, tile) for tile in tiles}
    return {tile: (event.tags or {})[DATA_VERSION] for tile, event in events.items() if event}


def times_made(instance: dg.DagsterInstance, asset: str, tile: str) -> int:
    """How often a tile was materialized."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[tile])
    return len(instance.fetch_materializations(wanted, limit=100).records)


def observed(instance: dg.DagsterInstance, asset: str, tile: str) -> dict[str, Any]:
    """The metadata of the newest observation of a tile."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[tile])
    for record in instance.fetch_observations(wanted, limit=1).records:
        event = record.asset_observation
        assert event is not None
        return {name: value.value for name, value in event.metadata.items()}
    return {}


def evaluations(
    instance: dg.DagsterInstance, run_id: str
) -> dict[tuple[str, str, str | None], dg.AssetCheckEvaluation]:
    """(asset, check, tile) -> what it said in a run."""
    found = {}
    for record in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        event = record.get_dagster_event().asset_check_evaluation_data
        key = (event.asset_key.to_user_string(), event.check_name, event.partition)
        assert key not in found
        found[key] = event
    return found
