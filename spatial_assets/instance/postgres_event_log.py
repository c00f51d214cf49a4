"""Dagster's event log in PostgreSQL with its connections kept: half of an event's cost is opening.

Dagster's own class decides what is written and in which transactions, except for what a run plans
(`planned_rows`); a test compares the rows of both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import event as engine_event
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from spatial_assets.instance.dagster_internals import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    ConfigurableClassData,
    PostgresEventLogStorage,
    SqlEventLogStorageTable,
    create_pg_engine,
    pg_config,
    pg_url_from_config,
    serialize_value,
)
from spatial_assets.instance.planned_rows import PlannedRows, last_planned
from spatial_assets.instance.postgres_outages import (
    WAIT_SECONDS,
    WEBSERVER_WAIT_SECONDS,
    waiting_for_server,
    waits_for_server,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import dagster as dg
    from sqlalchemy import Connection, Engine

KEPT_CONNECTIONS = 2
"""Connections that a process keeps: one writes events, another reads. PostgreSQL allows 100 by
default, and a deployment has four processes and those of its runs."""

MORE_CONNECTIONS = 14
"""Connections beyond these, closed after use: threads of the daemon's sensors, schedules and
backfills (4 each in `dagster.yaml`) and of its own loops."""

RECYCLE_SECONDS = 300
"""Age of a connection that is replaced before its next use: firewalls forget idle ones."""

UNTESTED_SECONDS = 1.0
"""Idle time after which a connection is tested before its use. In a busy run none is."""

DEFAULT_OPTIONS: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}
"""Options of libpq that end the wait for a server that vanished without a word; those that the URL
names take precedence."""


@waits_for_server(besides={"store_event", "store_event_batch"})
class PooledEventLog(PlannedRows, PostgresEventLogStorage):
    """Dagster's own event log in PostgreSQL with a pool; `dagster-postgres.yaml` names it.

    Dagster opens three to five connections for each event. A connection that an outage or a restart
    of the server broke is noticed before its next use, or fails the statement that it is used for,
    and then all of the pool are replaced. The statement is repeated when the server answers again,
    but an event that was stored already is not stored twice.
    """

    wait_seconds = WAIT_SECONDS

    def __init__(
        self,
        postgres_url: str,
        *,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._tables: set[str] = set()
        self._process = os.getpid()
        super().__init__(postgres_url, should_autocreate_tables, inst_data)
        self._engine = pooled_engine(postgres_url)

    @classmethod
    def config_type(cls) -> Any:  # noqa: ANN401 - Dagster's
        """Return the schema of `config`: that of Dagster's own storage in PostgreSQL."""
        return pg_config()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Make the storage from its `config`, as soon as the server answers."""
        return waiting_for_server(
            lambda: cls(
                pg_url_from_config(config_value),
                should_autocreate_tables=config_value.get("should_autocreate_tables", True),
                inst_data=inst_data,
            )
        )

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Store an event, once: a lost connection does not tell if it was stored."""
        attempts = count()

        def store() -> None:
            if next(attempts):
                # of an event that plans many partitions, the row of the last is stored last
                last = last_planned(event)
                stored = self._stored_id(last)
                if stored is not None:
                    self._store_what_follows(last, stored)
                    return
            super(PooledEventLog, self).store_event(event)

        waiting_for_server(store, seconds=self.wait_seconds)

    def _stored_id(self, event: dg.EventLogEntry) -> int | None:
        """Return the position of an event in the log, or None if it is not there."""
        table = SqlEventLogStorageTable.c
        found = (
            select(table.id)
            .where(table.run_id == event.run_id, table.event == serialize_value(event))
            .limit(1)
        )
        with self._connect() as connection:
            stored: int | None = connection.execute(found).scalar()
        return stored

    def _store_what_follows(self, event: dg.EventLogEntry, event_id: int) -> None:
        """Store what Dagster derives from an event after it inserted it; may be repeated."""
        if not event.is_dagster_event:
            return
        if event.get_dagster_event().asset_key and event.dagster_event_type in ASSET_EVENTS:
            with self.index_transaction() as connection:
                self._store_asset_event_tags(connection, [event], [event_id])
                self._store_asset_event(connection, event, event_id)
        if event.dagster_event_type in ASSET_CHECK_EVENTS:
            self.store_asset_check_event(event, event_id)

    def optimize_for_webserver(
        self, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        """Limit the times of a statement, as Dagster's own storage does, and of a wait."""
        self.wait_seconds = WEBSERVER_WAIT_SECONDS
        self._engine.dispose()
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        probe_idle_connections(self._engine)

    def has_table(self, table_name: str) -> bool:
        """Return True if a table exists; asked once, though Dagster asks for each event."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def dispose(self) -> None:
        """Close all connections; a log that is used again opens new ones."""
        super().dispose()
        self._engine.dispose()

    def _connect(self) -> AbstractContextManager[Connection]:
        if self._process != os.getpid():
            # A forked process must neither use nor close its parent's connections.
            self._engine.dispose(close=False)
            self._process = os.getpid()
        return super()._connect()


def pooled_engine(url: str) -> Engine:
    """Return an engine whose connections commit each statement, as Dagster expects."""
    engine = create_pg_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=KEPT_CONNECTIONS,
        max_overflow=MORE_CONNECTIONS,
        pool_recycle=RECYCLE_SECONDS,
        connect_args=connection_options(url),
    )
    probe_idle_connections(engine)
    return engine


def connection_options(url: str) -> dict[str, int]:
    """Return the options of libpq for a connection, without those that the URL names."""
    named = make_url(url).query
    return {name: value for name, value in DEFAULT_OPTIONS.items() if name not in named}


def probe_idle_connections(engine: Engine) -> None:
    """Test connections of an engine that were idle before they are used again."""

    def returned(_connection: object, record: Any) -> None:  # noqa: ANN401 - untyped there
        record.info["idle_since"] = time.monotonic()

    def taken(connection: Any, record: Any, _proxy: object) -> None:  # noqa: ANN401 - untyped there
        idle = time.monotonic() - record.info.get("idle_since", time.monotonic())
        if idle > UNTESTED_SECONDS and not answers(engine, connection):
            raise InvalidatePoolError

    engine_event.listen(engine, "checkin", returned)
    engine_event.listen(engine, "checkout", taken)


def answers(engine: Engine, connection: Any) -> bool:  # noqa: ANN401 - a connection of the driver
    """Return True if the server still answers on a connection."""
    try:
        return bool(engine.dialect.do_ping(connection))
    except (DBAPIError, engine.dialect.loaded_dbapi.Error):
        return False
