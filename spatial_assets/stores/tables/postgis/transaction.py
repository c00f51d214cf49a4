"""A transaction on PostGIS: advisory locks, rows loaded by binary COPY, indexes built afterwards.

Connections and retries belong in `database`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa
from geoalchemy2 import Geometry
from psycopg import sql
from psycopg.types.json import Jsonb

from spatial_assets.stores.tables.batches import Batch, encoded
from spatial_assets.stores.tables.columns import LocalDateTime
from spatial_assets.stores.tables.ddl import POSTGIS_DIALECT, PostgisDialect
from spatial_assets.stores.tables.postgis.connection import PromptConnection
from spatial_assets.stores.tables.transactions import STAGED_ROWS, lock_number

COPY_TYPES: Mapping[type, str] = {
    sa.Text: "text",
    sa.Double: "float8",
    sa.Integer: "int4",
    sa.BigInteger: "int8",
    sa.Boolean: "bool",
    sa.Date: "date",
    sa.DateTime: "timestamptz",
    LocalDateTime: "timestamp",
    sa.JSON: "jsonb",
    Geometry: "bytea",  # PostGIS receives geometries as EWKB
}
COPY_BATCH_ROWS = 10_000
"""Rows encoded before they are sent; the server loads them while the next are encoded."""


class PostgisTransaction:
    """An open transaction on a connection of the pool."""

    def __init__(self, connection: PromptConnection) -> None:
        self._connection = connection

    @property
    def dialect(self) -> PostgisDialect:
        """SQL dialect of PostGIS."""
        return POSTGIS_DIALECT

    def run(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Execute one statement; return its rows."""
        # A raw cursor takes PostgreSQL's own $1, and leaves % in names alone.
        with psycopg.RawCursor(self._connection) as cursor:
            cursor.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def load(self, batch: Batch) -> None:
        """Append rows to their table by binary COPY."""
        self._copy(batch, sql.Identifier(batch.table.name))

    @contextmanager
    def staged(self, batch: Batch) -> Iterator[sa.TableClause]:
        """Rows as a temporary table."""
        target, staged = sql.Identifier(batch.table.name), sql.Identifier("pg_temp", STAGED_ROWS)
        create = sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {}) ON COMMIT DROP")
        self._connection.execute(create.format(sql.Identifier(STAGED_ROWS), target))
        self._copy(batch, staged)
        columns = [sa.column(each.name, each.type) for each in batch.table.columns]
        yield sa.table(STAGED_ROWS, *columns, schema="pg_temp")
        self._connection.execute(sql.SQL("DROP TABLE {}").format(staged))

    @contextmanager
    def filling(self, table: sa.Table) -> Iterator[None]:
        """Write all rows of a table in this block; build its indexes afterwards if possible.

        Possible only if the table is empty and not in use: readers of rows about to be replaced
        never wait.
        """
        definitions = self._drop_indexes_if_empty(table)
        yield
        for definition in definitions:
            self._connection.execute(definition.encode())
        # The planner needs statistics of the new rows before the next query.
        self._connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table.name)))

    def _drop_indexes_if_empty(self, table: sa.Table) -> list[str]:
        """Drop the declared indexes of an empty table; return the statements that recreate them."""
        name = sql.Identifier(table.name)
        if self._connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(name)).fetchone():
            return []
        found = self._connection.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
            "JOIN pg_class c ON c.oid = indexrelid "
            "WHERE indrelid = %s::regclass AND NOT indisunique AND relname = ANY(%s)",
            [name.as_string(self._connection), [str(each.name) for each in table.indexes]],
        ).fetchall()
        try:
            with self._connection.transaction():
                self._connection.execute(
                    sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE NOWAIT").format(name)
                )
                for index, _ in found:
                    self._connection.execute(f"DROP INDEX {index}".encode())
        except (psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientPrivilege):
            return []
        return [str(definition) for _, definition in found]

    def _copy(self, batch: Batch, target: sql.Identifier) -> None:
        columns = [batch.table.c[name] for name in batch.columns]
        command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
            target, sql.SQL(", ").join(sql.Identifier(each.name) for each in columns)
        )
        with self._connection.cursor() as cursor, cursor.copy(command) as copy:
            copy.set_types([COPY_TYPES[type(each.type)] for each in columns])
            for start in range(0, len(batch), COPY_BATCH_ROWS):
                batch_rows = slice(start, start + COPY_BATCH_ROWS)
                values = [copied(each, batch.columns[each.name][batch_rows]) for each in columns]
                for row in zip(*values, strict=True):
                    copy.write_row(row)

    def lock(self, names: Mapping[str, bool]) -> None:
        """Lock these names until the end, in the same order in every process."""
        numbers = sorted((lock_number(name), exclusive) for name, exclusive in names.items())
        for number, exclusive in numbers:
            function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
            self.run(f"SELECT {function}(hashtextextended(current_schema(), $1))", [number])

    def relations(self) -> dict[str, dict[str, str]]:
        """Existing tables and views: name -> column -> type."""
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

    def create_schema(self) -> None:
        """Do nothing: connecting created the schema."""


def copied(column: sa.Column[object], values: Sequence[object]) -> Sequence[object]:
    """Values of a column as COPY accepts them."""
    if isinstance(column.type, Geometry):
        return encoded(values, srid=True)
    if isinstance(column.type, sa.JSON):
        return [None if value is None else Jsonb(value, dumps=str) for value in values]
    return values
