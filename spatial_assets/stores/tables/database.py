"""What the product needs of a database, and how a URL becomes one.

Neither DuckDB nor a PostgreSQL driver is imported before a URL asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import DatabaseError
from spatial_assets.retries import answer_within
from spatial_assets.stores.rows import (
    BoundaryDeclaration,
    QuarantineRecord,
    RowChange,
    RowLike,
    RowsLike,
    TileState,
)

if TYPE_CHECKING:
    from spatial_assets.stores.tables.inspection import TableFacts


DUCKDB_PREFIX = "duckdb:///"
POSTGRES_PREFIXES = ("postgresql+psycopg://", "postgresql://", "postgres://")


class Database(Protocol):
    """Tables of boundaries, statistics, states and quarantine.

    Every change is one transaction, and harmless to make twice. May be used by several threads;
    not by a forked child.
    """

    @property
    def url(self) -> str:
        """Where it is, without its password."""

    def ensure_schema(
        self, boundaries: Sequence[BoundaryDeclaration] = (), indices: Sequence[str] = ()
    ) -> None:
        """Create what is missing for these, and for those named before; harmless twice or at once.

        Raises:
            DatabaseError: the schema is newer than this code, a table is not as declared, or
                there is no spatial extension.
        """

    def commit(self, changes: Sequence[RowChange]) -> None:
        """Make all changes, or none.

        Raises:
            DatabaseError: a row does not fit its table, or the database gave up.
        """

    def replace_tile(self, table: str, keys: Mapping[str, object], rows: RowsLike) -> None:
        """Let `rows` be the rows of `table` that have these keys."""

    def replace_all(self, table: str, rows: RowsLike) -> None:
        """Let `rows` be the rows of `table`."""

    def set_states(self, states: Iterable[TileState | RowLike]) -> None:
        """Write how stages of tiles ended; what did not change keeps its `since`."""

    def quarantine(self, records: Iterable[QuarantineRecord | RowLike]) -> None:
        """Write what is bad; what was in force keeps its `first_seen`."""

    def release(self, where: Mapping[str, object], *, now: datetime) -> int:
        """Let what matches go, and say how many there were in force."""

    def rows(
        self,
        table: str,
        where: Mapping[str, object] | None = None,
        *,
        intersecting: BaseGeometry | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[dict[str, object]]:
        """RowsLike of a table or view in the order of its key.

        Args:
            table: its name.
            where: column -> the value, or a list of values, it must have; None: null.
            intersecting: in lon/lat; only rows whose geometry intersects it.
            columns: only these, each combination of values once and in their order.
        """

    def has_table(self, table: str) -> bool:
        """Whether there is such a table or view yet."""

    def inspect_table(self, table: str) -> TableFacts:
        """What the database says of a declared table that has geometries."""

    def spatial_version(self) -> str:
        """Versions of the database, its spatial extension, and what that is built on."""

    def keep_open(self) -> AbstractContextManager[None]:
        """Many transactions follow each other in this block: it may be kept open between them.

        Other processes have their turn all the same.
        """

    def close(self) -> None:
        """Let go of connections."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def rows_if_any(
    database: Database, table: str, where: Mapping[str, object]
) -> list[dict[str, object]]:
    """RowsLike of a table; none where it was never made, and it is not made now."""
    return database.rows(table, where=where) if database.has_table(table) else []


def open_database(
    url: str,
    *,
    pool_size: int = 4,
    connect_timeout: float = 10.0,
    statement_timeout: float | None = None,
    lock_timeout: float = 60.0,
) -> Database:
    """The database a URL names; nothing is contacted or created before it is used.

    Args:
        url: `duckdb:///path` (four slashes: absolute) or `postgresql+psycopg://...`, there with
            `?schema=name` for tables elsewhere than in the user's first schema.
        pool_size: most connections to PostGIS at a time.
        connect_timeout: seconds for PostGIS to answer.
        statement_timeout: seconds a statement may take in PostGIS; default: what
            $SPATIAL_ASSETS_TIMEOUT says, else 300.
        lock_timeout: seconds to wait for a DuckDB file that others hold, or for a free connection.

    Raises:
        DatabaseError: the URL names neither.
        SettingsError: the variable is no number of seconds.
    """
    if url.startswith(DUCKDB_PREFIX):
        from spatial_assets.stores.tables.duckdb import DuckDatabase

        return DuckDatabase(url.removeprefix(DUCKDB_PREFIX), patience=lock_timeout)
    for prefix in POSTGRES_PREFIXES:
        if url.startswith(prefix):
            from spatial_assets.stores.tables.postgis import Limits, PostgisDatabase

            statement = statement_timeout or answer_within(os.environ, default=Limits.statement)
            limits = Limits(
                pool_size=pool_size,
                connect=min(connect_timeout, statement),
                statement=statement,
                wait=lock_timeout,
            )
            return PostgisDatabase(f"{POSTGRES_PREFIXES[0]}{url.removeprefix(prefix)}", limits)
    scheme = url.partition("://")[0] if "://" in url else "no scheme"
    raise DatabaseError(
        f"not a database URL ({scheme}): wanted duckdb:///path or "
        "postgresql+psycopg://user@host:5432/database"
    )
