"""Old events deleted from a log in SQLite and in PostgreSQL: Dagster answers as it did before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from spatial_assets import tile_asset
from spatial_assets.assets.asset_keys import RUN_KEYS_TAG, asset_key
from spatial_assets.automation.event_retention import prune_scope, user_assets
from spatial_assets.instance.event_pruning import (
    EventPruning,
    Pruned,
    give_back_space,
    prune_events,
)
from spatial_assets.project import Project
from spatial_assets.project.sections.identity import PROJECT_TAG
from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    CHAIN,
    definitions,
    materialize,
    newest_metadata,
    newest_observation,
)
from spatial_assets_tests.fixtures.event_logs import Instances
from spatial_assets_tests.fixtures.ten_village_project import (
    first_tiles,
    make_unreadable,
    rewrite_scene,
    ten_villages_with_districts,
)

CHECKS = {
    "raw_tile": "source_intact",
    "reprojected_raster": "pixel_alignment",
    "ndvi": "index_range",
}
FAILED = "get_latest_asset_partition_materialization_attempts_without_materializations"
MATERIALIZED = dg.DagsterEventType.ASSET_MATERIALIZATION


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Ten villages, of which tests make a few."""
    return ten_villages_with_districts(tmp_path_factory.mktemp("pruned"))


@pytest.fixture
def instance(instances: Instances) -> dg.DagsterInstance:
    """An instance with our event log, on SQLite and on PostgreSQL."""
    return instances.ours


def soon() -> dt.datetime:
    """A time by which all events so far are old."""
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)


def pruned(project: Project, instance: dg.DagsterInstance, *, dry: bool = False) -> Pruned:
    return prune_events(instance, prune_scope(project, instance, before=soon()), dry=dry)


def follower(project: Project) -> dg.AssetsDefinition:
    """An asset that a user wrote, which follows changed pixels."""

    def greenest() -> None:
        """Made whenever its inputs change."""

    made = tile_asset(greenest, project=project, deps=["ndvi"])
    assert isinstance(made, dg.AssetsDefinition)
    return made


def requested(
    defs: dg.Definitions, instance: dg.DagsterInstance, cursor: object
) -> tuple[set[str], object]:
    result = dg.evaluate_automation_conditions(
        defs=defs,
        instance=instance,
        asset_selection=dg.AssetSelection.assets("greenest"),
        cursor=cursor,  # type: ignore[arg-type]
    )
    return set(result.get_requested_partitions(dg.AssetKey("greenest"))), result.cursor  # type: ignore[arg-type]


def answers(project: Project, instance: dg.DagsterInstance) -> Mapping[str, object]:
    """Answers of the event log to Dagster's pages, freshness and automation."""
    storage: Any = instance.event_log_storage
    found: dict[str, object] = {}
    for name in (*CHAIN, *BOUNDARIES):
        key = asset_key(project, name)
        found[f"{name} made"] = instance.get_materialized_partitions(key)
        found[f"{name} newest"] = instance.get_latest_storage_id_by_partition(key, MATERIALIZED)
        found[f"{name} versions"] = storage.get_latest_tags_by_partition(
            key, MATERIALIZED, ["dagster/data_version"]
        )
        attempts = (
            storage.get_latest_asset_partition_materialization_attempts_without_materializations(
                key
            )
        )
        found[f"{name} failed"] = attempts
        found[f"{name} last"] = instance.get_latest_materialization_event(key)
        for tile in first_tiles(project, 3) if name in CHAIN else ():
            found[f"{name} {tile} observed"] = newest_observation(instance, name, tile)
    for asset, check in CHECKS.items():
        one = dg.AssetCheckKey(asset_key(project, asset), check)
        found[f"{check} by tile"] = storage.get_asset_check_partition_info([one])
        found[f"{check} latest"] = storage.get_latest_asset_check_execution_by_key([one])
        found[f"{check} summary"] = storage.get_asset_check_summary_records([one])
    return found


def rows(instance: dg.DagsterInstance) -> Mapping[str, list[tuple[object, ...]]]:
    """The rows of the tables of the log that all runs share."""
    tables = ("event_logs", "asset_event_tags", "asset_check_executions")
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        return {
            table: [tuple(row) for row in connection.execute(text(f"select * from {table}"))]  # noqa: S608
            for table in tables
        }


def stored(instance: dg.DagsterInstance) -> int:
    """Bytes of the log."""
    if instance.event_log_storage.is_run_sharded:
        folder = Path(instance.event_log_storage.path_for_shard("")).parent  # type: ignore[attr-defined]
        return sum(each.stat().st_size for each in folder.iterdir())
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        return int(connection.execute(text("select sum(length(event)) from event_logs")).scalar())


@pytest.fixture
def visited(tmp_path: Path, instance: dg.DagsterInstance) -> tuple[Project, object]:
    """Three tiles visited five times: one changed once, one spoilt at last; and a cursor."""
    folder = tmp_path / "villages"
    folder.mkdir()
    project = ten_villages_with_districts(folder)
    defs, tiles = definitions(project, follower(project)), first_tiles(project, 3)
    materialize(defs, instance, BOUNDARIES)
    materialize(defs, instance, CHAIN, tiles=tiles)
    _, cursor = requested(defs, instance, None)
    for tile in tiles:
        materialize(defs, instance, ["greenest"], tiles=[tile])
    due, cursor = requested(defs, instance, cursor)
    assert not due
    materialize(defs, instance, CHAIN, tiles=tiles)
    rewrite_scene(project, tiles[1], seed=8)
    materialize(defs, instance, CHAIN, tiles=tiles)
    materialize(defs, instance, BOUNDARIES)
    make_unreadable(project, tiles[2])
    for _ in range(2):
        materialize(defs, instance, CHAIN, tiles=tiles)
    return project, cursor


