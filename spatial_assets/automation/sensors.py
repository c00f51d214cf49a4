"""The sensors that see what has arrived: new scenes in the catalogue, changed boundaries.

They launch nothing but the job of a boundary set whose source changed. What tiles are to follow is
noted in the database, from where the conditions ask for them, with the rest that is due.

The clock of the check `backlog`: it must also fail when nothing runs any more.
"""


# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.assets.backlog_check import backlog_evaluation
from spatial_assets.assets.dagster_internals import AssetJob, accepted_warnings
from spatial_assets.assets.specs import GROUP
from spatial_assets.automation.tile_due import Clock
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project
from spatial_assets.resources import DatabaseResource, now

if TYPE_CHECKING:
    from spatial_assets.pipeline.freshness.change_detection import ChangeDetector


SENSOR = "tile_automation"
EVERY_SECONDS = 30  # as Dagster's own automation


@accepted_warnings()
def tile_automation(project: Project) -> list[dg.AutomationConditionSensorDefinition]:
    """The sensor that asks for tiles; none for a project without [freshness] raw_tile or watch.

    It runs from the start: who writes either into the project file asks for the tiles to be
    kept fresh. It can be stopped in the UI, and Dagster remembers that.
    """
    if not project.freshness.is_automatic:
        return []
    return [
        dg.AutomationConditionSensorDefinition(
            SENSOR,
            target=dg.AssetSelection.groups(GROUP),
            description="Asks for the tiles whose inputs changed or that are past [freshness] "
            "raw_tile warn, in runs of neighbours.",
            use_user_code_server=True,  # the only place where conditions of one's own are evaluated
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=EVERY_SECONDS,
        )
    ]


SCENES_SENSOR = "new_scenes"
BOUNDARIES_SENSOR = "changed_boundaries"


def arrival_sensors(
    project: Project, boundaries: AssetJob | None, *, clock: Clock = now
) -> list[dg.SensorDefinition]:
    """The sensors of a project with `[freshness] watch`; they run from the start.

    Args:
        project: the project.
        boundaries: the job that makes its boundary sets; None: it has none.
        clock: the present moment; a test may freeze it.
    """
    every = project.freshness.watch
    if every is None:
        return []
    sensors = [new_scenes(project, every=every, clock=clock)]
    if boundaries is not None:
        sensors.append(changed_boundaries(project, boundaries, every=every, clock=clock))
    return sensors


def new_scenes(project: Project, *, every: dt.timedelta, clock: Clock) -> dg.SensorDefinition:
    """The sensor that looks at the catalogue."""

    @dg.sensor(
        name=SCENES_SENSOR,
        description="Looks at the catalogue, and notes the tiles under every scene that is new, "
        "changed or withdrawn; tile_automation asks for them.",
        target=dg.AssetSelection.assets("raw_tile"),
        minimum_interval_seconds=int(every.total_seconds()),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(_context: dg.SensorEvaluationContext) -> dg.SkipReason:
        with lookout(project) as found:
            return dg.SkipReason(found.record_scene_changes(now=clock()).summary)

    return sensor


def changed_boundaries(
    project: Project, job: AssetJob, *, every: dt.timedelta, clock: Clock
) -> dg.SensorDefinition:
    """The sensor that looks at the sources of boundary sets, and at what came of them."""

    @dg.sensor(
        name=BOUNDARIES_SENSOR,
        description="Makes a boundary set again when its source changes, and notes the tiles "
        "that a changed boundary touches; tile_automation asks for their statistics.",
        job=job,
        minimum_interval_seconds=int(every.total_seconds()),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        present = clock()
        with lookout(project) as found:
            versions = found.newer_sources(now=present)
            valid = found.boundaries_version()
            is_new = valid is not None and valid != context.cursor
            wanted = found.record_boundary_changes(now=present) if is_new else ()
        # Once an hour: a source that cannot be used costs 24 runs a day, and one that is put
        # back as it was before is made again.
        hour = f"{present:%Y-%m-%dT%H}"
        requests = [
            dg.RunRequest(
                run_key=f"{name}@{version}@{hour}",
                asset_selection=[
                    dg.AssetKey(asset) for asset in (f"raw_{name}", f"validated_{name}", name)
                ],
            )
            for name, version in versions.items()
        ]
        told = f"boundaries: {len(versions)} sources changed; tiles to follow: {len(wanted)}"
        context.log.info(told)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else told,
            cursor=valid or context.cursor,
        )

    return sensor


@contextmanager
def lookout(project: Project) -> "Iterator[ChangeDetector]":
    """What sees arrivals, with the project's store and database open."""
    from spatial_assets.pipeline.freshness.change_detection import ChangeDetector
    from spatial_assets.stores.objects.store import open_store
    from spatial_assets.stores.tables.database import open_database

    store = open_store(project.storage_url)
    with open_database(project.database_url, pool_size=1) as database:
        yield ChangeDetector(project=project, store=store, database=database)


BACKLOG_SENSOR = "backlog_hourly"
BACKLOG_EVERY_SECONDS = 3600  # windows are days: an hour later is early enough


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
        name=BACKLOG_SENSOR,
        target=dg.AssetSelection.assets(RAW),
        description="Judges once an hour whether too many tiles are overdue, failed or bad.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=BACKLOG_EVERY_SECONDS,
    )
    def judge(database: DatabaseResource) -> dg.SensorResult:
        """Ask the database, and note the answer."""
        from spatial_assets.pipeline.freshness.backlog import backlog_now

        with database.open(project) as opened:
            backlog = backlog_now(project, opened, now=clock())
        said = f"{len(backlog.entries)} of {backlog.tiles} tiles, {backlog.allowed} allowed"
        return dg.SensorResult(skip_reason=said, asset_events=[backlog_evaluation(backlog)])

    return [judge]
