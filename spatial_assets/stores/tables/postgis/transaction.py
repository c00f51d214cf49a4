"""A transaction on PostGIS: advisory locks, rows loaded by binary COPY, what the catalogue holds.

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
from spatial_assets.stores.tables.transactions import (
    COMPARED_VIEW,
    STAGED_ROWS,
    ViewState,
    lock_number,
)

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
OF_OUR_SCHEMA = "c.relnamespace = to_regnamespace(quote_ident(current_schema()))"
"""Condition on `pg_class c`: the object lies in the schema of our tables."""

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
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) "  # noqa: S608 - ours
            "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            f"WHERE {OF_OUR_SCHEMA} "
            "AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped"
        )
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in rows:
            found.setdefault(str(table), {})[str(column)] = str(kind)
        return found

    def indexes(self) -> set[str]:
        """Names of the existing indexes."""
        rows = self.run(
            "SELECT c.relname FROM pg_class c "  # noqa: S608 - ours
            f"WHERE {OF_OUR_SCHEMA} AND c.relkind IN ('i', 'I')"
        )
        return {str(name) for (name,) in rows}

    def comments(self) -> dict[tuple[str, str], str]:
        """(Table, column) -> comment; the column is "" for the table itself."""
        rows = self.run(
            "SELECT c.relname, coalesce(a.attname, ''), d.description "  # noqa: S608 - ours
            "FROM pg_class c "
            "JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass "
            "LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid "
            f"AND a.attnum > 0 WHERE {OF_OUR_SCHEMA}"
        )
        return {(str(table), str(column)): str(text) for table, column, text in rows}

    def view_state(self, name: str, query: str) -> ViewState:
        """Compare a view with a temporary one of the declared query, as PostgreSQL stores both."""
        found = self._stored_view(name, OF_OUR_SCHEMA)
        if found is None:
            return "missing"
        compared = self.dialect.identifier_preparer.quote_identifier(COMPARED_VIEW)
        self.run(f"CREATE TEMPORARY VIEW {compared} AS {query}")
        wanted = self._stored_view(COMPARED_VIEW, "c.relnamespace = pg_my_temp_schema()")
        self.run(f"DROP VIEW pg_temp.{compared}")
        assert wanted is not None  # noqa: S101 - for mypy
        if found == wanted:
            return "same"
        columns, declared = found[1], wanted[1]
        return "other_query" if declared[: len(columns)] == columns else "other_columns"

    def _stored_view(self, name: str, where: str) -> tuple[str, list[str]] | None:
        """Query of a view as PostgreSQL stores it, and its columns with their types, in order."""
        rows = self.run(
            "SELECT pg_get_viewdef(c.oid), "  # noqa: S608 - ours
            "ARRAY(SELECT format('%I %s', a.attname, "
            "format_type(a.atttypid, a.atttypmod)) FROM pg_attribute a WHERE a.attrelid = c.oid "
            "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) "
            f"FROM pg_class c WHERE c.relname = $1 AND c.relkind = 'v' AND {where}",
            [name],
        )
        if not rows:
            return None
        query, columns = rows[0]
        return str(query), [str(each) for each in columns] if isinstance(columns, list) else []

    def grants(self, name: str) -> list[str]:
        """Statements that grant again what others may do with a view, after it was dropped."""
        rows = self.run(
            "SELECT format('GRANT %s ON %I TO %s%s', privilege_type, c.relname, "  # noqa: S608 - ours
            "CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, "
            "CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) "
            "FROM pg_class c, aclexplode(c.relacl) "
            f"WHERE c.relname = $1 AND grantee <> c.relowner AND {OF_OUR_SCHEMA}",
            [name],
        )
        return [str(statement) for (statement,) in rows]

    def create_schema(self) -> None:
        """Do nothing: connecting created the schema."""


def copied(column: sa.Column[object], values: Sequence[object]) -> Sequence[object]:
    """Values of a column as COPY accepts them."""
    if isinstance(column.type, Geometry):
        return encoded(values, srid=True)
    if isinstance(column.type, sa.JSON):
        return [None if value is None else Jsonb(value, dumps=str) for value in values]
    return values
