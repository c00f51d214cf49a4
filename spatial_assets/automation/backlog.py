"""The clock of the check `backlog`: it must also fail when nothing runs any more."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import datetime as dt
from collections.abc import Callable

import dagster as dg

from spatial_assets.assets.backlog import backlog_evaluation
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project
from spatial_assets.resources import DatabaseResource, now

SENSOR = "backlog_hourly"
EVERY_SECONDS = 3600  # windows are days: an hour later is early enough


def backlog_clock(
    project: Project, *, clock: Callable[[], dt.datetime] = now
) -> list[dg.SensorDefinition]:
    """The sensor that judges the backlog; none where nothing runs by itself.

    A sensor and not a job: it notes the answer without a run, which would cost four seconds of
    imports and a line in the list of runs, every hour.
    """
    if not project.freshness.is_automatic:
        return []

    @dg.sensor(
        name=SENSOR,
        target=dg.AssetSelection.assets(RAW),
        description="Judges once an hour whether too many tiles are overdue, failed or bad.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=EVERY_SECONDS,
    )
    def judge(database: DatabaseResource) -> dg.SensorResult:
        """Ask the database, and note the answer."""
        from spatial_assets.pipeline.backlog import backlog_now  # noqa: PLC0415 - not at import

        with database.open(project) as opened:
            backlog = backlog_now(project, opened, now=clock())
        said = f"{len(backlog.arrears)} of {backlog.tiles} tiles, {backlog.allowed} allowed"
        return dg.SensorResult(skip_reason=said, asset_events=[backlog_evaluation(backlog)])

    return [judge]
