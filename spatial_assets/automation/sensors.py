"""Sensors: the one that requests tiles, the two that detect changes, and the hourly backlog check.

The change sensors launch only the job of a boundary set whose source changed. They record the
tiles that must follow a change in the database; the conditions read them from there and request
them together with the other tiles that are due.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.assets.asset_keys import asset_key, run_tags
from spatial_assets.assets.backlog_check import backlog_evaluation, backlog_key
from spatial_assets.assets.boundaries import BOUNDARY_GROUP, boundary_asset_keys
from spatial_assets.assets.specs import TILE_GROUP
from spatial_assets.instance.dagster_internals import accepted_warnings
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project
from spatial_assets.resources import DatabaseResource, UtcClock, now

if TYPE_CHECKING:
    from spatial_assets.pipeline.freshness.change_detection import ChangeDetector


TILE_SENSOR = "tile_automation"
TILE_SENSOR_SECONDS = 30  # between ticks; the interval of Dagster's own automation sensor

SCENES_SENSOR = "new_scenes"
BOUNDARIES_SENSOR = "changed_boundaries"

BACKLOG_SENSOR = "backlog_hourly"
BACKLOG_SENSOR_SECONDS = 3600  # freshness windows are days, so an hour late is early enough


def project_sensors(project: Project, *, clock: UtcClock = now) -> list[dg.SensorDefinition]:
    """Return every sensor of a project.

    Sensors start running without being turned on, because the project file names the freshness
    window or the `watch` interval. A user can stop them in the UI, and Dagster remembers that.

    Args:
        project: the project.
        clock: the current time; a test may freeze it.
    """
    sensors: list[dg.SensorDefinition] = []
    if project.freshness.is_automatic:
        sensors += [tile_automation(project), backlog_hourly(project, clock=clock)]
    interval = project.freshness.watch
    if interval is not None:
        sensors.append(new_scenes(project, interval=interval, clock=clock))
        if project.boundaries:
            sensors.append(changed_boundaries(project, interval=interval, clock=clock))
    return sensors


@accepted_warnings()
def tile_automation(project: Project) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the conditions of tiles and requests the tiles."""
    return dg.AutomationConditionSensorDefinition(
        TILE_SENSOR,
        target=dg.AssetSelection.groups(TILE_GROUP),
        description="Requests tiles whose inputs changed or that are older than the `warn` age of "
        "[freshness] raw_tile, in runs of neighbouring tiles.",
        use_user_code_server=True,  # Dagster evaluates custom conditions nowhere else
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=TILE_SENSOR_SECONDS,
        run_tags=run_tags(project),
    )


def new_scenes(project: Project, *, interval: dt.timedelta, clock: UtcClock) -> dg.SensorDefinition:
    """Return the sensor that polls the catalogue."""

    @dg.sensor(
        name=SCENES_SENSOR,
        description="Polls the catalogue and records the tiles under every new, changed or "
        "withdrawn scene; tile_automation requests them.",
        target=dg.AssetSelection.assets(asset_key(project, RAW)),
        minimum_interval_seconds=int(interval.total_seconds()),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(_context: dg.SensorEvaluationContext) -> dg.SkipReason:
        with change_detector(project) as detector:
            return dg.SkipReason(detector.record_scene_changes(now=clock()).summary)

    return sensor


def changed_boundaries(
    project: Project, *, interval: dt.timedelta, clock: UtcClock
) -> dg.SensorDefinition:
    """Return the sensor that polls the sources of boundary sets and follows their changes."""

    @dg.sensor(
        name=BOUNDARIES_SENSOR,
        description="Reloads a boundary set when its source changes, and records the tiles that "
        "a changed boundary touches; tile_automation requests their statistics.",
        job_name=BOUNDARY_GROUP,
        minimum_interval_seconds=int(interval.total_seconds()),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        moment = clock()
        with change_detector(project) as detector:
            sources = detector.newer_sources(now=moment)
            valid = detector.boundaries_version()
            is_new = valid is not None and valid != context.cursor
            wanted = detector.record_boundary_changes(now=moment) if is_new else ()
        # The hour is part of the run key: an unusable source costs 24 runs a day, and a source
        # that returns to an earlier version is loaded again.
        hour = f"{moment:%Y-%m-%dT%H}"
        requests = [
            dg.RunRequest(
                run_key=f"{name}@{version}@{hour}",
                asset_selection=boundary_asset_keys(project, name),
            )
            for name, version in sources.versions.items()
        ]
        counts = f"changed boundary sources: {len(requests)}; tiles to follow: {len(wanted)}"
        if sources.unreadable:
            counts += f"; sources that cannot be read: {', '.join(sources.unreadable)}"
        context.log.info(counts)
        for name, reason in sources.unreadable.items():
            context.log.error("boundaries %r: %s", name, reason)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else counts,
            cursor=valid or context.cursor,
        )

    return sensor


@contextmanager
def change_detector(project: Project) -> "Iterator[ChangeDetector]":
    """Open a change detector on the project's store and database."""
    from spatial_assets.pipeline.freshness.change_detection import ChangeDetector
    from spatial_assets.stores.objects.store import open_store
    from spatial_assets.stores.tables.connect import open_database

    store = open_store(project.storage_url)
    with open_database(project.database_url, pool_size=1) as database:
        yield ChangeDetector(project=project, store=store, database=database)


def backlog_hourly(project: Project, *, clock: UtcClock) -> dg.SensorDefinition:
    """Return the sensor that evaluates the check `backlog`, so that it fails even if nothing runs.

    A sensor and not a job: it reports the result without a run, which would cost four seconds of
    imports and an entry in the list of runs every hour.
    """

    @dg.sensor(
        name=BACKLOG_SENSOR,
        target=dg.AssetSelection.assets(asset_key(project, RAW)),
        description="Checks once an hour whether too many tiles are overdue, failed or "
        "quarantined.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=BACKLOG_SENSOR_SECONDS,
    )
    def sensor(database: DatabaseResource) -> dg.SensorResult:
        from spatial_assets.pipeline.freshness.backlog import backlog_now

        with database.open(project) as opened:
            backlog = backlog_now(project, opened, now=clock())
        counts = f"{len(backlog.entries)} of {backlog.tiles} tiles, {backlog.allowed} allowed"
        evaluation = backlog_evaluation(backlog, backlog_key(project))
        return dg.SensorResult(skip_reason=counts, asset_events=[evaluation])

    return sensor
