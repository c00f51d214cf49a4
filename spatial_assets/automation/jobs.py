"""Jobs: the assets of the tiles, ranges of tiles, all boundary sets, and retention of events."""

from __future__ import annotations

import dagster as dg

from spatial_assets.assets.asset_keys import run_tags
from spatial_assets.assets.boundaries import BOUNDARY_GROUP
from spatial_assets.assets.specs import TILE_GROUP
from spatial_assets.automation.event_retention import prune_job
from spatial_assets.automation.range_jobs import range_jobs
from spatial_assets.instance.dagster_internals import AssetJob
from spatial_assets.project import Project
from spatial_assets.resources import UtcClock, now


def project_jobs(
    project: Project, chain: dg.AssetsDefinition, *, clock: UtcClock = now
) -> list[AssetJob | dg.JobDefinition]:
    """Return every job of a project; a job is named after its asset group, or after its region.

    Args:
        project: whose jobs.
        chain: the assets of its tiles.
        clock: the current time, by which events age; for tests.
    """
    jobs: list[AssetJob | dg.JobDefinition] = [
        asset_job(
            project,
            TILE_GROUP,
            group=TILE_GROUP,
            description="All stages of the tiles it is launched for.",
        ),
        *range_jobs(project, chain),
    ]
    if project.boundaries:
        jobs.append(
            asset_job(
                project,
                BOUNDARY_GROUP,
                group=BOUNDARY_GROUP,
                description="Fetch, validate and load all boundary sets.",
            )
        )
    if project.retention.events is not None:
        jobs.append(prune_job(project, age=project.retention.events, clock=clock))
    return jobs


def asset_job(project: Project, name: str, *, group: str, description: str) -> AssetJob:
    """Return a job of all assets of a group."""
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.groups(group),
        description=description,
        tags=dict(run_tags(project)),
    )
