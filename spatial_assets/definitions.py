"""Everything Dagster loads, built from one project file.

`dagster dev -m spatial_assets.definitions` reads the project that $SPATIAL_ASSETS_PROJECT names.
Nothing here needs a credential, a server or a network.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.assets.boundaries import boundary_assets
from spatial_assets.assets.tiles import tile_chain
from spatial_assets.checks import standing_checks
from spatial_assets.io_managers import project_io_managers
from spatial_assets.project import Project, load_project
from spatial_assets.resources import project_resources

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as UnresolvedJob,
    )


def build_definitions(project: Project, **overrides: object) -> dg.Definitions:
    """The definitions of a project.

    Args:
        project: the project file, read.
        **overrides: resources by name, in place of those of the project file; for tests, and
            for those who bring their own engine or catalogue.
    """
    assets: list[dg.AssetsDefinition] = [tile_chain(project)]
    for settings in project.boundaries:
        assets += boundary_assets(project, settings)
    return dg.Definitions(
        assets=assets,
        asset_checks=standing_checks(project),
        jobs=project_jobs(project),
        # The chain brings its own workers; a process a step would only add 4 s of imports each.
        executor=dg.in_process_executor,
        resources={
            **project_resources(project),
            **project_io_managers(project),
            **overrides,
        },
    )


def project_jobs(project: Project) -> list[UnresolvedJob]:
    """Jobs for the command line and for schedules: all boundaries, and all of a tile."""
    jobs = [
        dg.define_asset_job(
            "tiles",
            selection=dg.AssetSelection.groups("tiles"),
            description="Every stage of the tiles it is launched for.",
        )
    ]
    if project.boundaries:
        jobs.append(
            dg.define_asset_job(
                "boundaries",
                selection=dg.AssetSelection.groups("boundaries"),
                description="Fetch, validate and load all boundary sets.",
            )
        )
    return jobs


with warnings.catch_warnings():
    # Range runs need backfill policies, which Dagster calls beta since 1.8; said once, here.
    warnings.simplefilter("ignore", dg.BetaWarning)
    defs = build_definitions(load_project())
