"""PostGIS: pooled psycopg 3 connections, advisory locks, and rows loaded by binary COPY.

What may pass (a deadlock, a lost connection, a server that restarts) is tried again, which is
harmless because every change is. The password is in no message.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from geoalchemy2 import Geometry
from psycopg import sql
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.batches import Batch, encoded
from spatial_assets.stores.ddl import POSTGIS, PostgisDialect
from spatial_assets.stores.migrations import MIGRATIONS, Migration
from spatial_assets.stores.postgis_address import address_of
from spatial_assets.stores.postgis_connection import PromptConnection
from spatial_assets.stores.relational import RelationalDatabase
from spatial_assets.stores.retries import Backoff, retried
from spatial_assets.stores.transactions import Transaction, lock_number

Result = TypeVar("Result")
Connection = PromptConnection

MAY_PASS = {
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53300",  # too many connections
    "57P01",  # the server is shut down by its operator
    "57P02",  # the server crashed
    "57P03",  # the server is starting
}
REFUSALS = ("authentication failed", "does not exist", "no pg_hba.conf entry")
INCOMING = "rows to load"
COPY_TYPES: Mapping[type, str] = {
    sa.Text: "text",
    sa.Double: "float8",
    sa.Integer: "int4",
    sa.BigInteger: "int8",
    sa.Boolean: "bool",
    sa.Date: "date",
    sa.DateTime: "timestamptz",
    sa.JSON: "jsonb",
    Geometry: "bytea",  # EWKB is what PostGIS receives as a geometry
}
REMEDIES: Mapping[type[psycopg.Error], str] = {
    psycopg.errors.UndefinedTable: "call ensure_schema first, or run `spatial-assets check`",
    psycopg.errors.QueryCanceled: "it took too long: look for a lock, or raise the timeout",
    psycopg.errors.InsufficientPrivilege: "grant this user the right, or use another",
    psycopg.errors.InvalidCatalogName: "create the database: createdb, or CREATE DATABASE",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of a server is used, and how long is waited; times in seconds."""

    pool_size: int = 4
    """Most connections at a time."""

    connect: float = 10.0
    statement: float = 300.0
    wait: float = 60.0
    """For a connection that others of this process use."""

    patience: float = 6.0
    """For what may pass; a server that restarts is back, and a person is still there."""

    @property
    def answer(self) -> float:
        """The server ends a statement itself, and has as long as for connecting to say so."""
        return self.statement + self.connect


