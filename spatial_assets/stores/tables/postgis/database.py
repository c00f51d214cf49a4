"""PostGIS through pooled psycopg 3 connections, with retries.

Transient errors (a deadlock, a lost connection, a restarting server) are retried, which is safe
because every change is harmless to repeat. No message contains the password. The statements of a
transaction belong in `transaction`.

A pooler between may give every transaction another session (pgbouncer's transaction mode, Supabase,
Neon, RDS Proxy). So nothing is left to a session: settings hold for one transaction, and no
statement is prepared.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from spatial_assets.errors import DatabaseError
from spatial_assets.retries import Backoff, with_retries
from spatial_assets.stores.tables.database import Database
from spatial_assets.stores.tables.postgis.blockers import LockWatch, listed
from spatial_assets.stores.tables.postgis.connection import PromptConnection, address_of
from spatial_assets.stores.tables.postgis.transaction import PostgisTransaction
from spatial_assets.stores.tables.schema import MIGRATIONS, Migration
from spatial_assets.stores.tables.schema_changes import SchemaChange
from spatial_assets.stores.tables.transactions import Transaction

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Connection = PromptConnection

MAY_PASS = {
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53300",  # too many connections
    "57P01",  # an administrator shut the server down
    "57P02",  # the server crashed
    "57P03",  # the server is starting
}
REFUSALS = ("authentication failed", "does not exist", "no pg_hba.conf entry")
REMEDIES: Mapping[type[psycopg.Error], str] = {
    psycopg.errors.UndefinedTable: "call ensure_schema first, or run `spatial-assets check`",
    psycopg.errors.QueryCanceled: "it took too long: check for a lock, or raise the timeout",
    psycopg.errors.InsufficientPrivilege: "grant this user the privilege, or use another user",
    psycopg.errors.InvalidCatalogName: "create the database: createdb, or CREATE DATABASE",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on the use of a server; times in seconds."""

    pool_size: int = 4
    """Maximum number of connections."""

    connect: float = 10.0
    statement: float = 300.0
    pool_wait: float = 60.0
    """Wait for a connection that other threads of this process use."""

    lock: float = 2.0
    """Wait of a change of the schema for a lock, during which all readers queue behind it. Longer
    than the second after which PostgreSQL's autovacuum gives way."""

    schema_change: float = 300.0
    """Time in which a change of the schema is tried again while others hold the lock."""

    retry: float = 6.0
    """Total wait between retries: enough for a server restart, short enough for a user."""

    first_answer: float = 60.0
    """The same at most for the first connection: an address that is wrong never answers."""

    @property
    def answer(self) -> float:
        """Timeout for an answer: the server cancels a statement, and has `connect` to report it."""
        return self.statement + self.connect


