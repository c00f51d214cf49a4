"""Warnings about an event log that is not made for runs of many tiles."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.automation import own_events
from spatial_assets.instance import event_log_advice as advice_module
from spatial_assets.instance.event_log_advice import MANY_TILES, event_log_advice
from spatial_assets_tests.fixtures.dagster_runs import definitions, materialize
from spatial_assets_tests.fixtures.event_logs import OPEN_SQLITE
from spatial_assets_tests.fixtures.two_zone_project import write_project

QUIET = "telemetry: {enabled: false}\n"


def advice(instance: dg.DagsterInstance, tiles: int, *, checks: int = 3) -> str | None:
    return event_log_advice(instance, tiles=tiles, checks=checks, key_length=16)


def home_with(tmp_path: Path, storage: str) -> Path:
    """A DAGSTER_HOME with a storage."""
    (tmp_path / "dagster.yaml").write_text(QUIET + storage)
    return tmp_path


def test_dagsters_own_log_is_warned_of_with_the_megabytes_and_the_remedy(tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(home_with(tmp_path, ""))) as instance:
        found = advice(instance, 2000)

    assert found is not None
    # 3 checks x 2,000 rows x 2,000 keys of 20 bytes
    assert "a run of 2,000 tiles writes about 240 MB" in found
    assert "(SqliteEventLogStorage)" in found
    assert "event_log_storage" in found


@pytest.mark.parametrize(
    ("storage", "tiles", "checks"),
    [
        pytest.param(OPEN_SQLITE, 100_000, 3, id="our-log"),
        pytest.param("", MANY_TILES, 3, id="small-runs"),
        pytest.param("", 2000, 0, id="no-checks"),
    ],
)
def test_nothing_is_said_where_the_rows_are_few(
    tmp_path: Path, storage: str, tiles: int, checks: int
) -> None:
    with dg.DagsterInstance.from_config(str(home_with(tmp_path, storage))) as instance:
        assert advice(instance, tiles, checks=checks) is None


def test_the_run_and_the_command_check_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(advice_module, "MANY_TILES", 1)
    project = write_project(tmp_path / "project", tmp_path / "catalog")
    home = home_with(tmp_path, "")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("SPATIAL_ASSETS_PROJECT", str(project.root))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        tiles = project.tile_keys[:2]
        run = materialize(definitions(project), instance, ["raw_tile"], tiles=tiles)
        said = [entry.user_message for entry in instance.all_logs(run.run_id)]
    capsys.readouterr()

    own_events.main()

    assert [text for text in said if text.startswith("planning a run of 2 tiles writes")]
    printed = json.loads(capsys.readouterr().out)
    assert printed["projects"] == []
    assert f"planning a run of {len(project.tile_keys)} tiles" in printed["advice"]
