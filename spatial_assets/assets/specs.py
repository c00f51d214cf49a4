"""The chain's assets as Dagster lists them: description, columns, owners, freshness, checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from spatial_assets.assets.facts import OWNERS, code_version, column_schema, freshness
from spatial_assets.indices import INDICES
from spatial_assets.pipeline.stages import RAW, REPROJECTED, TILE_INDEX, Chain, by_boundary
from spatial_assets.project import Project
from spatial_assets.stores.tables import declare

GROUP = "tiles"

SOURCE_INTACT = "source_intact"
PIXEL_ALIGNMENT = "pixel_alignment"
INDEX_RANGE = "index_range"


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
            metadata=_metadata(project, stage),
            freshness_policy=freshness(project.freshness.get(stage)),
            skippable=True,
        )
        for stage in chain.stages
    ]


def check_specs(chain: Chain) -> list[dg.AssetCheckSpec]:
    """Verdicts on the pixels, made before they are written; at most three events a tile."""
    first = chain.indices[0]
    specs = [
        dg.AssetCheckSpec(
            SOURCE_INTACT,
            asset=RAW,
            description="Every block of every scene could be read, and no scene was refused.",
        ),
        dg.AssetCheckSpec(
            PIXEL_ALIGNMENT,
            asset=REPROJECTED,
            description="The stored rasters lie on the grid's own pixels: transform, CRS, shape.",
        ),
    ]
    specs += [
        dg.AssetCheckSpec(
            INDEX_RANGE,
            asset=index,
            description="At most 1 % of the values had to be removed as out of range.",
        )
        for index in ([first] if len(chain.indices) == 1 else chain.indices)
    ]
    return specs


def _upstream(project: Project, chain: Chain, stage: str) -> Sequence[str]:
    statistics = {by_boundary(index) for index in chain.indices}
    validated = [f"validated_{each.name}" for each in project.boundaries]
    return [*chain.upstream_of(stage), *(validated if stage in statistics else [])]


def _description(project: Project, stage: str) -> str:
    named: Mapping[str, str] = {
        RAW: "Pixels of each scene that the tile needs, as the archive has them, on the scene's "
        "own grid (GeoTIFF, one file a band).",
        REPROJECTED: "Clear-sky surface reflectance of each scene on the product's pixel grid "
        "(GeoTIFF, int16 x 10,000, fill -32,768).",
        TILE_INDEX: "The product's own index in the database: a row for each tile, index and "
        "period, with footprint, valid share and freshness.",
    }
    if stage in named:
        return named[stage]
    if stage in INDICES:
        index = INDICES[stage]
        return (
            f"{index.description} One value a {project.time.period} and pixel, composed of its "
            f"clear observations ({project.time.composite}); Zarr v3, int16 x 10,000. "
            f"Source: {index.reference}"
        )
    return (
        "Area-weighted statistics of the index within each boundary, in parts that merge over "
        f"tiles; the view {stage}_merged adds them up."
    )


def _kinds(project: Project, stage: str) -> set[str]:
    where = "s3" if project.storage_url.startswith("s3://") else "file"
    if stage in {RAW, REPROJECTED}:
        return {"tiff", where}
    if stage in INDICES:
        return {"zarr", where}
    return {"table", _database_kind(project)}


def _database_kind(project: Project) -> str:
    return "duckdb" if project.database_url.startswith("duckdb") else "postgres"


def _metadata(project: Project, stage: str) -> dict[str, object]:
    if stage in {RAW, REPROJECTED} or stage in INDICES:
        return {}
    tables = declare(project.boundaries, project.indices.names)
    return {
        "dagster/column_schema": column_schema(tables.table(stage)),
        "dagster/table_name": stage,
    }
