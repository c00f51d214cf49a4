"""Specs of the chain's assets: description, columns, owners, freshness and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from spatial_assets.assets.asset_keys import asset_key, project_tags
from spatial_assets.assets.asset_metadata import OWNERS, code_version, column_schema
from spatial_assets.assets.backlog_check import backlog_spec
from spatial_assets.assets.freshness_policies import stage_freshness_policy
from spatial_assets.assets.run_checks import (
    NO_ORPHANS,
    PARTS_FIT,
    SAME_TILES,
    TABLE_IS_SOUND,
    TABLE_IS_SOUND_DESCRIPTION,
)
from spatial_assets.indices import INDICES
from spatial_assets.io_managers import TILE_IO_MANAGER
from spatial_assets.pipeline.stages import (
    INDEX_RANGE,
    RAW,
    REPROJECTED_RASTER,
    TILE_INDEX,
    Chain,
    by_boundary,
)
from spatial_assets.project import Project
from spatial_assets.stores.public_columns import STATISTICS_COLUMNS, TILE_INDEX_COLUMNS

TILE_GROUP = "tiles"

SOURCE_INTACT = "source_intact"
PIXEL_ALIGNMENT = "pixel_alignment"

TILE_CHECKS = 3
"""Number of checks of a tile: each is an event for every tile."""


def stage_specs(project: Project, chain: Chain) -> list[dg.AssetSpec]:
    """Return one spec per stage; skippable, because a bad tile has no materialization."""
    return [
        dg.AssetSpec(
            asset_key(project, stage),
            deps=_upstream(project, chain, stage),
            description=_description(project, stage),
            group_name=TILE_GROUP,
            kinds=_kinds(project, stage),
            owners=OWNERS,
            tags=project_tags(project),
            code_version=code_version(stage, chain.indices),
            metadata=_metadata(stage),
            freshness_policy=stage_freshness_policy(project, stage),
            skippable=True,
        ).with_io_manager_key(TILE_IO_MANAGER)
        for stage in chain.stages
    ]


def tile_check_specs(
    project: Project, chain: Chain, partitions: dg.StaticPartitionsDefinition
) -> list[dg.AssetCheckSpec]:
    """Return the checks of a tile's pixels, made before they are written: one event per tile each.

    Three checks however many indices there are: all other figures go into their metadata.
    """
    checks = project.checks
    intact = (
        f"At least {checks.least_readable_share:.0%} of each scene's pixels could be read, and no "
        "scene was refused; the metadata has the figures of the calibration."
    )
    placed = (
        "The rasters match the grid (transform, CRS, shape), and no pixel is valid outside the "
        "tile's shards or its scenes; otherwise the tile is quarantined."
    )
    in_range = (
        f"For every index, at most {checks.most_removed_share:.2%} of the values were removed as "
        f"out of range (above {checks.quarantine_removed_share:.0%} the tile is quarantined), and "
        f"at least {checks.least_valid_share:.0%} of the tile is valid."
    )
    described = [
        (SOURCE_INTACT, RAW, intact),
        (PIXEL_ALIGNMENT, REPROJECTED_RASTER, placed),
        (INDEX_RANGE, chain.indices[0], in_range),
    ]
    return [
        dg.AssetCheckSpec(
            name, asset=asset_key(project, asset), description=text, partitions_def=partitions
        )
        for name, asset, text in described
    ]


def run_check_specs(project: Project, chain: Chain) -> list[dg.AssetCheckSpec]:
    """Return the checks of whole tables, made at the end of a run: one event per run each."""
    statistics = [by_boundary(index) for index in chain.indices] if chain.with_boundaries else []
    return [
        backlog_spec(project),
        dg.AssetCheckSpec(
            NO_ORPHANS,
            asset=asset_key(project, TILE_INDEX),
            description="Every row belongs to this grid and to a tile of the area.",
        ),
        *(
            dg.AssetCheckSpec(
                SAME_TILES,
                asset=asset_key(project, index),
                description=f"Same tiles and periods as {chain.indices[0]}, whose check "
                "index_range covers both.",
            )
            for index in chain.indices[1:]
        ),
        dg.AssetCheckSpec(
            TABLE_IS_SOUND,
            asset=asset_key(project, TILE_INDEX),
            description=TABLE_IS_SOUND_DESCRIPTION,
        ),
        *(
            dg.AssetCheckSpec(
                PARTS_FIT,
                asset=asset_key(project, asset),
                description="Merged over all tiles, pixels cover no more than the boundary itself.",
            )
            for asset in statistics
        ),
    ]


def _upstream(project: Project, chain: Chain, stage: str) -> Sequence[dg.AssetKey]:
    statistics = {by_boundary(index) for index in chain.indices}
    validated = [f"validated_{each.name}" for each in project.boundaries]
    names = [*chain.upstream_of(stage), *(validated if stage in statistics else [])]
    return [asset_key(project, name) for name in names]


def _description(project: Project, stage: str) -> str:
    named: Mapping[str, str] = {
        RAW: "The pixels of each scene that the tile needs, unchanged, on the scene's own grid "
        "(GeoTIFF, one file per band).",
        REPROJECTED_RASTER: "Clear-sky surface reflectance of each scene on the product's pixel "
        "grid (GeoTIFF, int16 x 10,000, fill -32,768).",
        TILE_INDEX: "The product's own index in the database: one row per tile, spectral index and "
        "period, with footprint, valid share and freshness.",
    }
    if stage in named:
        return named[stage]
    if stage in INDICES:
        index = INDICES[stage]
        return (
            f"{index.description.rstrip('.')}. One value per {project.time.period} and pixel, the "
            f"composite of its clear observations ({project.time.composite}); "
            "Zarr v3, int16 x 10,000. "
            f"Source: {index.reference}"
        )
    return (
        "Area-weighted statistics of the index within each boundary, one part per tile; the view "
        f"{stage}_merged adds up the parts."
    )


def _kinds(project: Project, stage: str) -> set[str]:
    where = "s3" if project.storage_url.startswith("s3://") else "file"
    if stage in {RAW, REPROJECTED_RASTER}:
        return {"tiff", where}
    if stage in INDICES:
        return {"zarr", where}
    return {"table", database_kind(project)}


def database_kind(project: Project) -> str:
    """Return the kind of the database, as Dagster's icons name it."""
    return "duckdb" if project.database_url.startswith("duckdb") else "postgres"


def _metadata(stage: str) -> dict[str, object]:
    if stage in {RAW, REPROJECTED_RASTER} or stage in INDICES:
        return {}
    columns = TILE_INDEX_COLUMNS if stage == TILE_INDEX else STATISTICS_COLUMNS
    return {
        "dagster/column_schema": column_schema(columns),
        "dagster/table_name": stage,
    }
