"""The sensors that see what has arrived: new scenes in the catalogue, changed boundaries.

They launch nothing but the job of a boundary set whose source changed. What tiles are to follow is
noted in the database, from where the conditions ask for them, with the rest that is due.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.assets.internals import AssetJob
from spatial_assets.automation.tile_due import Clock
from spatial_assets.project import Project
from spatial_assets.resources import now

if TYPE_CHECKING:
    from spatial_assets.pipeline.arrivals import Lookout

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
            return dg.SkipReason(found.note_scenes(now=clock()).sentence)

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
            valid = found.validated()
            is_new = valid is not None and valid != context.cursor
            wanted = found.note_boundaries(now=present) if is_new else ()
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
def lookout(project: Project) -> "Iterator[Lookout]":
    """What sees arrivals, with the project's store and database open."""
    from spatial_assets.pipeline.arrivals import Lookout  # noqa: PLC0415 - not at import
    from spatial_assets.stores.database import open_database  # noqa: PLC0415
    from spatial_assets.stores.objects import open_store  # noqa: PLC0415

    store = open_store(project.storage_url)
    with open_database(project.database_url, pool_size=1) as database:
        yield Lookout(project=project, store=store, database=database)
