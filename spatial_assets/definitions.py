"""Everything Dagster loads, built from one project file.

`dagster dev -m spatial_assets.definitions` reads the project that $SPATIAL_ASSETS_PROJECT names.
Nothing here needs a credential, a server or a network.
"""

from __future__ import annotations

import dagster as dg

from spatial_assets.asset_checks import boundary_checks
from spatial_assets.assets.boundaries import boundary_assets
from spatial_assets.assets.tile_chain import tile_chain
from spatial_assets.automation.conditions import chain_conditions, with_conditions
from spatial_assets.automation.jobs import project_jobs
from spatial_assets.automation.schedules import project_schedules
from spatial_assets.automation.sensors import project_sensors
from spatial_assets.io_managers import project_io_managers
from spatial_assets.project import Project, load_project
from spatial_assets.resources import UtcClock, now, project_resources


def build_definitions(
    project: Project, *, clock: UtcClock = now, **overrides: object
) -> dg.Definitions:
    """Return the definitions of a project.

    Args:
        project: the project file, read.
        clock: the current time, by which tiles age; for tests.
        **overrides: resources by name that replace those of the project file; for tests, and for
            users who supply their own engine or catalogue.
    """
    tiles = with_conditions(tile_chain(project), chain_conditions(project, clock=clock))
    boundary_sets = project.boundaries
    return dg.Definitions(
        assets=[
            tiles,
            *(asset for each in boundary_sets for asset in boundary_assets(project, each)),
        ],
        asset_checks=[check for each in boundary_sets for check in boundary_checks(project, each)],
        jobs=project_jobs(project, tiles, clock=clock),
        schedules=project_schedules(project),
        sensors=project_sensors(project, clock=clock),
        # The chain starts its own workers; a process per step would only add 4 s of imports each.
        executor=dg.in_process_executor,
        resources={
            **project_resources(project),
            **project_io_managers(project),
            **overrides,
        },
    )


defs = build_definitions(load_project())
