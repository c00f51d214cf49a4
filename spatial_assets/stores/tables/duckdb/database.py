"""DuckDB with its spatial extension: transactions on one file, rows loaded through Arrow.

`file` attaches the file, and shares it with other processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from geoalchemy2 import Geometry

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.tables.batches import Batch, encoded
from spatial_assets.stores.tables.columns import LocalDateTime
from spatial_assets.stores.tables.database import Database
from spatial_assets.stores.tables.ddl import DUCKDB_DIALECT, DuckDialect, quoted
from spatial_assets.stores.tables.duckdb.file import DuckFile, holder_of, is_locked_elsewhere
from spatial_assets.stores.tables.schema import MIGRATIONS, Migration
from spatial_assets.stores.tables.schema_changes import SchemaChange
from spatial_assets.stores.tables.transactions import (
    COMPARED_VIEW,
    STAGED_ROWS,
    Transaction,
    ViewState,
)

Result = TypeVar("Result")

ARROW_TYPES: Mapping[type, pa.DataType] = {
    sa.Text: pa.string(),
    sa.Double: pa.float64(),
    sa.Integer: pa.int64(),
    sa.BigInteger: pa.int64(),
    sa.Boolean: pa.bool_(),
    sa.Date: pa.date32(),
    sa.DateTime: pa.timestamp("us", "UTC"),
    LocalDateTime: pa.timestamp("us"),
    sa.JSON: pa.string(),
    Geometry: pa.binary(),
}


class DuckTransaction:
    """An open transaction on the attached file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    @property
    def dialect(self) -> DuckDialect:
        """SQL dialect of DuckDB."""
        return DUCKDB_DIALECT

    def run(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Execute one statement; return its rows."""
        # By Arrow, because fetchall() needs pytz for timestamps.
        table = self._connection.execute(sql, list(values)).to_arrow_table()
        columns = [column.to_pylist() for column in table.columns]
        return list(zip(*columns, strict=True))

    def load(self, batch: Batch) -> None:
        """Append rows to their table."""
        names = {name: quoted(name, DUCKDB_DIALECT) for name in batch.columns}
        sources = [
            f"ST_GeomFromWKB({quote})" if is_geometry(batch.table.c[name]) else quote
            for name, quote in names.items()
        ]
        with self.staged(batch):
            # Qualified on both sides: a boundary set may have any name, this one included.
            self._connection.execute(
                f"INSERT INTO store.main.{quoted(batch.table.name, DUCKDB_DIALECT)} "  # noqa: S608 - quoted
                f"({', '.join(names.values())}) "
                f"SELECT {', '.join(sources)} FROM temp.{quoted(STAGED_ROWS, DUCKDB_DIALECT)}"
            )

    @contextmanager
    def staged(self, batch: Batch) -> Iterator[sa.TableClause]:
        """Rows as a temporary table, read from Arrow; geometries are WKB."""
        arrays = [
            pa.array(arrow_values(batch, name), ARROW_TYPES[type(batch.table.c[name].type)])
            for name in batch.columns
        ]
        self._connection.register(STAGED_ROWS, pa.table(arrays, names=list(batch.columns)))
        try:
            columns = [sa.column(each.name, each.type) for each in batch.table.columns]
            yield sa.table(STAGED_ROWS, *columns, schema="temp")
        finally:
            self._connection.unregister(STAGED_ROWS)

    def lock(self, names: Mapping[str, bool]) -> None:
        """Do nothing: no other process can write."""

    def relations(self) -> dict[str, dict[str, str]]:
        """Tables and views there are: name -> column -> type."""
        rows = self.run(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = 'store' AND schema_name = 'main'"
        )
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in rows:
            found.setdefault(str(table), {})[str(column)] = str(kind)
        return found

    def indexes(self) -> set[str]:
        """Return no names: DuckDB gets no index but the key."""
        return set()

    def comments(self) -> dict[tuple[str, str], str]:
        """(Table, column) -> comment; the column is "" for the table itself."""
        rows = self.run(
            "SELECT table_name, column_name, comment FROM duckdb_columns() "
            "WHERE database_name = 'store' AND schema_name = 'main' AND comment IS NOT NULL "
            "UNION ALL SELECT table_name, '', comment FROM duckdb_tables() "
            "WHERE database_name = 'store' AND schema_name = 'main' AND comment IS NOT NULL"
        )
        return {(str(table), str(column)): str(text) for table, column, text in rows}

    def view_state(self, name: str, query: str) -> ViewState:
        """Compare a view with a temporary one of the declared query, as DuckDB stores both."""
        found = self._stored_query("store", name)
        if found is None:
            return "missing"
        compared = quoted(COMPARED_VIEW, DUCKDB_DIALECT)
        self.run(f"CREATE TEMPORARY VIEW {compared} AS {query}")
        wanted = self._stored_query("temp", COMPARED_VIEW)
        self.run(f"DROP VIEW temp.{compared}")
        return "same" if found == wanted else "other_query"

    def _stored_query(self, database: str, name: str) -> str | None:
        rows = self.run(
            "SELECT sql FROM duckdb_views() "
            "WHERE database_name = $1 AND schema_name = 'main' AND view_name = $2",
            [database, name],
        )
        return str(rows[0][0]).partition(" AS ")[2] if rows else None

    def grants(self, name: str) -> list[str]:  # noqa: ARG002 - a file has no users
        """Return no statement: DuckDB has no users."""
        return []

    def create_schema(self) -> None:
        """Do nothing: a file has its schema."""

    @contextmanager
    def filling(self, table: sa.Table) -> Iterator[None]:  # noqa: ARG002 - nothing to do
        """Do nothing: there is no index but the key, and DuckDB maintains its statistics."""
        yield


class DuckDatabase(Database):
    """A DuckDB file as a database."""

    def __init__(
        self, path: str, *, lock_timeout: float = 60.0, migrations: Sequence[Migration] = MIGRATIONS
    ) -> None:
        if not path or ":memory:" in path:
            raise DatabaseError(
                "duckdb:///: wanted a file, since several processes and runs share it; "
                "e.g. duckdb:///data/spatial.duckdb"
            )
        file = Path(path).resolve()
        super().__init__(f"duckdb:///{file}", migrations)
        self._file = DuckFile(file, lock_timeout)

    def in_transaction(self, work: Callable[[Transaction], Result], *, write: bool) -> Result:
        """Do `work` in a transaction on the file; the first writer creates the file."""
        with self._translated_errors(), self._file.attached(write=write) as connection:
            connection.execute("BEGIN")
            result = work(DuckTransaction(connection))
            connection.execute("COMMIT")
        return result

    def change_schema(self, changes: Iterable[SchemaChange]) -> None:
        """Make all changes in one transaction: nobody else can have the file open meanwhile."""

        def make_all(transaction: Transaction) -> None:
            for change in changes:
                change.work(transaction)

        self.in_transaction(make_all, write=True)

    @contextmanager
    def keep_open(self) -> Iterator[None]:
        """Keep the file attached between transactions of this block while nobody requests it."""
        with self._translated_errors(), self._file.kept():
            yield

    def spatial_version(self) -> str:
        """Versions of DuckDB and of its spatial extension."""
        with self._translated_errors():
            return self._file.spatial_version()

    def close(self) -> None:
        """Close the in-memory database, and the file if it is kept."""
        self._file.close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise DatabaseError(f"{self.url}: {explained(error)}") from error


def arrow_values(batch: Batch, name: str) -> Sequence[object]:
    """Values of a column as Arrow accepts them."""
    values = batch.columns[name]
    if not is_geometry(batch.table.c[name]):
        return values
    return encoded(values, srid=False)


def is_geometry(column: sa.Column[object]) -> bool:
    """Return True if a column holds geometries."""
    return isinstance(column.type, Geometry)


def explained(error: duckdb.Error) -> str:
    """Message for a DuckDB error, with the remedy."""
    if is_locked_elsewhere(error):
        return f"the file is held by {holder_of(error)}: close it there, or use PostGIS to share"
    message = str(error).partition("\n")[0]
    if isinstance(error, duckdb.CatalogException):
        return f"{message}. Call ensure_schema first, or run `spatial-assets check`"
    return message
