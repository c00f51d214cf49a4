"""The chain's assets as Dagster lists them: description, columns, owners, freshness, checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from spatial_assets.assets.asset_metadata import OWNERS, code_version, column_schema
from spatial_assets.assets.backlog_check import backlog_spec
from spatial_assets.assets.freshness_policies import stage_alarm
from spatial_assets.assets.run_checks import (
    NO_ORPHANS,
    PARTS_FIT,
    SAME_TILES,
    SOUND,
    TABLE_IS_SOUND,
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

GROUP = "tiles"

SOURCE_INTACT = "source_intact"
PIXEL_ALIGNMENT = "pixel_alignment"


def stage_specs(project: Project, chain: Chain) -> list[dg.AssetSpec]:
    """One spec a stage; skippable, because a bad tile has no materialization."""
    return [
        dg.AssetSpec(
            stage,
            deps=_upstream(project, chain, stage),
            description=_description(project, stage),
            group_name=GROUP,
            kinds=_kinds(project, stage),
            owners=OWNERS,
            code_version=code_version(stage, chain.indices),
            metadata=_metadata(stage),
            freshness_policy=stage_alarm(project, stage),
            skippable=True,
        ).with_io_manager_key(TILE_IO_MANAGER)
        for stage in chain.stages
    ]


def tile_check_specs(
    project: Project, chain: Chain, partitions: dg.StaticPartitionsDefinition
) -> list[dg.AssetCheckSpec]:
    """Verdicts on the pixels of a tile, made before they are written: an event a tile each.

    Three however many indices there are: what is judged beside goes into their metadata.
    """
    checks = project.checks
    intact = (
        f"At least {checks.least_readable_share:.0%} of each scene's pixels could be read, no "
        "scene was refused; with the figures of the calibration."
    )
    placed = (
        "The rasters lie on the grid's own pixels (transform, CRS, shape), and nothing is valid "
        "outside the tile's shards or off its scenes; else the tile is quarantined."
    )
    in_range = (
        f"Of every index at most {checks.most_removed_share:.2%} of the values had to be removed "
        f"as out of range (beyond {checks.quarantine_removed_share:.0%} it is quarantined), and "
        f"at least {checks.least_valid_share:.0%} of the tile is valid."
    )
    described = [
        (SOURCE_INTACT, RAW, intact),
        (PIXEL_ALIGNMENT, REPROJECTED_RASTER, placed),
        (INDEX_RANGE, chain.indices[0], in_range),
    ]
    return [
        dg.AssetCheckSpec(name, asset=asset, description=told, partitions_def=partitions)
        for name, asset, told in described
    ]


def run_check_specs(project: Project, chain: Chain) -> list[dg.AssetCheckSpec]:
    """Verdicts on the tables as a whole, made at the end of a run: an event a run each."""
    statistics = [by_boundary(index) for index in chain.indices] if chain.with_boundaries else []
    return [
        backlog_spec(project),
        dg.AssetCheckSpec(
            NO_ORPHANS,
            asset=TILE_INDEX,
            description="Every row is of this grid and of a tile that the area still has.",
        ),
        *(
            dg.AssetCheckSpec(
                SAME_TILES,
                asset=index,
                description=f"It has the tiles and periods of {chain.indices[0]}, whose check "
                "index_range judges both.",
            )
            for index in chain.indices[1:]
        ),
        dg.AssetCheckSpec(TABLE_IS_SOUND, asset=TILE_INDEX, description=SOUND),
        *(
            dg.AssetCheckSpec(
                PARTS_FIT,
                asset=asset,
                description="Merged over tiles, pixels never cover more than the boundary itself.",
            )
            for asset in statistics
        ),
    ]


def _upstream(project: Project, chain: Chain, stage: str) -> Sequence[str]:
    statistics = {by_boundary(index) for index in chain.indices}
    validated = [f"validated_{each.name}" for each in project.boundaries]
    return [*chain.upstream_of(stage), *(validated if stage in statistics else [])]


def _description(project: Project, stage: str) -> str:
    named: Mapping[str, str] = {
        RAW: "Pixels of each scene that the tile needs, as the archive has them, on the scene's "
        "own grid (GeoTIFF, one file a band).",
        REPROJECTED_RASTER: "Clear-sky surface reflectance of each scene on the product's pixel "
        "grid (GeoTIFF, int16 x 10,000, fill -32,768).",
        TILE_INDEX: "The product's own index in the database: a row for each tile, index and "
        "period, with footprint, valid share and freshness.",
    }
    if stage in named:
        return named[stage]
    if stage in INDICES:
        index = INDICES[stage]
        return (
            f"{index.description.rstrip('.')}. One value a {project.time.period} and pixel, "
            f"composed of its clear observations ({project.time.composite}); "
            "Zarr v3, int16 x 10,000. "
            f"Source: {index.reference}"
        )
    return (
        "Area-weighted statistics of the index within each boundary, in parts that merge over "
        f"tiles; the view {stage}_merged adds them up."
    )


def _kinds(project: Project, stage: str) -> set[str]:
    where = "s3" if project.storage_url.startswith("s3://") else "file"
    if stage in {RAW, REPROJECTED_RASTER}:
        return {"tiff", where}
    if stage in INDICES:
        return {"zarr", where}
    return {"table", database_kind(project)}


def database_kind(project: Project) -> str:
    """What the database is, as Dagster's icons name it."""
    return "duckdb" if project.database_url.startswith("duckdb") else "postgres"


def _metadata(stage: str) -> dict[str, object]:
    if stage in {RAW, REPROJECTED_RASTER} or stage in INDICES:
        return {}
    columns = TILE_INDEX_COLUMNS if stage == TILE_INDEX else STATISTICS_COLUMNS
    return {
        "dagster/column_schema": column_schema(columns),
        "dagster/table_name": stage,
    }
