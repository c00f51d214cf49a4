"""The event log in PostgreSQL: its connections are kept, tested and replaced."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import psycopg
import pytest
from dagster._core.events import StepMaterializationData
from sqlalchemy import event as engine_event
from sqlalchemy.engine import make_url

from spatial_assets.instance import postgres_event_log
from spatial_assets.instance.postgres_event_log import (
    KEPT_CONNECTIONS,
    MORE_CONNECTIONS,
    PooledEventLog,
)

pytestmark = pytest.mark.servers

NDVI = dg.AssetKey("ndvi")


@pytest.fixture
def log(postgis_url: str) -> Iterator[PooledEventLog]:
    """A pooled log in an empty database."""
    url = make_url(postgis_url).set(drivername="postgresql+psycopg2")
    opened = PooledEventLog(url.render_as_string(hide_password=False))
    yield opened
    opened.dispose()


def store(log: PooledEventLog, tile: str) -> None:
    """Store a materialization."""
    data = dg.AssetMaterialization(NDVI, partition=tile, tags={"dagster/data_version": tile})
    event = dg.DagsterEvent(
        "ASSET_MATERIALIZATION", "job", event_specific_data=StepMaterializationData(data)
    )
    log.store_event(
        dg.EventLogEntry(  # type: ignore[no-untyped-call]
            error_info=None,
            level=10,
            user_message="",
            run_id="run",
            timestamp=1.0,
            job_name="job",
            dagster_event=event,
        )
    )


def break_connections(url: str) -> int:
    """End all other sessions of the database, as a restart of the server does; their number."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        query = (
            "select count(pg_terminate_backend(pid)) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        found = connection.execute(query).fetchone()
    assert found is not None
    return int(found[0])


def test_a_hundred_events_need_no_more_than_the_kept_connections(log: PooledEventLog) -> None:
    opened: list[object] = []
    engine_event.listen(log._engine, "connect", lambda *made: opened.append(made))  # noqa: SLF001

    for number in range(100):
        store(log, str(number))

    assert len(opened) <= KEPT_CONNECTIONS
    assert len(log.get_materialized_partitions(NDVI)) == 100


def test_a_restart_of_the_server_is_noticed_before_the_next_event(
    log: PooledEventLog, postgis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_event_log, "UNTESTED_SECONDS", 0.0)
    store(log, "before")

    assert break_connections(postgis_url) == KEPT_CONNECTIONS

    store(log, "after")
    assert log.get_materialized_partitions(NDVI) == {"before", "after"}


def test_an_event_that_a_restart_interrupts_is_stored_once(
    log: PooledEventLog, postgis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_event_log, "UNTESTED_SECONDS", 60.0)
    store(log, "before")
    break_connections(postgis_url)

    store(log, "during")

    store(log, "after")
    assert log.get_materialized_partitions(NDVI) == {"before", "during", "after"}


def test_the_threads_of_a_daemon_write_at_once_within_the_limit(
    log: PooledEventLog, postgis_url: str
) -> None:
    threads = KEPT_CONNECTIONS + MORE_CONNECTIONS + 4
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda number: store(log, str(number)), range(10 * threads)))

    assert len(log.get_materialized_partitions(NDVI)) == 10 * threads
    assert break_connections(postgis_url) <= KEPT_CONNECTIONS


def test_a_forked_process_opens_connections_of_its_own(log: PooledEventLog) -> None:
    store(log, "parent")
    child = multiprocessing.get_context("fork").Process(target=store, args=(log, "child"))
    child.start()
    child.join(60)
    store(log, "parent again")

    assert child.exitcode == 0
    assert log.get_materialized_partitions(NDVI) == {"parent", "child", "parent again"}


def test_the_url_decides_the_options_that_it_names(postgis_url: str) -> None:
    url = make_url(postgis_url).set(drivername="postgresql+psycopg2")
    named = url.update_query_dict({"keepalives_idle": "77"})
    opened = PooledEventLog(named.render_as_string(hide_password=False))

    with opened.index_connection() as connection:
        options = connection.connection.dbapi_connection.get_dsn_parameters()  # type: ignore[union-attr]
    opened.dispose()

    assert (options["keepalives_idle"], options["tcp_user_timeout"]) == ("77", "60000")
