"""Dagster's storages of runs and of schedules in PostgreSQL, which wait for their server."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
from sqlalchemy.pool import NullPool

from spatial_assets.instance.dagster_internals import (
    ConfigurableClassData,
    DagsterRunAlreadyExists,
    PostgresRunStorage,
    PostgresScheduleStorage,
    create_pg_engine,
    pg_url_from_config,
)
from spatial_assets.instance.postgres_event_log import connection_options
from spatial_assets.instance.postgres_outages import (
    WAIT_SECONDS,
    WEBSERVER_WAIT_SECONDS,
    waiting_for_server,
    waits_for_server,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine


@waits_for_server(besides={"add_run"})
class PatientRunStorage(PostgresRunStorage):
    """Dagster's own storage of runs; `dagster-postgres.yaml` names it."""

    wait_seconds = WAIT_SECONDS

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Make the storage from its `config`, as soon as the server answers."""
        url = pg_url_from_config(config_value)
        create_tables = config_value.get("should_autocreate_tables", True)
        storage = waiting_for_server(lambda: cls(url, create_tables, inst_data))
        storage._engine = _engine(url)  # noqa: SLF001 - of the class itself
        return storage

    def optimize_for_webserver(
        self, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        """Limit the times of a statement and of a wait."""
        self.wait_seconds = WEBSERVER_WAIT_SECONDS
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)

    def add_run(self, dagster_run: dg.DagsterRun) -> dg.DagsterRun:
        """Store a new run; one that was stored when the connection was lost is completed."""
        attempts = count()

        def add() -> dg.DagsterRun:
            is_repeated = next(attempts) > 0
            try:
                return super(PatientRunStorage, self).add_run(dagster_run)
            except DagsterRunAlreadyExists:
                if not is_repeated:
                    raise
                self.add_run_tags(dagster_run.run_id, dagster_run.tags_for_storage())
                return dagster_run

        return waiting_for_server(add, seconds=self.wait_seconds)


@waits_for_server()
class PatientScheduleStorage(PostgresScheduleStorage):
    """Dagster's own storage of schedules and sensors; `dagster-postgres.yaml` names it."""

    wait_seconds = WAIT_SECONDS

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Make the storage from its `config`, as soon as the server answers."""
        url = pg_url_from_config(config_value)
        create_tables = config_value.get("should_autocreate_tables", True)
        storage = waiting_for_server(lambda: cls(url, create_tables, inst_data))
        storage._engine = _engine(url)  # noqa: SLF001 - of the class itself
        return storage

    def optimize_for_webserver(
        self, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        """Limit the times of a statement and of a wait."""
        self.wait_seconds = WEBSERVER_WAIT_SECONDS
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)


def _engine(url: str) -> Engine:
    """Return an engine that opens a connection for each use, as Dagster's own does.

    These storages are used a few times a minute: a kept connection would only be broken.
    """
    return create_pg_engine(
        url,
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        connect_args=connection_options(url),
    )
