"""Dagster's records in PostgreSQL wait for their server, and hold each event once."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from chaos.fault_injection import EventTrigger, FaultInjector
from chaos.postgres_relay import PostgresRelay
from chaos.relay import Loop, running_relays
from spatial_assets.instance import postgres_outages
from spatial_assets.instance.postgres_event_log import PooledEventLog
from spatial_assets.instance.postgres_outages import is_lost_connection, waiting_for_server
from spatial_assets.instance.postgres_run_storage import PatientRunStorage, PatientScheduleStorage
from spatial_assets_tests.servers.process import REPOSITORY

TILES = [f"{number:02}" for number in range(12)]


@dataclass
class Line:
    """A relay in front of the server, which may go down."""

    relay: PostgresRelay
    loop: Loop

    def inject(self, share: float, **kinds: int) -> None:
        """Let a share of the statements fail, by kinds of faults and their weights."""
        injector = FaultInjector(seed="events", share=share, kinds=kinds)
        self.loop.run(self.relay.begin_round(injector, EventTrigger()))

    @contextmanager
    def down(self, *, seconds: float) -> Iterator[None]:
        """Go down now, and come back after some seconds of the block."""
        self.loop.run(self.relay.go_down())
        timer = threading.Timer(seconds, lambda: self.loop.run(self.relay.come_back()))
        timer.start()
        yield
        timer.join()


@pytest.fixture
def line(postgis_url: str) -> Iterator[Line]:
    relay = PostgresRelay(make_url(postgis_url).port or 0)
    with running_relays(relay) as loop:
        yield Line(relay, loop)


@pytest.fixture
def instance(
    line: Line, postgis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The instance of a deployment, on the server behind the relay."""
    url = make_url(postgis_url).set(
        drivername="postgresql+psycopg2", port=line.relay.port, query={"sslmode": "disable"}
    )
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url.render_as_string(hide_password=False))
    monkeypatch.setenv("DAGSTER_LOGS", str(tmp_path / "logs"))
    text = (REPOSITORY / "deploy" / "dagster-postgres.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(text)
    with dg.DagsterInstance.from_config(str(tmp_path)) as found:
        assert isinstance(found.event_log_storage, PooledEventLog)
        assert isinstance(found.run_storage, PatientRunStorage)
        assert isinstance(found.schedule_storage, PatientScheduleStorage)
        yield found


def materialize(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """One run that materializes all tiles."""

    tiles = dg.StaticPartitionsDefinition(TILES)

    @dg.multi_asset(
        specs=[dg.AssetSpec("pixels", partitions_def=tiles, skippable=True)],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def chain(context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization]:
        for tile in context.partition_keys:
            context.log.info("tile %s", tile)
            yield dg.AssetMaterialization("pixels", partition=tile)

    done = dg.materialize(
        [chain],
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": TILES[0],
            "dagster/asset_partition_range_end": TILES[-1],
        },
    )
    assert done.success
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    return run


def made(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str | None]:
    """Tiles of the materializations of a run, in order."""
    return [
        event.get_dagster_event().step_materialization_data.materialization.partition
        for event in instance.all_logs(
            run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        )
    ]


@pytest.mark.servers
def test_a_run_whose_replies_are_lost_ends_with_each_event_once(
    line: Line, instance: dg.DagsterInstance
) -> None:
    line.inject(0.08, reply_lost=1, drop=1)

    run = materialize(instance)

    injected = line.relay.injector.injected
    line.inject(0.0)
    assert min(injected["reply_lost"], injected["drop"]) > 0
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert made(instance, run) == TILES
    assert instance.get_materialized_partitions(dg.AssetKey("pixels")) == set(TILES)
    texts = [(event.timestamp, str(event)) for event in instance.all_logs(run.run_id)]
    assert len(texts) == len(set(texts))


@pytest.mark.servers
def test_an_outage_is_a_pause_and_is_said(
    line: Line, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
    instance.report_engine_event("before", run)
    began = time.monotonic()

    with caplog.at_level(logging.WARNING), line.down(seconds=3.0):
        instance.report_engine_event("during", run)
        instance.add_run_tags(run.run_id, {"kept": "yes"})
        instance.report_run_failed(run)

    assert time.monotonic() - began >= 3.0
    after = instance.get_run_by_id(run.run_id)
    assert after is not None
    assert after.status is dg.DagsterRunStatus.FAILURE
    assert after.tags["kept"] == "yes"
    messages = [event.message for event in instance.all_logs(run.run_id)]
    assert messages.count("before") == messages.count("during") == 1
    said = [record.message for record in caplog.records if "PostgreSQL server" in record.message]
    assert said[0].startswith("the PostgreSQL server of Dagster's records does not answer; waiting")
    assert "answers again after" in said[1]


@pytest.mark.servers
def test_a_run_that_was_stored_before_its_reply_was_lost_is_complete(
    line: Line, instance: dg.DagsterInstance
) -> None:
    line.inject(0.1, reply_lost=1)
    runs = [create_run_for_test(instance, tags={"kind": "few"}) for _ in range(8)]
    line.inject(0.0)

    found = instance.get_runs(dg.RunsFilter(tags={"kind": "few"}))

    assert {run.run_id for run in found} == {run.run_id for run in runs}
    assert len(found) == len(runs)


def test_a_wait_is_bounded() -> None:
    calls: list[float] = []

    def fail() -> None:
        calls.append(time.monotonic())
        raise OperationalError("select", {}, DriverError("57P03"))

    with pytest.raises(OperationalError):
        waiting_for_server(fail, seconds=0.5)

    assert len(calls) > 1
    assert calls[-1] - calls[0] < 10


def test_a_faulty_statement_is_not_repeated() -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise ProgrammingError("select", {}, Exception("no such table"))

    with pytest.raises(ProgrammingError):
        waiting_for_server(fail)

    assert calls == [1]


class DriverError(Exception):
    """An error of the driver, with its SQLSTATE."""

    def __init__(self, pgcode: str | None) -> None:
        super().__init__(pgcode)
        self.pgcode = pgcode


@pytest.mark.parametrize(
    ("state", "lost"),
    [
        pytest.param(None, True, id="no-reply"),
        pytest.param("57P01", True, id="shuts-down"),
        pytest.param("57P03", True, id="starts"),
        pytest.param("08006", True, id="connection-failure"),
        pytest.param("53300", True, id="too-many-connections"),
        pytest.param("57014", False, id="statement-timeout"),
        pytest.param("40P01", False, id="deadlock"),
        pytest.param("53100", False, id="disk-full"),
    ],
)
def test_the_state_tells_an_outage_from_a_faulty_statement(
    state: str | None,
    lost: bool,  # noqa: FBT001
) -> None:
    assert is_lost_connection(OperationalError("select", {}, DriverError(state))) is lost


def test_every_method_of_the_storages_waits() -> None:
    for storage, name in (
        (PatientRunStorage, "handle_run_event"),
        (PatientRunStorage, "get_run_records"),
        (PatientRunStorage, "set_cursor_values"),
        (PatientRunStorage, "add_daemon_heartbeat"),
        (PatientScheduleStorage, "update_tick"),
        (PooledEventLog, "get_records_for_run"),
    ):
        assert getattr(storage, name).__globals__["__name__"] == postgres_outages.__name__, name
    assert PooledEventLog.store_event.__module__ != postgres_outages.__name__
