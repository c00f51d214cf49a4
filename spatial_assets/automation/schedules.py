"""Schedules: boundary sets and old events once a day, and each region that names a cron."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

from collections.abc import Sequence

import dagster as dg

from spatial_assets.assets.boundaries import BOUNDARY_GROUP
from spatial_assets.assets.run_tiles import RANGE_END_TAG, RANGE_START_TAG
from spatial_assets.assets.specs import TILE_GROUP
from spatial_assets.automation.event_retention import PRUNE_JOB, PRUNE_OP, USER_ASSETS, user_assets
from spatial_assets.automation.range_jobs import region_job_name
from spatial_assets.automation.tiles_in_progress import tiles_in_progress
from spatial_assets.pipeline.key_ranges import KeyRange, key_ranges
from spatial_assets.project import Project

BEFORE_WORKING_HOURS = "0 4 * * *"
"""Boundary sets rarely change and are small: a daily check takes seconds, and the tiles that a
change affects are done by the morning."""

BEFORE_THE_BOUNDARIES = "0 3 * * *"
"""Old events: daily, so that each time there is one day's worth to delete."""


def project_schedules(project: Project) -> list[dg.ScheduleDefinition]:
    """Return every schedule of a project."""
    schedules = [
        region_schedule(project, name, cron=region.cron)
        for name, region in project.regions.items()
        if region.cron is not None
    ]
    if project.boundaries:
        schedules.append(daily_boundaries(project))
    if project.retention.events is not None:
        schedules.append(daily_event_retention(project))
    return schedules


def daily_event_retention(project: Project) -> dg.ScheduleDefinition:
    """Return the schedule that deletes superseded events; it runs without being turned on."""

    @dg.schedule(
        name=f"{PRUNE_JOB}_daily",
        job_name=PRUNE_JOB,
        cron_schedule=BEFORE_THE_BOUNDARIES,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Deletes superseded events older than [retention] events, and logs of runs.",
    )
    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Request the job, for the assets that the project's user wrote too."""
        repository = context.repository_def
        mine = user_assets(project, repository) if repository else []
        return dg.RunRequest(run_config={"ops": {PRUNE_OP: {"config": {USER_ASSETS: mine}}}})

    return request


def daily_boundaries(project: Project) -> dg.ScheduleDefinition:
    """Return the schedule of the boundary sets; it starts running where tiles are automated."""
    status = dg.DefaultScheduleStatus
    return dg.ScheduleDefinition(
        name=f"{BOUNDARY_GROUP}_daily",
        job_name=BOUNDARY_GROUP,
        cron_schedule=BEFORE_WORKING_HOURS,
        description="Checks the sources for changes; unchanged boundary sets are not recomputed.",
        default_status=status.RUNNING if project.freshness.is_automatic else status.STOPPED,
    )


def region_schedule(project: Project, region: str, *, cron: str) -> dg.ScheduleDefinition:
    """Return a schedule that requests the tiles of a region, one run per range of neighbours.

    It starts running without being turned on, because the project file names its cron. For the
    same reason it ignores paused hours.
    """

    @dg.schedule(
        name=region_job_name(region),
        job_name=TILE_GROUP,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Requests the tiles of the region {region}, except those in quarantine or "
        "in progress.",
    )
    def request(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
        """Request one run for each range of neighbours."""
        from spatial_assets.automation.read_records import read_records

        tiles = project.region_tiles(region)
        bad = set(read_records(project).quarantined).intersection(tiles)
        busy = tiles_in_progress(context.instance, project).intersection(tiles)
        chosen = [tile for tile in tiles if tile not in bad and tile not in busy]
        counts = f"{len(tiles)} tiles, {len(bad)} in quarantine, {len(busy)} in progress"
        if not chosen:
            return dg.SkipReason(f"nothing to request: {counts}")
        context.log.info("requested: %d of %s", len(chosen), counts)
        ranges = key_ranges(project.tile_keys, chosen, longest=project.compute.max_tiles_per_run)
        tick = f"{region_job_name(region)}@{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
        return [run_request(part, tick=tick) for part in ranges]

    return request


def run_request(part: KeyRange, *, tick: str) -> dg.RunRequest:
    """Return the request for a range; its run key keeps a restarted daemon from repeating it."""
    tags = {RANGE_START_TAG: part.first, RANGE_END_TAG: part.last}
    return dg.RunRequest(run_key=f"{tick}:{part.first}", tags=tags)
