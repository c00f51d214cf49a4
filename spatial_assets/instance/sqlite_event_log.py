"""Dagster's event log in SQLite with its files kept open: opening them is most of an event's cost.

Dagster's own class decides what is written, in which order and in which transactions, except for
what a run plans (`planned_rows`); a test compares the rows of both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import create_engine, event

from spatial_assets.instance.dagster_internals import ConfigurableClassData, SqliteEventLogStorage
from spatial_assets.instance.planned_rows import PlannedRows, insert_rows

if TYPE_CHECKING:
    import dagster as dg
    from sqlalchemy import Connection, Engine


MAX_OPEN_FILES = 4  # two runs at a time are written, and one or two are viewed

BUSY_TIMEOUT_SECONDS = 30  # for a file that others write to; the same as Dagster's own


class OpenFiles:
    """The most recently used files of an event log, each with an engine and a connection.

    Dagster creates an engine and opens and closes the file three to six times per event. A new
    engine compiles each statement again, and closing the last connection to a file checkpoints its
    whole write-ahead log, with waits for the disk. No lock is held between two transactions.
    """

    def __init__(self, storage: SqliteEventLogStorage) -> None:
        self._storage = storage
        self._engines: dict[str, Engine] = {}

    @contextmanager
    def connect(self, shard: str) -> Iterator[Connection]:
        """Open a transaction on a file, which is committed at the end."""
        with self._storage._db_lock:  # noqa: SLF001
            with self._engine(shard).begin() as connection:
                before = _changes(connection)
                yield connection
                is_changed = _changes(connection) != before
            if is_changed:
                # Dagster follows a run by the modification time of its file, not of the log
                os.utime(self._storage.path_for_shard(shard))

    def close(self) -> None:
        """Close all files."""
        while self._engines:
            self._engines.popitem()[1].dispose()

    def _engine(self, shard: str) -> Engine:
        """Return the engine of a file, and mark it as the most recently used."""
        engine = self._engines.pop(shard, None)
        if engine is not None and not Path(self._storage.path_for_shard(shard)).exists():
            engine.dispose()  # another process wiped the log
            engine = None
        if engine is None:
            engine = _engine_of(self._storage, shard)
            self._storage._initdb(engine)  # noqa: SLF001 - creates the tables, if there are none
        self._engines[shard] = engine
        if len(self._engines) > MAX_OPEN_FILES:
            self._engines.pop(next(iter(self._engines))).dispose()
        return engine


class OpenEventLog(PlannedRows, SqliteEventLogStorage):
    """Dagster's own event log in SQLite with its files kept open; `dagster.yaml` names it."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._files = OpenFiles(self)
        self._inst_data = inst_data
        # Dagster's own __init__ creates the folder, which is not known yet
        super(SqliteEventLogStorage, self).__init__()  # type: ignore[no-untyped-call]

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Open the log below the home of the instance, so that `config` can be empty."""
        home = Path(instance.root_directory)
        super().__init__(str(home / "history" / "runs"), self._inst_data)
        super().register_instance(instance)

    @classmethod
    def config_type(cls) -> Any:  # noqa: ANN401 - Dagster's
        """Return the schema of `config` in `dagster.yaml`: empty."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Make the storage from its `config`."""
        return cls(inst_data, **config_value)

    def _connect(self, shard: str) -> Any:  # noqa: ANN401 - like Dagster's
        return self._files.connect(shard)

    def _insert_planned(self, rows: Sequence[dict[str, Any]]) -> int:
        """Insert rows into the file of the run and into that of all runs, as Dagster does."""
        with self.run_connection(rows[0]["run_id"]) as connection:
            insert_rows(connection, rows)
        return super()._insert_planned(rows)

    def wipe(self) -> None:
        """Delete all events, and the files with them."""
        self._files.close()
        super().wipe()

    def dispose(self) -> None:
        """Close the files; a file that is used again is opened again."""
        super().dispose()
        self._files.close()


def _engine_of(storage: SqliteEventLogStorage, shard: str) -> Engine:
    engine = create_engine(
        storage.conn_string_for_shard(shard),
        pool_size=1,  # to keep; Dagster uses more while it creates the tables
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _wait_for_no_disk)
    return engine


def _wait_for_no_disk(connection: Any, _record: object) -> None:  # noqa: ANN401 - untyped there
    """Commit without waiting for the disk, which is safe with a write-ahead log.

    Nothing is lost if the process is killed. A power failure may lose the last events; the data
    they report is in the store and the database, and a tile without its event is requested again.
    """
    connection.execute("pragma synchronous = normal")


def _changes(connection: Connection) -> int:
    """Number of rows that this connection has written since it was opened."""
    driver: Any = connection.connection.dbapi_connection
    return int(driver.total_changes)
