"""Dagster's event log in SQLite, its files kept open: what an event costs is mostly opening them.

What is written, in which order and in which transactions, is Dagster's own. The class that does it
is not of Dagster's public surface, though `dagster.yaml` may name it: a test holds us to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage as SqliteEventLog,
)
from dagster._serdes import ConfigurableClassData as ConfiguredAs
from sqlalchemy import create_engine, event

if TYPE_CHECKING:
    import dagster as dg
    from sqlalchemy import Connection, Engine


INDEX = "index"
"""The file that holds the asset events of all runs; each run has one of its own beside it."""

MOST_OPEN = 4  # files; two runs at a time are written, and one or two looked at

PATIENCE_SECONDS = 30  # for a file that others write to; as Dagster's own


class OpenFiles:
    """The files of an event log that were used last, each with an engine and a connection.

    Dagster makes an engine and opens and closes the file three to six times an event. A new engine
    compiles each statement anew, and who closes a file as the last one moves its whole write-ahead
    log into it, with waits for the disk. No lock is held between two transactions.
    """

    def __init__(self, storage: SqliteEventLog) -> None:
        self._storage = storage
        self._engines: dict[str, Engine] = {}

    @contextmanager
    def connect(self, shard: str) -> Iterator[Connection]:
        """A connection to a file, within a transaction that is committed at the end."""
        with self._storage._db_lock:  # noqa: SLF001
            with self._engine(shard).begin() as connection:
                before = _changes(connection)
                yield connection
                is_changed = _changes(connection) != before
            if is_changed:
                # Who follows a run watches the time of its file, not of the write-ahead log
                os.utime(self._storage.path_for_shard(shard))

    def close(self) -> None:
        """Let go of all files."""
        while self._engines:
            self._engines.popitem()[1].dispose()

    def _engine(self, shard: str) -> Engine:
        """The engine of a file, which from now on is the one that was used last."""
        engine = self._engines.pop(shard, None)
        if engine is not None and not Path(self._storage.path_for_shard(shard)).exists():
            engine.dispose()  # another process has wiped the log
            engine = None
        if engine is None:
            engine = _engine_of(self._storage, shard)
            self._storage._initdb(engine)  # noqa: SLF001 - the tables, where there are none yet
        self._engines[shard] = engine
        if len(self._engines) > MOST_OPEN:
            self._engines.pop(next(iter(self._engines))).dispose()
        return engine


class OpenEventLog(SqliteEventLog):
    """Dagster's own event log in SQLite, its files kept open; `dagster.yaml` names it."""

    def __init__(self, inst_data: ConfiguredAs | None = None) -> None:
        self._files = OpenFiles(self)
        self._inst_data = inst_data
        # Not yet that of Dagster's own, which makes its folder
        super(SqliteEventLog, self).__init__()  # type: ignore[no-untyped-call]

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Begin in the home of the instance, which so need not be said twice."""
        home = Path(instance.root_directory)
        super().__init__(str(home / "history" / "runs"), self._inst_data)
        super().register_instance(instance)

    @classmethod
    def config_type(cls) -> Any:  # noqa: ANN401 - Dagster's
        """What `config` of `dagster.yaml` may say: nothing."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfiguredAs | None, config_value: Mapping[str, Any]
    ) -> Self:
        """What Dagster makes of the file."""
        return cls(inst_data, **config_value)

    def _connect(self, shard: str) -> Any:  # noqa: ANN401 - as Dagster's
        return self._files.connect(shard)

    def wipe(self) -> None:
        """Remove all events, and with them the files."""
        self._files.close()
        super().wipe()

    def dispose(self) -> None:
        """Let go of the files; one that is used again is opened again."""
        super().dispose()
        self._files.close()


@contextmanager
def event_log_open(instance: dg.DagsterInstance) -> Iterator[None]:
    """Keep the files of an instance's event log open, whoever configured it.

    Any other storage than SQLite needs no such thing, nor one that keeps them open itself.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLog) or isinstance(storage, OpenEventLog):
        yield
        return
    files = OpenFiles(storage)
    storage._connect = files.connect  # type: ignore[method-assign] # noqa: SLF001
    try:
        yield
    finally:
        del storage._connect  # noqa: SLF001 - the class's own shows again
        files.close()


def _engine_of(storage: SqliteEventLog, shard: str) -> Engine:
    engine = create_engine(
        storage.conn_string_for_shard(shard),
        pool_size=1,  # that stays; Dagster takes more where it makes the tables
        connect_args={"timeout": PATIENCE_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _wait_for_no_disk)
    return engine


def _wait_for_no_disk(connection: Any, _record: object) -> None:  # noqa: ANN401 - untyped there
    """Let a transaction end before the disk has it, as is safe with a write-ahead log.

    Nothing is lost when a process is killed. When the power fails the last events may be; what they
    tell of is in the store and the database, and a tile without its event is asked for again.
    """
    connection.execute("pragma synchronous = normal")


def _changes(connection: Connection) -> int:
    """Rows that this connection has written in its life."""
    driver: Any = connection.connection.dbapi_connection
    return int(driver.total_changes)