def test_dagster_answers_the_same_of_half_the_bytes(
    visited: tuple[Project, object], instance: dg.DagsterInstance
) -> None:
    project, cursor = visited
    defs, tiles = definitions(project, follower(project)), first_tiles(project, 3)
    known, size, before = answers(project, instance), stored(instance), rows(instance)
    foreseen = pruned(project, instance, dry=True)
    assert rows(instance) == before

    removed = pruned(project, instance)

    assert answers(project, instance) == known
    assert removed == foreseen
    assert removed.rows["events of assets"] > 0
    assert removed.rows["check evaluations"] > 0
    assert removed.run_logs == 5  # those that name the project; in a test, not all do
    again = pruned(project, instance)
    assert not again.size
    give_back_space(instance)
    assert stored(instance) < 0.5 * size
    # the link of a renewed tile leads to an event that is still there
    made = dg.AssetRecordsFilter(dg.AssetKey("ndvi"), asset_partitions=[tiles[0]])
    left = instance.fetch_materializations(made, limit=9).records
    assert len(left) == 2
    assert "preview" in left[-1].asset_materialization.metadata  # type: ignore[union-attr]
    moment = int(1000 * left[-1].timestamp)
    assert f"asOf={moment})" in newest_metadata(instance, "ndvi", tiles[0])["last_change"]
    # automation goes on where it was: one tile had changed since
    due, cursor = requested(defs, instance, cursor)
    assert due == {tiles[1]}
    rewrite_scene(project, tiles[0], seed=9)
    materialize(defs, instance, CHAIN, tiles=tiles)
    assert requested(defs, instance, cursor)[0] == {tiles[0]}


def test_events_younger_than_the_age_all_stay(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs, tiles = definitions(project), first_tiles(project, 2)
    before = dt.datetime.now(dt.UTC)
    for _ in range(2):
        materialize(defs, instance, ["raw_tile"], tiles=tiles)
    known = rows(instance)

    removed = prune_events(instance, prune_scope(project, instance, before=before), dry=False)

    assert removed == Pruned()
    assert rows(instance) == known


def test_a_run_in_progress_and_a_deletion_cut_short_lose_nothing(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs, tiles = definitions(project), first_tiles(project, 2)
    runs = [materialize(defs, instance, ["raw_tile"], tiles=tiles).run_id for _ in range(3)]
    known = answers(project, instance)
    scope = prune_scope(project, instance, before=soon())
    busy = replace(scope, unfinished_runs=frozenset(runs[1:2]), own_runs=[runs[0], runs[2]])

    EventPruning(instance, busy, dry=False).prune_run(runs[0])  # killed here
    prune_events(instance, busy, dry=False)

    assert answers(project, instance) == known
    of_run = [row for row in rows(instance)["event_logs"] if row[1] == runs[1]]
    kinds = [str(row[3]) for row in of_run]
    assert kinds.count("ASSET_MATERIALIZATION") == kinds.count("ASSET_MATERIALIZATION_PLANNED") == 2
    assert instance.all_logs(runs[1])
    prune_events(instance, scope, dry=False)
    assert answers(project, instance) == known


def tagged_run(instance: dg.DagsterInstance, project: str) -> None:
    """A run of another project's asset with the same key, or of ours."""

    @dg.asset(
        name="raw_tile",
        partitions_def=dg.StaticPartitionsDefinition(["1"]),
    )
    def raw_tile() -> None:
        """Nothing."""

    tags = {PROJECT_TAG: project, RUN_KEYS_TAG: f":{project}"}
    assert dg.materialize([raw_tile], instance=instance, partition_key="1", tags=tags).success


def test_another_projects_events_stay_and_do_not_supersede_ours(
    project: Project, instance: dg.DagsterInstance
) -> None:
    for name in (project.name, project.name, "other", "other"):
        tagged_run(instance, name)

    removed = pruned(project, instance)

    left = instance.fetch_materializations(dg.AssetKey("raw_tile"), limit=9).records
    runs = [instance.get_run_by_id(record.run_id) for record in left]
    names = [run.tags[PROJECT_TAG] for run in runs if run]
    assert names == ["other", "other", project.name]
    assert removed.run_logs == 2
    assert all(instance.all_logs(run.run_id) for run in runs[:2] if run)


def test_the_assets_that_a_user_wrote_are_found(project: Project) -> None:
    repository = definitions(project, follower(project)).get_repository_def()

    assert user_assets(project, repository) == ["greenest"]


def test_the_newest_id_of_a_log_is_never_given_again(
    project: Project, instance: dg.DagsterInstance
) -> None:
    for _ in range(2):
        tagged_run(instance, project.name)
    newest = max(int(str(row[0])) for row in rows(instance)["event_logs"])

    pruned(project, instance)
    tagged_run(instance, project.name)

    wanted = instance.fetch_materializations(dg.AssetKey("raw_tile"), limit=1).records
    assert wanted[0].storage_id > newest
