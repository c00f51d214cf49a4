"""The event log of a run in SQLite: its write-ahead log is kept until the run lets go of it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from spatial_assets.assets.open_log import event_log_open


def noted(instance: dg.DagsterInstance, tile: str) -> None:
    """Write an event that is of an asset, and so goes to the file of all runs."""
    instance.report_runless_asset_event(dg.AssetMaterialization("ndvi", partition=tile))


def pending(home: Path) -> list[str]:
    """Files whose last changes are still in a write-ahead log."""
    return sorted(path.name for path in (home / "history" / "runs").glob("*-wal"))


def test_events_are_not_moved_one_by_one_into_the_file_of_all_runs(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        noted(instance, "1")
        before = pending(tmp_path)
        with event_log_open(instance, "run"):
            noted(instance, "2")
            during = pending(tmp_path)
        after = pending(tmp_path)
        kept = instance.get_materialized_partitions(dg.AssetKey("ndvi"))

    assert (before, during, after) == ([], ["index.db-wal"], [])
    assert kept == {"1", "2"}


def test_an_event_log_that_is_no_file_of_sqlite_is_left_alone() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        with event_log_open(instance, "run"):
            noted(instance, "1")

        assert instance.get_materialized_partitions(dg.AssetKey("ndvi")) == {"1"}
