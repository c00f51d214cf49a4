"""Assets that users write, run for the first tile."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from spatial_assets import tile_asset
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.dagster_runs import definitions, materialize
from spatial_assets_tests.fixtures.ten_village_project import first_tiles


def tile_asset_of(
    function: Callable[..., object], project: Project, **options: object
) -> dg.AssetsDefinition:
    """A tile asset of a function."""
    made = tile_asset(function, project=project, **options)
    assert isinstance(made, dg.AssetsDefinition)
    return made


def run_assets(
    project: Project, instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, select: list[str]
) -> dg.ExecuteInProcessResult:
    """Materialize user assets for the first tile."""
    return materialize(
        definitions(project, *assets), instance, select, tiles=first_tiles(project, 1)
    )


def failure_text(result: dg.ExecuteInProcessResult, step: str) -> str:
    """Error text of a failed step."""
    data = result.failure_data_for_node(step)
    assert data is not None
    return str(data.error)
