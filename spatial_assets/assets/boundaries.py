"""The assets of one boundary set: the copy of its source, the validated features, the table."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.assets.facts import OWNERS, column_schema, freshness, metadata
from spatial_assets.project import Project
from spatial_assets.project.products import BoundarySettings
from spatial_assets.resources import DatabaseResource, StoreResource, now
from spatial_assets.stores.tables import declare

if TYPE_CHECKING:
    from spatial_assets.pipeline.boundaries import BoundaryPipeline, BoundaryStep

GROUP = "boundaries"
CODE_VERSION = "1"


def boundary_assets(project: Project, settings: BoundarySettings) -> list[dg.AssetsDefinition]:
    """`raw_<name>`, `validated_<name>` and `<name>` of one `[[boundaries]]` entry."""
    return [
        raw_asset(project, settings),
        validated_asset(project, settings),
        table_asset(project, settings),
    ]


def raw_asset(project: Project, settings: BoundarySettings) -> dg.AssetsDefinition:
    """The source as it came."""

    @dg.asset(
        name=f"raw_{settings.name}",
        description=f"{settings.source} as it came, copied so that what was validated can be seen.",
        group_name=GROUP,
        kinds={"file"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        freshness_policy=freshness(project.freshness.get(f"raw_{settings.name}")),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def raw(store: StoreResource) -> dg.MaterializeResult:
        """Copy the source into the store."""
        return _result(_pipeline(project, settings, store).fetch())

    return raw


def validated_asset(project: Project, settings: BoundarySettings) -> dg.AssetsDefinition:
    """The usable features."""

    @dg.asset(
        name=f"validated_{settings.name}",
        deps=[f"raw_{settings.name}"],
        description=(
            "The usable features in lon/lat, repaired where that was asked for (GeoParquet); "
            f"invalid ones: {settings.on_invalid}. What is set aside is in quarantine/."
        ),
        group_name=GROUP,
        kinds={"parquet"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        freshness_policy=freshness(project.freshness.get(f"validated_{settings.name}")),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def validated(store: StoreResource, database: DatabaseResource) -> dg.MaterializeResult:
        """Sort the features of the copy into usable and quarantined."""
        pipeline = _pipeline(project, settings, store)
        step = pipeline.validate()
        with database.open(project) as opened:
            pipeline.record_quarantine(opened)
        return _result(step)

    return validated


def table_asset(project: Project, settings: BoundarySettings) -> dg.AssetsDefinition:
    """The table in the database."""
    table = declare(project.boundaries, project.indices.names).table(settings.name)
    kind = "duckdb" if project.database_url.startswith("duckdb") else "postgres"

    @dg.asset(
        name=settings.name,
        deps=[f"validated_{settings.name}"],
        description="The validated features as a table with a spatial index, replaced as a whole.",
        group_name=GROUP,
        kinds={"table", kind},
        owners=OWNERS,
        code_version=CODE_VERSION,
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": settings.name,
        },
        freshness_policy=freshness(project.freshness.get(settings.name)),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def loaded(store: StoreResource, database: DatabaseResource) -> dg.MaterializeResult:
        """Replace the table's rows by the validated features."""
        with database.open(project) as opened:
            return _result(_pipeline(project, settings, store).load(opened))

    return loaded


def _pipeline(
    project: Project, settings: BoundarySettings, store: StoreResource
) -> "BoundaryPipeline":
    from spatial_assets.pipeline.boundaries import BoundaryPipeline  # noqa: PLC0415 - not at import

    return BoundaryPipeline(project=project, settings=settings, store=store.open(), clock=now)


def _result(step: "BoundaryStep") -> dg.MaterializeResult:
    told = metadata(step.facts)
    told["state"] = str(step.state)
    return dg.MaterializeResult(metadata=told, data_version=dg.DataVersion(step.fingerprint))
