"""Rows of what a run plans: linear in its tiles, and enough for all that Dagster asks of them."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from spatial_assets.instance.dagster_internals import AssetMaterializationPlannedData
from spatial_assets.instance.planned_rows import copies_of_row
from spatial_assets_tests.fixtures.event_logs import (
    ASSETS,
    CHECKS,
    Instances,
    bytes_of,
    execute,
    plan,
    rows_of,
    tile_job,
)

FEW = [f"{number:024}" for number in range(20)]
MANY = [f"{number:024}" for number in range(200)]
TILES = ["00", "01", "02", "03", "10"]
CHECK = dg.AssetCheckKey(dg.AssetKey(ASSETS[0]), CHECKS[0])
TABLES = ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions")


def test_rows_and_bytes_of_planning_are_linear_in_the_tiles(instances: Instances) -> None:
    few_rows, few_bytes = bytes_of(instances.ours, plan(instances.ours, tile_job(FEW), FEW))
    many_rows, many_bytes = bytes_of(instances.ours, plan(instances.ours, tile_job(MANY), MANY))

    # a row a tile for each of two assets and two checks, and the event of each check
    assert (few_rows, many_rows) == (4 * 20 + 2, 4 * 200 + 2)
    assert many_bytes / 200 <= 1.2 * few_bytes / 20


def test_dagsters_own_storage_is_not_linear() -> None:
    tiles = [f"{number:060}" for number in range(60)]
    with dg.DagsterInstance.ephemeral() as stock:
        size = {n: bytes_of(stock, plan(stock, tile_job(tiles[:n]), tiles[:n])) for n in (10, 60)}

    # if this fails, Dagster was mended, and our storage need not differ
    assert size[60][1] / 60 > 2 * size[10][1] / 10


def test_the_rows_are_those_of_dagsters_own_storage(instances: Instances) -> None:
    job = tile_job(TILES, bad=("01", "03"))
    for instance in (instances.ours, instances.stock):
        execute(instance, job, TILES)
        plan(instance, job, TILES)

    for table in TABLES:
        assert rows_of(instances.ours, table) == rows_of(instances.stock, table), table


def test_every_query_is_answered_as_by_dagsters_own_storage(instances: Instances) -> None:
    job = tile_job(TILES, bad=("01", "03"))
    runs: dict[dg.DagsterInstance, list[str]] = {instances.ours: [], instances.stock: []}
    seen: dict[dg.DagsterInstance, list[Any]] = {instances.ours: [], instances.stock: []}
    for act in (plan, execute, plan):
        for instance, ids in runs.items():
            ids.append(act(instance, job, TILES))
            seen[instance].append(answers(instance, ids))

    planned, evaluated, again = seen[instances.ours]
    assert [planned, evaluated, again] == seen[instances.stock]
    assert planned["checks"] == dict.fromkeys(TILES, "PLANNED")
    assert evaluated["checks"] == {
        "00": "SUCCEEDED",
        "01": "FAILED",
        "02": "SUCCEEDED",
        "03": "FAILED",
        "10": "PLANNED",  # made, but not checked
    }
    assert again["checks"] == dict.fromkeys(TILES, "PLANNED")


def answers(instance: dg.DagsterInstance, runs: list[str]) -> dict[str, Any]:
    """Answers to all that Dagster asks about planned partitions, with runs as numbers."""
    log = instance.event_log_storage
    number = {run_id: place for place, run_id in enumerate(runs)}
    key = CHECK.asset_key
    found = {info.partition_key: info for info in log.get_asset_check_partition_info([CHECK])}
    history = log.get_asset_check_execution_history(CHECK, limit=100)
    attempts = log.get_latest_asset_partition_materialization_attempts_without_materializations(key)
    latest = log.get_latest_planned_materialization_info(key, partition=TILES[1])
    newest = log.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    assert latest is not None
    return {
        "checks": {tile: info.latest_execution_status.value for tile, info in found.items()},
        "targets": {
            tile: (info.latest_planned_run_id and number[info.latest_planned_run_id])
            for tile, info in found.items()
        },
        "history": [(each.partition, each.status.value, number[each.run_id]) for each in history],
        "newest": (newest.partition, newest.status.value),
        "events": [each.event is not None for each in history],
        "in progress": {tile: number[run] for tile, (run, _) in attempts.items()},
        "planned": number[latest.run_id],
        "materialized": log.get_materialized_partitions(key),
        "events planned": events_planned(instance, runs[-1]),
        "of a run": log.get_asset_partitions_for_run(runs[-1]),
        "keys": log.get_asset_keys_for_run(
            runs[-1], of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        ),
    }


def events_planned(instance: dg.DagsterInstance, run_id: str) -> list[tuple[str, str | None]]:
    """Asset and partition of each event that plans a materialization, as a reader sees it."""
    found = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    planned = [entry.get_dagster_event().asset_materialization_planned_data for entry in found]
    return [(data.asset_key.to_user_string(), data.partition) for data in planned]


@pytest.mark.parametrize("key", ["0", 'quo"te', "back\\slash", "gr\u00fcn", '"partition": "0"'])
def test_a_copied_row_is_the_row_of_its_partition(key: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        log = instance.event_log_storage

        def row(partition: str) -> dict[str, Any]:
            data = AssetMaterializationPlannedData(CHECK.asset_key, partition=partition)
            planned = dg.DagsterEvent.build_asset_materialization_planned_event("job", "s", data)
            entry = dg.EventLogEntry(  # type: ignore[no-untyped-call]
                error_info=None,
                level=10,
                user_message="",
                run_id="run",
                timestamp=1.0,
                dagster_event=planned,
            )
            found: dict[str, Any] = log._event_to_row(entry)  # type: ignore[attr-defined] # noqa: SLF001
            return found

        assert copies_of_row(row("first"), [key, "last"]) == [row(key), row("last")]
