"""Schedules of the regions that name a cron."""


# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

from collections.abc import Collection, Mapping, Sequence

import dagster as dg

from spatial_assets.assets.specs import GROUP
from spatial_assets.automation.jobs import job_name
from spatial_assets.pipeline.key_ranges import KeyRange, key_ranges
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project

FIRST = "dagster/asset_partition_range_start"
LAST = "dagster/asset_partition_range_end"
ONE = "dagster/partition"

UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def region_schedules(project: Project) -> list[dg.ScheduleDefinition]:
    """The schedules of the regions that name a cron."""
    return [
        region_schedule(project, name, cron=region.cron)
        for name, region in project.regions.items()
        if region.cron is not None
    ]


def region_schedule(project: Project, region: str, *, cron: str) -> dg.ScheduleDefinition:
    """A schedule that asks for the tiles of a region, in as few runs as there are ranges.

    It runs from the start: who writes a cron into the project file wants it. It asks in paused
    hours too, because who writes an hour means it.
    """

    @dg.schedule(
        name=job_name(region),
        job_name=job_name(region),
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Asks for the tiles of the region {region}: those free and not in quarantine.",
    )
    def ask(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
        """One run for each range of neighbours."""
        from spatial_assets.automation.read_records import read_records

        tiles = project.region_tiles(region)
        bad = set(read_records(project).quarantined).intersection(tiles)
        busy = tiles_under_way(context.instance, project).intersection(tiles)
        chosen = [tile for tile in tiles if tile not in bad and tile not in busy]
        told = f"{len(tiles)} tiles, {len(bad)} in quarantine, {len(busy)} being made"
        if not chosen:
            return dg.SkipReason(f"nothing to ask for: {told}")
        context.log.info("asked for: %d of %s", len(chosen), told)
        ranges = key_ranges(project.tile_keys, chosen, longest=project.compute.max_tiles_per_run)
        tick = f"{job_name(region)}@{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
        return [run_request(part, tick=tick) for part in ranges]

    return ask


def run_request(part: KeyRange, *, tick: str) -> dg.RunRequest:
    """A run of a range; Dagster launches it once, though the daemon may die and ask again."""
    return dg.RunRequest(run_key=f"{tick}:{part.first}", tags={FIRST: part.first, LAST: part.last})


def tiles_under_way(instance: dg.DagsterInstance, project: Project) -> set[str]:
    """The tiles that a run has in hand, or that wait for one."""
    jobs = {GROUP, *(job_name(region) for region in project.regions)}
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    makers = (run for run in runs if run.job_name in jobs or makes_tiles(run.asset_selection))
    keys = project.tile_keys
    places = {key: place for place, key in enumerate(keys)}
    spans = (span_of(run.tags, places) for run in makers)
    return {tile for span in spans for tile in keys[span]}


def makes_tiles(selected: Collection[dg.AssetKey] | None) -> bool:
    """Whether a run of these assets has tiles in hand."""
    return selected is not None and dg.AssetKey(RAW) in selected


def span_of(tags: Mapping[str, str], places: Mapping[str, int]) -> slice:
    """Where the tiles of a run are among all, by its tags; nowhere if the area has them no more."""
    first, last = tags.get(FIRST, tags.get(ONE, "")), tags.get(LAST, tags.get(ONE, ""))
    if first not in places or last not in places:
        return slice(0)
    return slice(places[first], places[last] + 1)
