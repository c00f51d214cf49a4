"""Retention of a project's events in Dagster: which may be deleted, and the job that does it."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.assets.asset_keys import (
    RUN_KEYS_TAG,
    asset_key,
    is_foreign,
    run_keys,
    run_tags,
)
from spatial_assets.assets.boundaries import BOUNDARY_GROUP
from spatial_assets.assets.specs import TILE_GROUP
from spatial_assets.automation.own_events import projects_with_these_keys
from spatial_assets.automation.range_jobs import ALL_RANGES, region_job_name
from spatial_assets.automation.tiles_in_progress import UNFINISHED
from spatial_assets.project import Project
from spatial_assets.project.sections.identity import PROJECT_TAG
from spatial_assets.resources import UtcClock, now

if TYPE_CHECKING:
    from spatial_assets.instance.event_pruning import Pruned, PruneScope

PRUNE_JOB = "prune_events"
PRUNE_OP = "delete_superseded_events"
USER_ASSETS = "user_assets"
RUNS_A_PAGE = 500
FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def prune_job(project: Project, *, age: dt.timedelta, clock: UtcClock = now) -> dg.JobDefinition:
    """Return the job that deletes superseded events.

    Args:
        project: its assets and runs are meant.
        age: younger events stay.
        clock: the current time.
    """

    @dg.op(
        name=PRUNE_OP,
        config_schema={USER_ASSETS: dg.Field([str], default_value=[])},
        description="Deletes events of assets that newer ones supersede, and the logs of old runs.",
    )
    def prune(context: dg.OpExecutionContext) -> None:
        from spatial_assets.instance.event_pruning import prune_events

        more = [dg.AssetKey.from_user_string(each) for each in context.op_config[USER_ASSETS]]
        scope = prune_scope(project, context.instance, before=clock() - age, more=more)
        pruned = prune_events(context.instance, scope, dry=False)
        context.log.info("deleted: %s", summary(pruned))

    @dg.job(
        name=PRUNE_JOB,
        tags=dict(run_tags(project)),
        description=f"Deletes events older than {age.days} days that newer ones supersede.",
        executor_def=dg.in_process_executor,
    )
    def job() -> None:
        prune()

    return job


def prune_scope(
    project: Project,
    instance: dg.DagsterInstance,
    *,
    before: dt.datetime,
    more: Iterable[dg.AssetKey] = (),
) -> "PruneScope":
    """Return the events of a project that may be deleted.

    Args:
        project: the project.
        instance: the Dagster instance, which other projects may share.
        before: younger events stay.
        more: further assets of the project, which its user wrote.
    """
    from spatial_assets.instance.event_pruning import PruneScope

    unfinished = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return PruneScope(
        assets=[*(asset_key(project, name) for name in project.asset_names), *more],
        foreign_runs=frozenset(_foreign_runs(project, instance)),
        own_runs=list(_finished_runs(project, instance, before=before)),
        unfinished_runs=frozenset(run.run_id for run in unfinished),
        before=before,
    )


def user_assets(project: Project, repository: dg.RepositoryDefinition) -> list[str]:
    """Return the keys of the assets in a code location that a user of the project wrote."""
    ours = {asset_key(project, name) for name in project.asset_names}
    return sorted(
        node.key.to_user_string()
        for node in repository.asset_graph.asset_nodes
        if node.tags.get(PROJECT_TAG) == project.name and node.key not in ours
    )


def summary(pruned: "Pruned") -> str:
    """Return what was deleted in one line, such as `120 events of assets; 0.3 MB in all`."""
    return "; ".join([*pruned.lines(), f"{pruned.size / 1e6:,.1f} MB in all"])


def _foreign_runs(project: Project, instance: dg.DagsterInstance) -> Iterator[str]:
    """Yield the runs of other projects that have assets under the same keys."""
    prefix = run_keys(project).removesuffix(project.name)
    for other in projects_with_these_keys(instance, project):
        yield from instance.get_run_ids(dg.RunsFilter(tags={RUN_KEYS_TAG: f"{prefix}{other}"}))


def _finished_runs(
    project: Project, instance: dg.DagsterInstance, *, before: dt.datetime
) -> Iterator[str]:
    """Yield the runs of the project that ended before a time, the oldest first."""
    keys = {asset_key(project, name) for name in project.asset_names}
    jobs = {
        TILE_GROUP,
        ALL_RANGES,
        BOUNDARY_GROUP,
        PRUNE_JOB,
        *map(region_job_name, project.regions),
    }
    cursor = None
    while True:
        page = instance.get_run_records(
            dg.RunsFilter(statuses=FINISHED, created_before=before),
            limit=RUNS_A_PAGE,
            cursor=cursor,
            ascending=True,
        )
        for record in page:
            run = record.dagster_run
            ended = record.end_time or record.update_timestamp.timestamp()
            is_own = PROJECT_TAG in run.tags or run.job_name in jobs or _is_of(run, keys)
            if ended < before.timestamp() and is_own and not is_foreign(project, run.tags):
                yield run.run_id
        if len(page) < RUNS_A_PAGE:
            return
        cursor = page[-1].dagster_run.run_id


def _is_of(run: dg.DagsterRun, keys: set[dg.AssetKey]) -> bool:
    """Return True if a run is of no other assets than these."""
    return bool(run.asset_selection) and keys.issuperset(run.asset_selection or ())
