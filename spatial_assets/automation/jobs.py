"""[regions] for those who want a clock: a job each and, where it names a cron, a schedule."""


# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import dagster as dg

from spatial_assets.assets.dagster_internals import AssetJob
from spatial_assets.assets.specs import GROUP
from spatial_assets.project import Project


def job_name(region: str) -> str:
    """Of the job of a region, and of its schedule."""
    return f"{GROUP}_{region}"


def region_jobs(project: Project) -> list[AssetJob]:
    """A job for each region: all stages of its tiles."""
    return [
        dg.define_asset_job(
            job_name(region),
            selection=dg.AssetSelection.groups(GROUP),
            description=f"Every stage of the tiles of the region {region}, which "
            f"`spatial-assets tiles --region {region}` lists.",
        )
        for region in project.regions
    ]
