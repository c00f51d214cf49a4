"""The Dagster instance files load in the Dagster that reads them, and agree with each other."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import pytest
import yaml
from sqlalchemy.engine import make_url

from spatial_assets.instance.postgres_event_log import PooledEventLog
from spatial_assets_tests.servers.process import REPOSITORY

LOCAL = REPOSITORY / "dagster.yaml"
POSTGRES = REPOSITORY / "deploy" / "dagster-postgres.yaml"
ONLY_ON_POSTGRES = {"run_storage", "event_log_storage", "schedule_storage", "compute_logs"}
ONLY_LOCAL = {"event_log_storage"}


@dg.asset
def one() -> int:
    return 1


def materialized(instance: dg.DagsterInstance) -> bool:
    assert dg.materialize([one], instance=instance).success
    return instance.get_latest_materialization_event(dg.AssetKey("one")) is not None


def test_the_local_instance_keeps_what_was_materialized(dagster_instance_home: Path) -> None:
    with dg.DagsterInstance.from_config(str(dagster_instance_home)) as instance:
        assert materialized(instance)
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure

    assert list(dagster_instance_home.glob("history/**/*.db"))


@pytest.mark.servers
def test_the_postgres_instance_keeps_what_was_materialized(
    postgis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(POSTGRES.read_text())
    url = make_url(postgis_url).set(drivername="postgresql+psycopg2")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url.render_as_string(hide_password=False))
    monkeypatch.setenv("DAGSTER_LOGS", str(tmp_path / "logs"))

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.event_log_storage, PooledEventLog)
        assert materialized(instance)

    with dg.DagsterInstance.from_config(str(tmp_path)) as again:
        assert again.get_latest_materialization_event(dg.AssetKey("one")) is not None
    assert not list(tmp_path.glob("**/*.db"))


def test_the_postgres_instance_differs_from_the_local_one_in_storage_only() -> None:
    local, postgres = (yaml.safe_load(path.read_text()) for path in (LOCAL, POSTGRES))

    common = {key: local[key] for key in local.keys() - ONLY_LOCAL}
    assert {key: postgres[key] for key in postgres.keys() - ONLY_ON_POSTGRES} == common


@pytest.mark.parametrize("path", [LOCAL, POSTGRES], ids=["local", "postgres"])
def test_every_number_has_its_reason_beside_it(path: Path) -> None:
    lines = path.read_text().splitlines()
    explained = {
        line.split(":")[0].strip()
        for above, line in zip(["", *lines], lines, strict=False)
        if re.search(r": \d+", line) and ("#" in line or above.strip().startswith("#"))
    }
    numbers = {line.split(":")[0].strip() for line in lines if re.search(r": \d+", line)}

    # retention repeats its two numbers; the reason stands at their first use
    assert numbers - explained <= {"success", "started"}
