"""DuckDB with its spatial extension: one file, opened only for as long as a transaction takes.

One process at a time may have the file open for writing, so it is attached briefly to a database
in memory, and attaching is tried again while others hold it. Attaching, rather than opening,
because the extension must be loaded before the log of a killed writer is read.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from geoalchemy2 import Geometry

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.batches import Batch, encoded
from spatial_assets.stores.ddl import DUCKDB, DuckDialect, quoted
from spatial_assets.stores.migrations import MIGRATIONS, Migration
from spatial_assets.stores.relational import RelationalDatabase
from spatial_assets.stores.retries import Backoff, retried
from spatial_assets.stores.transactions import Transaction

Result = TypeVar("Result")

EXTENSION = "duckdb_extension_spatial"
INCOMING = "rows to load"
STORAGE = "STORAGE_VERSION 'v1.5.0'"  # the oldest that keeps the reference system of a column
HELD_BY_OTHERS = ("Could not set lock", "Conflicting lock", "Unique file handle conflict")
SETTINGS = {
    # Nothing is fetched behind our back: the extension comes as a package, or not at all.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # A table that is not there is an error, even if a Python variable has its name.
    "python_enable_replacements": "false",
    # Tables here are small beside pixels; past this DuckDB spills to a folder beside the file.
    "memory_limit": "1GB",
}
ARROW_TYPES: Mapping[type, pa.DataType] = {
    sa.Text: pa.string(),
    sa.Double: pa.float64(),
    sa.Integer: pa.int64(),
    sa.BigInteger: pa.int64(),
    sa.Boolean: pa.bool_(),
    sa.Date: pa.date32(),
    sa.DateTime: pa.timestamp("us", "UTC"),
    sa.JSON: pa.string(),
    Geometry: pa.binary(),
}

# A file opened twice by one process loses its lock when either is closed (POSIX), and DuckDB
# looks into the file before it notices. So threads of this process wait here instead.
_turns: dict[Path, threading.Lock] = {}
_turns_lock = threading.Lock()


class DuckTransaction:
    """An open transaction on the attached file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    @property
    def dialect(self) -> DuckDialect:
        """DuckDB's words."""
        return DUCKDB

    def run(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Execute one statement; what it returns."""
        # By Arrow, because fetchall() needs pytz for a moment in time.
        table = self._connection.execute(sql, list(values)).to_arrow_table()
        columns = [column.to_pylist() for column in table.columns]
        return list(zip(*columns, strict=True))

    def load(self, batch: Batch) -> None:
        """Append rows to their table."""
        names = {name: quoted(name, DUCKDB) for name in batch.columns}
        sources = [
            f"ST_GeomFromWKB({quote})" if is_geometry(batch.table.c[name]) else quote
            for name, quote in names.items()
        ]
        with self.staged(batch):
            # Qualified on both sides: a boundary set may have any name, this one included.
            self._connection.execute(
                f"INSERT INTO store.main.{quoted(batch.table.name, DUCKDB)} "  # noqa: S608 - quoted
                f"({', '.join(names.values())}) "
                f"SELECT {', '.join(sources)} FROM temp.{quoted(INCOMING, DUCKDB)}"
            )

    @contextmanager
    def staged(self, batch: Batch) -> Iterator[sa.TableClause]:
        """Rows as a table of their own, read from Arrow; geometries are WKB."""
        arrays = [
            pa.array(arrow_values(batch, name), ARROW_TYPES[type(batch.table.c[name].type)])
            for name in batch.columns
        ]
        self._connection.register(INCOMING, pa.table(arrays, names=list(batch.columns)))
        try:
            columns = [sa.column(each.name, each.type) for each in batch.table.columns]
            yield sa.table(INCOMING, *columns, schema="temp")
        finally:
            self._connection.unregister(INCOMING)

    def lock(self, names: Mapping[str, bool]) -> None:
        """Nothing: nobody else can write."""

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

    def make_room(self) -> None:
        """Nothing: a file has its schema."""

    def refresh_statistics(self, table: sa.Table) -> None:
        """Nothing: DuckDB keeps them."""


class DuckDatabase(RelationalDatabase):
    """One DuckDB file."""

    def __init__(
        self, path: str, *, patience: float = 60.0, migrations: Sequence[Migration] = MIGRATIONS
    ) -> None:
        if not path or ":memory:" in path:
            raise DatabaseError(
                "duckdb:///: wanted a file, as several processes and runs share it; "
                "e.g. duckdb:///data/spatial.duckdb"
            )
        self._path = Path(path).resolve()
        super().__init__(f"duckdb:///{self._path}", migrations)
        self._patience = patience
        self._memory: duckdb.DuckDBPyConnection | None = None

    def within(self, work: Callable[[Transaction], Result], *, write: bool) -> Result:
        """Do `work` in a transaction on the file; the file is made by the first that writes."""
        try:
            with self._attached(write=write) as connection:
                connection.execute("BEGIN")
                result = work(DuckTransaction(connection))
                connection.execute("COMMIT")
        except duckdb.Error as error:
            raise DatabaseError(f"{self.url}: {explained(error)}") from error
        return result

    def spatial_version(self) -> str:
        """Versions of DuckDB and of its spatial extension."""
        with turn(self._path, self._patience):
            found = self._instance().execute(
                "SELECT extension_version FROM duckdb_extensions() WHERE extension_name = 'spatial'"
            )
            version = found.fetchone()
        return f"DuckDB {duckdb.__version__}, spatial {version[0] if version else 'missing'}"

    def close(self) -> None:
        """Let go of the database in memory; the file is not held anyway."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    @contextmanager
    def _attached(self, *, write: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """The file, attached and current; dropped with all that was begun if anything fails."""
        with turn(self._path, self._patience):
            if write:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = self._instance()
            done = False
            try:
                if write or self._path.exists():
                    self._attach(connection, write=write)
                else:
                    connection.execute("ATTACH ':memory:' AS store")
                connection.execute("USE store")
                yield connection
                connection.execute("USE memory")
                connection.execute("DETACH store")
                done = True
            finally:
                if not done:
                    # Closing rolls back and lets go of the file, whatever state it is in.
                    self.close()

    def _attach(self, connection: duckdb.DuckDBPyConnection, *, write: bool) -> None:
        mode = STORAGE if write else "READ_ONLY"
        retried(
            lambda: connection.execute(f"ATTACH {literal(str(self._path))} AS store ({mode})"),
            is_held_by_others,
            backoff=Backoff(first=0.01, largest=0.5, patience=self._patience),
            kinds=(duckdb.Error,),
        )

    def _instance(self) -> duckdb.DuckDBPyConnection:
        """A database in memory with the extension loaded; 110 ms, so it is kept."""
        if self._memory is None:
            config: dict[str, str | bool | int | float | list[str]] = dict(SETTINGS)
            config["temp_directory"] = f"{self._path}.tmp"
            memory = duckdb.connect(":memory:", config=config)
            memory.execute(f"LOAD {literal(str(extension_file()))}")
            self._memory = memory
        return self._memory


@contextmanager
def turn(path: Path, patience: float) -> Iterator[None]:
    """Let one thread of this process at a time have the file."""
    with _turns_lock:
        mine = _turns.setdefault(path, threading.Lock())
    if not mine.acquire(timeout=patience):
        raise DatabaseError(f"duckdb:///{path}: another thread held it for {patience:g} s")
    try:
        yield
    finally:
        mine.release()


def extension_file() -> Path:
    """The spatial extension for this very version of DuckDB, from its package.

    Raises:
        DatabaseError: there is none.
    """
    package = importlib.util.find_spec(EXTENSION)
    for folder in (package.submodule_search_locations if package else None) or ():
        for found in Path(folder).rglob("spatial.duckdb_extension"):
            if found.parent.name == f"v{duckdb.__version__}":
                return found
    raise DatabaseError(
        f"DuckDB {duckdb.__version__} has no spatial extension here; install the pair "
        f"duckdb=={duckdb.__version__} duckdb-extension-spatial=={duckdb.__version__}"
    )


def arrow_values(batch: Batch, name: str) -> Sequence[object]:
    """Values of a column as Arrow takes them."""
    values = batch.columns[name]
    if not is_geometry(batch.table.c[name]):
        return values
    return encoded(values, srid=False)


def is_geometry(column: sa.Column[object]) -> bool:
    """Whether a column holds geometries."""
    return isinstance(column.type, Geometry)


def literal(text: str) -> str:
    """A string where DuckDB takes no parameter: in LOAD and ATTACH."""
    return "'" + text.replace("'", "''") + "'"


def is_held_by_others(error: Exception) -> bool:
    """Whether the file is open elsewhere."""
    return any(sign in str(error) for sign in HELD_BY_OTHERS)


def explained(error: duckdb.Error) -> str:
    """What a DuckDB error means, and what to do."""
    told = str(error).partition("\n")[0]
    if is_held_by_others(error):
        return f"{told}. Another process holds the file: close it, or use PostGIS to share"
    if isinstance(error, duckdb.CatalogException):
        return f"{told}. Call ensure_schema first, or run `spatial-assets check`"
    return told
