"""Everything Dagster loads, built from one project file.

`dagster dev -m spatial_assets.definitions` reads the project that $SPATIAL_ASSETS_PROJECT names.
Nothing here needs a credential, a server or a network.
"""

from __future__ import annotations

import dagster as dg

from spatial_assets.asset_checks import boundary_checks
from spatial_assets.assets.boundaries import GROUP as BOUNDARIES
from spatial_assets.assets.boundaries import boundary_assets
from spatial_assets.assets.dagster_internals import AssetJob
from spatial_assets.assets.specs import GROUP as TILES
from spatial_assets.assets.tile_chain import tile_chain
from spatial_assets.automation import (
    arrival_sensors,
    chain_conditions,
    tile_automation,
    with_conditions,
)
from spatial_assets.automation.jobs import region_jobs
from spatial_assets.automation.schedules import region_schedules
from spatial_assets.automation.sensors import backlog_clock
from spatial_assets.automation.tile_due import Clock
from spatial_assets.io_managers import project_io_managers
from spatial_assets.project import Project, load_project
from spatial_assets.resources import now, project_resources

BEFORE_PEOPLE_COME = "0 4 * * *"
"""Boundaries change rarely and are small: once a day costs seconds, and the tiles that follow
from a change are done by the morning."""


def build_definitions(
    project: Project, *, clock: Clock = now, **overrides: object
) -> dg.Definitions:
    """The definitions of a project.

    Args:
        project: the project file, read.
        clock: by which tiles grow old; for tests.
        **overrides: resources by name, in place of those of the project file; for tests, and
            for those who bring their own engine or catalogue.
    """
    assets: list[dg.AssetsDefinition] = [
        with_conditions(tile_chain(project), chain_conditions(project, clock=clock))
    ]
    checks: list[dg.AssetChecksDefinition] = []
    jobs = [
        asset_job(TILES, "Every stage of the tiles it is launched for."),
        *region_jobs(project),
    ]
    schedules = region_schedules(project)
    boundaries = None
    if project.boundaries:
        for settings in project.boundaries:
            assets += boundary_assets(project, settings)
            checks += boundary_checks(project, settings)
        boundaries = asset_job(BOUNDARIES, "Fetch, validate and load all boundary sets.")
        jobs.append(boundaries)
        schedules.append(daily(boundaries, running=project.freshness.is_automatic))
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=jobs,
        schedules=schedules,
        sensors=[
            *tile_automation(project),
            *arrival_sensors(project, boundaries, clock=clock),
            *backlog_clock(project, clock=clock),
        ],
        # The chain brings its own workers; a process a step would only add 4 s of imports each.
        executor=dg.in_process_executor,
        resources={
            **project_resources(project),
            **project_io_managers(project),
            **overrides,
        },
    )


def asset_job(group: str, description: str) -> AssetJob:
    """A job of all assets of a group, named after it."""
    selection = dg.AssetSelection.groups(group)
    return dg.define_asset_job(group, selection=selection, description=description)


def daily(job: AssetJob, *, running: bool) -> dg.ScheduleDefinition:
    """A schedule that runs from the start, or that a person may turn on."""
    status = dg.DefaultScheduleStatus
    return dg.ScheduleDefinition(
        name=f"{job.name}_daily",
        job=job,
        cron_schedule=BEFORE_PEOPLE_COME,
        description="Looks for changed sources; what did not change is not made again.",
        default_status=status.RUNNING if running else status.STOPPED,
    )


defs = build_definitions(load_project())