class PostgisDatabase(Database):
    """A PostGIS database, connected at first use."""

    def __init__(
        self,
        url: str,
        limits: Limits = Limits(),
        *,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        self._address = address_of(url)
        super().__init__(self._address.public_url, migrations)
        self._limits = limits
        self._pool: ConnectionPool[Connection] | None = None
        self._settings: Mapping[str, str] = {}
        self._opening_lock = threading.Lock()

    def in_transaction(self, work: Callable[[Transaction], Result], *, write: bool) -> Result:
        """Do `work` in a transaction; retry it on another connection after a transient error."""
        return self._retried(lambda: self._in_one_transaction(work, write=write))

    def change_schema(self, changes: Iterable[SchemaChange]) -> None:
        """Make changes of the schema, each in a short transaction that is repeated while locked."""
        for change in changes:
            self._retried(partial(self._changed_when_unlocked, change))

    def spatial_version(self) -> str:
        """Versions of PostgreSQL and PostGIS, and of the GEOS and PROJ it uses."""
        query = "SELECT version(), postgis_full_version()"
        rows = self.in_transaction(lambda transaction: transaction.run(query), write=False)
        server, spatial = (str(value) for value in rows[0])
        return f"{server.partition(' (')[0]}, {spatial}"

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        with self._opening_lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _in_one_transaction(self, work: Callable[[Transaction], Result], *, write: bool) -> Result:
        with self._open_pool().connection() as connection:
            connection.read_only = not write
            set_for_transaction(connection, self._settings)
            return work(PostgisTransaction(connection))

    def _changed_when_unlocked(self, change: SchemaChange) -> None:
        limit = self._limits.schema_change
        watch = LockWatch(self._connect, self._limits.lock / 2)

        def attempt() -> None:
            try:
                self._change_in_transaction(change, watch)
            except psycopg.errors.LockNotAvailable:
                logger.warning(
                    "%s: %s waits for %s; trying again, for up to %g s in all",
                    self.url,
                    change.purpose,
                    self._address.masked(listed(watch.blockers)),
                    limit,
                )
                raise

        try:
            with_retries(
                attempt,
                # Pauses in which the readers that queued behind us are served.
                backoff=Backoff(first=1.0, largest=10.0, time_limit=limit),
                errors=(psycopg.errors.LockNotAvailable,),
            )
        except psycopg.errors.LockNotAvailable as error:
            blockers = listed(watch.blockers)
            message = (
                f"{self.url}: {change.purpose} needs a lock, and for {limit:g} s it was "
                f"held by {blockers}. Let that session end its transaction, or end it (SELECT "
                "pg_terminate_backend(pid)), and start again; nothing of this step was changed"
            )
            raise DatabaseError(self._address.masked(message)) from error

    def _change_in_transaction(self, change: SchemaChange, watch: LockWatch) -> None:
        with watch, self._open_pool().connection() as connection:
            connection.read_only = False
            lock_timeout = f"{round(self._limits.lock * 1000)}ms"
            set_for_transaction(connection, {**self._settings, "lock_timeout": lock_timeout})
            transaction = PostgisTransaction(connection)
            pid = int(str(transaction.run("SELECT pg_backend_pid()")[0][0]))
            with watch.watching(pid):
                transaction.lock({"schema": True})
                change.work(transaction)

    def _retried(self, work: Callable[[], Result]) -> Result:
        limits = self._limits
        total = limits.retry if self._pool else min(limits.retry, limits.first_answer)
        backoff = Backoff(first=0.05, largest=1.0, total=total)
        said: set[str] = set()

        def passes(error: Exception) -> bool:
            if may_pass(error) and not said and total > Limits.retry:
                said.add("waiting")
                text = self._address.masked(" ".join(str(error).split()))
                logger.warning("%s: trying again for up to %.0f s: %s", self.url, total, text)
            return may_pass(error)

        try:
            return with_retries(work, backoff=backoff, errors=(psycopg.Error,), may_pass=passes)
        except psycopg.Error as error:
            raise DatabaseError(self._message_for(error)) from error

    def _open_pool(self) -> ConnectionPool[Connection]:
        """Open the pool, after a single connection, which gives a clear error if it fails."""
        with self._opening_lock:
            if self._pool is None:
                with self._connect() as connection:
                    search_path = self._address.prepare(connection)
                self._settings = {
                    "statement_timeout": f"{round(self._limits.statement * 1000)}ms",
                    "TimeZone": "UTC",
                    "search_path": search_path,
                }
                self._pool = ConnectionPool(
                    kwargs={**self._address.arguments, **self._connection_settings()},
                    connection_class=Connection.answering_within(self._limits.connect),
                    configure=self._configure,
                    check=self._check,  # so that a restarted server is not an error
                    min_size=0,
                    max_size=self._limits.pool_size,
                    timeout=self._limits.pool_wait,
                    name="spatial_assets",
                    open=True,
                )
            return self._pool

    def _connect(self) -> Connection:
        prompt = Connection.answering_within(self._limits.answer)
        return prompt.connect(**self._address.arguments, **self._connection_settings())

    def _connection_settings(self) -> dict[str, Any]:
        return {
            "connect_timeout": max(1, round(self._limits.connect)),
            "keepalives_idle": 30,  # detects a vanished peer within a minute
            "prepare_threshold": None,  # a pooler gives the next transaction another session
        }

    def _configure(self, connection: Connection) -> None:
        """Give a new connection, once it is made, the longer timeout of statements."""
        connection.answer_within = self._limits.answer

    def _check(self, connection: Connection) -> None:
        """Refuse a dead connection, within the timeout for a new one."""
        with connection.with_timeout(self._limits.connect):
            ConnectionPool.check_connection(connection)

    def _message_for(self, error: psycopg.Error) -> str:
        """Message for an error with the remedy, without the password."""
        if isinstance(error, PoolTimeout | PoolClosed):
            message = f"no connection was free within {self._limits.pool_wait:g} s"
            remedy = f"pool_size is {self._limits.pool_size}: raise it, or check for a long query"
        else:
            message = " ".join(str(error).split()) or type(error).__name__
            remedy = next(
                (text for kind, text in REMEDIES.items() if isinstance(error, kind)),
                "check the server, and the URL in $SPATIAL_ASSETS_DATABASE_URL",
            )
        return self._address.masked(f"{self.url}: {message}; {remedy}")


def set_for_transaction(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set these until the transaction ends, in one statement, which begins it.

    By statement, since a pooler may refuse the options of a connection.
    """
    each = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    values = [text for setting in settings.items() for text in setting]
    connection.execute(f"SELECT {each}".encode(), values)


def may_pass(error: Exception) -> bool:
    """Return True if a retry may succeed."""
    if isinstance(error, PoolTimeout | PoolClosed) or not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:  # raised while connecting, or not by a server: the connection is lost
        refused = any(sign in str(error) for sign in REFUSALS)
        return isinstance(error, psycopg.OperationalError) and not refused
    return state in MAY_PASS or state.startswith("08")
