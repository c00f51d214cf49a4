"""The event log of a run in SQLite: its write-ahead log is kept until the run closes it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.instance.sqlite_event_log import MAX_OPEN_FILES, OpenEventLog

HOME = "telemetry: {enabled: false}\n"
OPEN = """
event_log_storage:
  module: spatial_assets.instance.sqlite_event_log
  class: OpenEventLog
  config: {}
"""
TILES = dg.StaticPartitionsDefinition(["1", "2", "3"])
RANGE = {
    "dagster/asset_partition_range_start": "1",
    "dagster/asset_partition_range_end": "3",
}
KILLED_AFTER_AN_EVENT = """
import os, signal, sys
import dagster as dg
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    instance.report_runless_asset_event(dg.AssetMaterialization("ndvi", partition="1"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A DAGSTER_HOME whose event log stays open."""
    (tmp_path / "dagster.yaml").write_text(HOME + OPEN)
    return tmp_path


def made(instance: dg.DagsterInstance) -> str:
    """Run a range of two tiles of three that are made, each with a check; the run's id."""

    @dg.multi_asset(
        specs=[dg.AssetSpec("ndvi", skippable=True, partitions_def=TILES)],
        check_specs=[dg.AssetCheckSpec("looks", asset="ndvi")],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def ndvi(context):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        for tile in ("1", "2"):
            yield dg.AssetMaterialization("ndvi", partition=tile, tags={"dagster/x": tile})
        yield dg.AssetCheckResult(asset_key="ndvi", check_name="looks", passed=True)
        context.log.info("said")

    done = dg.materialize([ndvi], instance=instance, tags=RANGE)
    assert done.success
    return done.run_id


def rows(home: Path, shard: str, table: str) -> list[tuple[object, ...]]:
    """Rows of a table of the event log, without times, run ids and messages."""
    found = sqlite3.connect(home / "history" / "runs" / f"{shard}.db")
    columns = [each[1] for each in found.execute(f"pragma table_info({table})")]
    varying = {"run_id", "timestamp", "event", "evaluation_event", "evaluation_event_timestamp"}
    varying |= {"event_timestamp", "create_timestamp", "last_materialization", "last_run_id"}
    varying |= {"last_materialization_timestamp"}
    kept = ", ".join(f'"{each}"' for each in columns if each not in varying)
    return found.execute(f"select {kept} from {table} order by id").fetchall()  # noqa: S608 - names of ours


def test_an_open_log_has_the_rows_that_dagsters_own_has(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("dagsters_own")
    (other / "dagster.yaml").write_text(HOME)
    runs = {}
    for folder in (home, other):
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            assert isinstance(instance.event_log_storage, OpenEventLog) == (folder == home)
            runs[folder] = made(instance)

    for table in ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions"):
        assert rows(home, "index", table) == rows(other, "index", table)
    assert rows(home, runs[home], "event_logs") == rows(other, runs[other], "event_logs")


def test_what_was_written_is_there_when_its_process_is_killed(home: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_AN_EVENT, str(home)], env=dict(os.environ), check=False
    )

    assert killed.returncode == -signal.SIGKILL
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("ndvi")) == {"1"}


def test_two_processes_may_keep_the_same_log_open(home: Path) -> None:
    with (
        dg.DagsterInstance.from_config(str(home)) as one,
        dg.DagsterInstance.from_config(str(home)) as other,
    ):
        for number, instance in enumerate([one, other, one, other]):
            noted(instance, str(number))

        for instance in (one, other):
            seen = instance.get_materialized_partitions(dg.AssetKey("ndvi"))
            assert seen == {"0", "1", "2", "3"}


def test_who_follows_a_run_sees_an_event_while_the_log_stays_open(home: Path) -> None:
    with (
        dg.DagsterInstance.from_config(str(home)) as writer,
        dg.DagsterInstance.from_config(str(home)) as reader,
    ):
        run_id = made(writer)
        seen: list[str] = []
        reader.watch_event_logs(run_id, None, lambda entry, _: seen.append(entry.message))
        run = writer.get_run_by_id(run_id)
        writer.report_engine_event("something happened", run)
        waited = time.monotonic() + 20
        while not any("something happened" in each for each in seen):
            assert time.monotonic() < waited
            time.sleep(0.05)


def test_only_the_files_that_were_used_last_stay_open(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for _ in range(MAX_OPEN_FILES + 1):
            made(instance)

        assert len(pending(home)) == MAX_OPEN_FILES
    assert pending(home) == []


def test_a_wiped_log_starts_again(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        made(instance)
        instance.wipe()
        assert instance.get_materialized_partitions(dg.AssetKey("ndvi")) == set()

        made(instance)

        assert instance.get_materialized_partitions(dg.AssetKey("ndvi")) == {"1", "2"}


def noted(instance: dg.DagsterInstance, tile: str) -> None:
    """Write an event that is of an asset, and so goes to the file of all runs."""
    instance.report_runless_asset_event(dg.AssetMaterialization("ndvi", partition=tile))


def pending(home: Path) -> list[str]:
    """Files whose last changes are still in a write-ahead log."""
    return sorted(path.name for path in (home / "history" / "runs").glob("*-wal"))


def test_events_are_not_moved_one_by_one_into_the_file_of_all_runs(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        noted(instance, "1")
        noted(instance, "2")
        during = pending(home)
        kept = instance.get_materialized_partitions(dg.AssetKey("ndvi"))

    assert (during, pending(home)) == ([".db-wal", "index.db-wal"], [])
    assert kept == {"1", "2"}


def test_an_instance_that_does_not_name_the_class_keeps_dagsters_own(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(HOME)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        made(instance)

        assert not isinstance(instance.event_log_storage, OpenEventLog)
        assert pending(tmp_path) == []
        assert instance.get_materialized_partitions(dg.AssetKey("ndvi")) == {"1", "2"}


def test_a_log_wiped_by_another_process_starts_again(home: Path) -> None:
    with (
        dg.DagsterInstance.from_config(str(home)) as one,
        dg.DagsterInstance.from_config(str(home)) as other,
    ):
        run_id = made(one)
        other.wipe()

        one.report_engine_event("once more", job_name="any", run_id=run_id)

        assert ["once more" in each.message for each in other.all_logs(run_id)] == [True]