class PostgisTransaction:
    """An open transaction on a connection of the pool."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def dialect(self) -> PostgisDialect:
        """PostgreSQL's words."""
        return POSTGIS

    def run(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Execute one statement; what it returns."""
        # A raw cursor takes $1 as PostgreSQL has it, and leaves % in names alone.
        with psycopg.RawCursor(self._connection) as cursor:
            cursor.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def load(self, batch: Batch) -> None:
        """Append rows to their table by binary COPY."""
        self._copy(batch, sql.Identifier(batch.table.name))

    @contextmanager
    def staged(self, batch: Batch) -> Iterator[sa.TableClause]:
        """Rows as a temporary table."""
        target, staged = sql.Identifier(batch.table.name), sql.Identifier("pg_temp", INCOMING)
        create = sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {}) ON COMMIT DROP")
        self._connection.execute(create.format(sql.Identifier(INCOMING), target))
        self._copy(batch, staged)
        columns = [sa.column(each.name, each.type) for each in batch.table.columns]
        yield sa.table(INCOMING, *columns, schema="pg_temp")
        self._connection.execute(sql.SQL("DROP TABLE {}").format(staged))

    def _copy(self, batch: Batch, target: sql.Identifier) -> None:
        columns = [batch.table.c[name] for name in batch.columns]
        command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
            target, sql.SQL(", ").join(sql.Identifier(each.name) for each in columns)
        )
        values = [copied(each, batch.columns[each.name]) for each in columns]
        with self._connection.cursor() as cursor, cursor.copy(command) as copy:
            copy.set_types([COPY_TYPES[type(each.type)] for each in columns])
            for row in zip(*values, strict=True):
                copy.write_row(row)

    def lock(self, names: Mapping[str, bool]) -> None:
        """Wait until these names are ours until the end, in the same order in every process."""
        numbers = sorted((lock_number(name), alone) for name, alone in names.items())
        for number, alone in numbers:
            how = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
            self.run(f"SELECT {how}(hashtextextended(current_schema(), $1))", [number])

    def relations(self) -> dict[str, dict[str, str]]:
        """Tables and views there are: name -> column -> type."""
        rows = self.run(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) "
            "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) "
            "AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped"
        )
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in rows:
            found.setdefault(str(table), {})[str(column)] = str(kind)
        return found

    def make_room(self) -> None:
        """Nothing: the schema was made when connecting."""

    def refresh_statistics(self, table: sa.Table) -> None:
        """Let the planner know that all rows are new, before the next query asks it."""
        self._connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table.name)))


class PostgisDatabase(RelationalDatabase):
    """A PostGIS database; the first use connects."""

    def __init__(
        self,
        url: str,
        limits: Limits = Limits(),
        *,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        self._address = address_of(url)
        super().__init__(self._address.shown, migrations)
        self._limits = limits
        self._pool: ConnectionPool[Connection] | None = None
        self._opening = threading.Lock()
        self._backoff = Backoff(first=0.05, largest=1.0, patience=limits.patience)

    def within(self, work: Callable[[Transaction], Result], *, write: bool) -> Result:
        """Do `work` in a transaction; again, on another connection, if it fails in passing."""
        return self._tried(lambda: self._once(work, write=write))

    def spatial_version(self) -> str:
        """Versions of PostgreSQL and PostGIS, and of the GEOS and PROJ it is built on."""
        rows = self.within(
            lambda open_: open_.run("SELECT version(), postgis_full_version()"), write=False
        )
        server, spatial = (str(value) for value in rows[0])
        return f"{server.partition(' (')[0]}, {spatial}"

    def close(self) -> None:
        """Close all connections; the next use opens them again."""
        with self._opening:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _once(self, work: Callable[[Transaction], Result], *, write: bool) -> Result:
        with self._opened().connection() as connection:
            connection.read_only = not write
            return work(PostgisTransaction(connection))

    def _tried(self, work: Callable[[], Result]) -> Result:
        try:
            return retried(work, may_pass, backoff=self._backoff, kinds=(psycopg.Error,))
        except psycopg.Error as error:
            raise DatabaseError(self._explained(error)) from error

    def _opened(self) -> ConnectionPool[Connection]:
        """The pool; at first one connection alone says clearly what is wrong with the server."""
        with self._opening:
            if self._pool is None:
                with self._connect() as connection:
                    self._address.prepare(connection)
                self._pool = ConnectionPool(
                    kwargs={**self._address.arguments, **self._connection_settings()},
                    connection_class=Connection.answering_within(self._limits.connect),
                    configure=self._configure,
                    check=self._check,  # a restarted server is not an error
                    min_size=0,
                    max_size=self._limits.pool_size,
                    timeout=self._limits.wait,
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
            "keepalives_idle": 30,  # a peer that vanished is noticed within a minute
        }

    def _configure(self, connection: Connection) -> None:
        """Settings of a new connection; by statement, as a pooler between may refuse options."""
        settings = {
            "statement_timeout": f"{round(self._limits.statement * 1000)}ms",
            "TimeZone": "UTC",
            "search_path": self._address.search_path(connection),
        }
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.commit()
        connection.answer_within = self._limits.answer

    def _check(self, connection: Connection) -> None:
        """Refuse a connection that is dead, in the time that a new one takes."""
        with connection.hurried(self._limits.connect):
            ConnectionPool.check_connection(connection)

    def _explained(self, error: psycopg.Error) -> str:
        """What an error means and what to do, without the password."""
        if isinstance(error, PoolTimeout | PoolClosed):
            told = f"no connection was free within {self._limits.wait:g} s"
            remedy = f"pool_size is {self._limits.pool_size}: raise it, or look for a long query"
        else:
            told = " ".join(str(error).split()) or type(error).__name__
            remedy = next(
                (text for kind, text in REMEDIES.items() if isinstance(error, kind)),
                "check the server, and the URL in $SPATIAL_ASSETS_DATABASE_URL",
            )
        return self._address.masked(f"{self.url}: {told}; {remedy}")


def copied(column: sa.Column[object], values: Sequence[object]) -> Sequence[object]:
    """Values of a column as COPY takes them."""
    if isinstance(column.type, Geometry):
        return encoded(values, srid=True)
    if isinstance(column.type, sa.JSON):
        return [None if value is None else Jsonb(value, dumps=str) for value in values]
    return values


def may_pass(error: Exception) -> bool:
    """Whether an error may be gone the next time."""
    if isinstance(error, PoolTimeout | PoolClosed) or not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:  # said while connecting, or not by a server: the connection is lost
        refused = any(sign in str(error) for sign in REFUSALS)
        return isinstance(error, psycopg.OperationalError) and not refused
    return state in MAY_PASS or state.startswith("08")
