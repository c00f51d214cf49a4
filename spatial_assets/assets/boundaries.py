"""The assets of one boundary set: the copy of its source, the validated features, the table."""


# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dagster as dg

from spatial_assets.assets.asset_metadata import OWNERS, column_schema, metadata
from spatial_assets.assets.freshness_policies import boundary_alarm
from spatial_assets.assets.run_failures import failing_plainly
from spatial_assets.assets.specs import database_kind
from spatial_assets.io_managers import TILE_IO_MANAGER
from spatial_assets.project import Project
from spatial_assets.project.sections.products import BoundarySettings
from spatial_assets.resources import DatabaseResource, StoreResource, now
from spatial_assets.stores.public_columns import boundary_columns

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

    @_asset(
        project,
        f"raw_{settings.name}",
        step=f"fetch_{settings.name}",
        description=f"{settings.source} as it came, copied so that what was validated can be seen.",
        kinds={"file"},
    )
    def raw(store: StoreResource) -> dg.MaterializeResult:
        """Copy the source into the store."""
        with failing_plainly():
            return _result(_pipeline(project, settings, store).fetch())

    return raw


def validated_asset(project: Project, settings: BoundarySettings) -> dg.AssetsDefinition:
    """The usable features."""

    @_asset(
        project,
        f"validated_{settings.name}",
        step=f"validate_{settings.name}",
        deps=[f"raw_{settings.name}"],
        description=(
            "The usable features in lon/lat, repaired where that was asked for (GeoParquet); "
            f"invalid ones: {settings.on_invalid}. What is set aside is in quarantine/."
        ),
        kinds={"parquet"},
    )
    def validated(store: StoreResource, database: DatabaseResource) -> dg.MaterializeResult:
        """Sort the features of the copy into usable and quarantined."""
        with failing_plainly(), database.open(project) as opened:
            pipeline = _pipeline(project, settings, store)
            step = pipeline.validate()
            pipeline.record_quarantine(opened)
            return _result(step)

    return validated


def table_asset(project: Project, settings: BoundarySettings) -> dg.AssetsDefinition:
    """The table in the database."""

    @_asset(
        project,
        settings.name,
        step=f"load_{settings.name}",
        deps=[f"validated_{settings.name}"],
        description="The validated features as a table with a spatial index, replaced as a whole.",
        kinds={"table", database_kind(project)},
        metadata={
            "dagster/column_schema": column_schema(boundary_columns(settings)),
            "dagster/table_name": settings.name,
        },
    )
    def loaded(store: StoreResource, database: DatabaseResource) -> dg.MaterializeResult:
        """Replace the table's rows by the validated features."""
        with failing_plainly(), database.open(project) as opened:
            return _result(
                _pipeline(project, settings, store).load(opened),
                uri=f"{opened.url}#{settings.name}",
            )

    return loaded


def _asset(
    project: Project,
    name: str,
    *,
    step: str,
    **told: Any,  # noqa: ANN401 - whatever dg.AssetSpec takes
) -> Callable[[Callable[..., object]], dg.AssetsDefinition]:
    """An asset with what all three have in common.

    Args:
        project: the project.
        name: of the asset.
        step: that makes it. A name of its own: Dagster wants steps and jobs to differ, and the
            job `boundaries` stands beside the asset `boundaries`.
        **told: the rest of the spec.
    """
    spec = dg.AssetSpec(
        name,
        group_name=GROUP,
        owners=OWNERS,
        code_version=CODE_VERSION,
        freshness_policy=boundary_alarm(project, name),
        **told,
    )
    return dg.multi_asset(
        name=step,
        specs=[spec.with_io_manager_key(TILE_IO_MANAGER)],
        # so that a range of tiles may be launched together with it
        backfill_policy=dg.BackfillPolicy.single_run(),
    )


def _pipeline(
    project: Project, settings: BoundarySettings, store: StoreResource
) -> "BoundaryPipeline":
    from spatial_assets.pipeline.boundaries import BoundaryPipeline

    return BoundaryPipeline(project=project, settings=settings, store=store.open(), clock=now)


def _result(step: "BoundaryStep", **facts: str) -> dg.MaterializeResult:
    told = metadata({**facts, **step.facts, "state": str(step.state)})
    return dg.MaterializeResult(metadata=told, data_version=dg.DataVersion(step.fingerprint))
