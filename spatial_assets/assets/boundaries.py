"""The assets of one boundary set: the copy of its source, the validated features, the table."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import dagster as dg

from spatial_assets.assets.asset_keys import asset_key, project_tags
from spatial_assets.assets.asset_metadata import OWNERS, as_metadata, column_schema
from spatial_assets.assets.freshness_policies import boundary_freshness_policy
from spatial_assets.assets.run_failures import as_dagster_failure
from spatial_assets.assets.specs import database_kind
from spatial_assets.instance.signs_of_life import showing_signs_of_life
from spatial_assets.io_managers import TILE_IO_MANAGER
from spatial_assets.project import Project
from spatial_assets.project.sections.products import BoundarySettings
from spatial_assets.resources import DatabaseResource, StoreResource, now
from spatial_assets.stores.public_columns import boundary_columns
from spatial_assets.stores.rows import BoundarySet, ColumnType

if TYPE_CHECKING:
    from spatial_assets.pipeline.boundaries import BoundaryPipeline, BoundaryStep


BOUNDARY_GROUP = "boundaries"
BOUNDARY_ASSET_VERSION = "2"


def boundary_assets(project: Project, settings: BoundarySettings) -> list[dg.AssetsDefinition]:
    """Return `raw_<name>`, `validated_<name>` and `<name>` of one `[[boundaries]]` entry."""
    return [
        raw_asset(project, settings),
        validated_asset(project, settings),
        table_asset(project, settings),
    ]


def boundary_asset_keys(project: Project, name: str) -> list[dg.AssetKey]:
    """Return the keys of the assets of a boundary set."""
    return [asset_key(project, asset) for asset in (f"raw_{name}", f"validated_{name}", name)]


def boundary_specs(project: Project) -> list[dg.AssetSpec]:
    """Return the specs of the assets of all boundary sets, upstream first within each."""
    return [
        spec
        for settings in project.boundaries
        for each in boundary_assets(project, settings)
        for spec in each.specs
    ]


def raw_asset(project: Project, settings: BoundarySettings) -> dg.AssetsDefinition:
    """Return the asset of the source file."""

    @_asset(
        project,
        f"raw_{settings.name}",
        step=f"fetch_{settings.name}",
        description=f"{settings.source} as received; the copy shows what was validated.",
        kinds={"file"},
    )
    def raw(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
        """Copy the source into the store."""
        with showing_signs_of_life(context), as_dagster_failure():
            return _result(project, _pipeline(project, settings, store).fetch())

    return raw


def validated_asset(project: Project, settings: BoundarySettings) -> dg.AssetsDefinition:
    """Return the asset of the valid features."""

    @_asset(
        project,
        f"validated_{settings.name}",
        step=f"validate_{settings.name}",
        deps=[asset_key(project, f"raw_{settings.name}")],
        description=(
            "The valid features in lon/lat, repaired if `repair` is set (GeoParquet); "
            f"invalid ones: {settings.on_invalid}. Quarantined features are in quarantine/."
        ),
        kinds={"parquet"},
    )
    def validated(
        context: dg.AssetExecutionContext, store: StoreResource, database: DatabaseResource
    ) -> dg.MaterializeResult:
        """Divide the features of the copy into valid and quarantined."""
        with (
            showing_signs_of_life(context),
            as_dagster_failure(),
            database.open(project) as opened,
        ):
            pipeline = _pipeline(project, settings, store)
            step = pipeline.validate()
            pipeline.record_quarantine(opened)
            return _result(project, step)

    return validated


def table_asset(project: Project, settings: BoundarySettings) -> dg.AssetsDefinition:
    """Return the asset of the table in the database."""

    @_asset(
        project,
        settings.name,
        step=f"load_{settings.name}",
        deps=[asset_key(project, f"validated_{settings.name}")],
        description="The validated features as a table with a spatial index, replaced as a whole.",
        kinds={"table", database_kind(project)},
        metadata={
            "dagster/column_schema": column_schema(boundary_columns(settings)),
            "dagster/table_name": settings.name,
        },
    )
    def loaded(
        context: dg.AssetExecutionContext, store: StoreResource, database: DatabaseResource
    ) -> dg.MaterializeResult:
        """Replace the table's rows with the validated features."""
        with (
            showing_signs_of_life(context),
            as_dagster_failure(),
            database.open(project) as opened,
        ):
            step = _pipeline(project, settings, store).load(opened)
            uri = f"{opened.url}#{settings.name}"
        types = cast("Mapping[str, ColumnType]", step.facts["types"])
        typed = BoundarySet(
            name=settings.name, key=settings.key, columns=settings.columns, types=types
        )
        return _result(project, step, schema=column_schema(boundary_columns(typed)), uri=uri)

    return loaded


def _asset(
    project: Project,
    name: str,
    *,
    step: str,
    **options: Any,  # noqa: ANN401 - whatever dg.AssetSpec takes
) -> Callable[[Callable[..., object]], dg.AssetsDefinition]:
    """Return a decorator that makes an asset with what all three have in common.

    Args:
        project: the project.
        name: name of the asset.
        step: name of the step. Dagster wants steps and jobs to have different names, and there is
            a job `boundaries` as well as an asset `boundaries`.
        **options: the rest of the spec.
    """
    spec = dg.AssetSpec(
        asset_key(project, name),
        tags=project_tags(project),
        group_name=BOUNDARY_GROUP,
        owners=OWNERS,
        code_version=BOUNDARY_ASSET_VERSION,
        freshness_policy=boundary_freshness_policy(project, name),
        **options,
    )
    return dg.multi_asset(
        name=step,
        specs=[spec.with_io_manager_key(TILE_IO_MANAGER)],
        # so that it can be launched together with a range of tiles
        backfill_policy=dg.BackfillPolicy.single_run(),
    )


def _pipeline(
    project: Project, settings: BoundarySettings, store: StoreResource
) -> "BoundaryPipeline":
    from spatial_assets.pipeline.boundaries import BoundaryPipeline

    return BoundaryPipeline(project=project, settings=settings, store=store.open(), clock=now)


def _result(
    project: Project, step: "BoundaryStep", *, schema: dg.TableSchema | None = None, **facts: str
) -> dg.MaterializeResult:
    metadata: dict[str, Any] = {**as_metadata({**facts, **step.facts, "state": str(step.state)})}
    if schema is not None:
        metadata["dagster/column_schema"] = schema
    return dg.MaterializeResult(
        metadata=metadata,
        data_version=dg.DataVersion(step.fingerprint),
        tags=project_tags(project),
    )
