"""Behaviour of the product for each single fault of a network or a server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from chaos.fault_injection import FaultInjector
from chaos.postgres_relay import PostgresRelay
from chaos.s3_relay import FAULTS, S3Relay
from spatial_assets.errors import DatabaseError, SettingsError, SourceUnavailableError
from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import load_project
from spatial_assets.retries import retry_budget
from spatial_assets.stores.objects.location import RETRY_CONFIG
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.postgis.database import Limits, PostgisDatabase
from spatial_assets_tests.fixtures.pipeline_runs import NOON
from spatial_assets_tests.fixtures.ten_village_project import ten_villages_with_districts
from spatial_assets_tests.stores.tables.sample_rows import state

pytestmark = pytest.mark.servers

QUICK = Limits(statement=0.4, connect=0.4, retry=20.0)


def test_boundaries_are_validated_though_bodies_break_off(
    s3_relay: S3Relay, s3_bucket: str, tmp_path: Path
) -> None:
    url = {"SPATIAL_ASSETS_STORAGE_URL": f"s3://{s3_bucket}/product"}
    project = load_project(ten_villages_with_districts(tmp_path).root, url)
    steps = BoundaryPipeline(
        project=project,
        settings=project.boundaries[0],
        store=open_store(project.storage_url),
        clock=lambda: NOON,
    )
    s3_relay.injector = FaultInjector(seed="1", share=0.5, kinds={"truncated": 1})

    steps.fetch()
    validated = steps.validate()

    assert validated.state is State.MATERIALIZED
    assert validated.facts["kept"] == 2
    assert s3_relay.injector.injected["truncated"] >= 3


@pytest.mark.parametrize("fault", FAULTS)
def test_an_object_outlives_each_fault(fault: str, s3_relay: S3Relay, s3_bucket: str) -> None:
    store = open_store(f"s3://{s3_bucket}")
    s3_relay.injector = FaultInjector(seed=fault, share=0.4, kinds={fault: 1})

    for number in range(3):
        store.put(f"{number}", bytes([number]) * 5000)
        assert store.create(f"new/{number}", b"mine")
        assert not store.create(f"new/{number}", b"yours")

    assert [store.get(f"{number}")[:1] for number in range(3)] == [b"\0", b"\1", b"\2"]
    assert s3_relay.injector.injected[fault] >= 2


@pytest.mark.parametrize("fault", ["stall", "drop", "slow", "reply_lost"])
def test_a_commit_outlives_each_fault(
    fault: str, postgis_relay: PostgresRelay, relayed_url: str
) -> None:
    with PostgisDatabase(relayed_url, QUICK) as database:
        database.ensure_schema()
        injector = postgis_relay.injector = FaultInjector(seed="2", share=0.02, kinds={fault: 1})
        for number in range(5):
            database.set_states([state(tile=str(number))])
        postgis_relay.injector = FaultInjector(seed="none")

        assert [row["tile"] for row in database.rows("tile_state")] == ["0", "1", "2", "3", "4"]
    assert injector.injected[fault] >= 1
    assert postgis_relay.peak <= QUICK.pool_size


def test_a_database_that_falls_silent_is_given_up_in_time(
    postgis_relay: PostgresRelay, relayed_url: str
) -> None:
    limits = Limits(statement=0.4, connect=0.4, retry=1.0, pool_wait=2.0)
    with PostgisDatabase(relayed_url, limits) as database:
        database.ensure_schema()
        postgis_relay.injector = FaultInjector(seed="3", share=1.0, kinds={"stall": 1})
        started = time.monotonic()

        with pytest.raises(DatabaseError):
            database.rows("tile_state")

    assert time.monotonic() - started < 20


def test_a_timeout_is_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPATIAL_ASSETS_TIMEOUT", "soon")

    with pytest.raises(SettingsError, match="wanted seconds"):
        open_store("s3://bucket").list()
    with pytest.raises(SettingsError, match="wanted seconds"):
        open_database("postgresql+psycopg://nobody@localhost/none")


def test_an_outage_costs_a_fixed_number_of_retries(s3_relay: S3Relay, s3_bucket: str) -> None:
    store = open_store(f"s3://{s3_bucket}")
    store.put("before", b"x")
    s3_relay.injector = FaultInjector(seed="out", share=1.0, kinds={"slow_down": 1})
    s3_relay.requests.clear()
    retry_budget.refill()
    retry_budget.shared.value = 2
    try:
        for _ in range(10):
            with pytest.raises(SourceUnavailableError):
                store.get("before")
    finally:
        retry_budget.refill()

    each = 1 + int(RETRY_CONFIG["max_retries"])
    assert s3_relay.requests.total() == (10 + 2) * each
