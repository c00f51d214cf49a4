"""A database of tables: what PostGIS and DuckDB have in common.

Each of them only says how to run some work within a transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

from shapely.geometry.base import BaseGeometry

from spatial_assets.stores.rows import (
    BoundaryDeclaration,
    QuarantineRecord,
    Replace,
    ReplaceAll,
    RowChange,
    RowLike,
    RowsLike,
    TileState,
    Upsert,
)
from spatial_assets.stores.tables.declarations import Tables, declare
from spatial_assets.stores.tables.inspection import TableFacts, examine
from spatial_assets.stores.tables.schema import MIGRATIONS, Migration, bring_up_to_date, is_current
from spatial_assets.stores.tables.transactions import (
    Transaction,
    apply_all,
    prepared,
    release,
    select_rows,
)

Result = TypeVar("Result")


class RelationalDatabase(ABC):
    """What both databases do; see `Database` for what each method promises."""

    def __init__(self, url: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._url = url
        self._migrations = migrations
        self._boundaries: dict[str, BoundaryDeclaration] = {}
        self._indices: dict[str, None] = {}
        self._tables = declare((), ())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    @property
    def url(self) -> str:
        """Where it is, without its password."""
        return self._url

    @property
    def tables(self) -> Tables:
        """What has been declared."""
        return self._tables

    @abstractmethod
    def within(self, work: Callable[[Transaction], Result], *, write: bool) -> Result:
        """Do `work` in a transaction, again if it fails in a way that may pass."""

    @abstractmethod
    def spatial_version(self) -> str:
        """Versions of the database, its spatial extension, and what that is built on."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""

    @contextmanager
    def keep_open(self) -> Iterator[None]:
        """Many transactions follow each other in this block."""
        yield

    def ensure_schema(
        self, boundaries: Sequence[BoundaryDeclaration] = (), indices: Sequence[str] = ()
    ) -> None:
        """Create what is missing for these, and for those named before."""
        wanted = self._boundaries | {each.name: each for each in boundaries}
        every = self._indices | dict.fromkeys(indices)
        tables = declare(wanted.values(), every)
        self._boundaries, self._indices, self._tables = wanted, every, tables
        if self.within(lambda open_: is_current(open_, tables, self._migrations), write=False):
            return
        self.within(self._bring_up_to_date, write=True)

    def commit(self, changes: Sequence[RowChange]) -> None:
        """Make all changes, or none."""
        checked = [prepared(self._tables, change) for change in changes]
        if checked:
            self.within(lambda open_: apply_all(open_, checked), write=True)

    def replace_tile(self, table: str, keys: Mapping[str, object], rows: RowsLike) -> None:
        """Let `rows` be the rows of `table` that have these keys."""
        self.commit([Replace(table, keys, rows)])

    def replace_all(self, table: str, rows: RowsLike) -> None:
        """Let `rows` be the rows of `table`."""
        self.commit([ReplaceAll(table, rows)])

    def set_states(self, states: Iterable[TileState | RowLike]) -> None:
        """Write how stages of tiles ended."""
        self.commit([Upsert("tile_state", states)])

    def quarantine(self, records: Iterable[QuarantineRecord | RowLike]) -> None:
        """Write what is bad."""
        self.commit([Upsert("quarantine", records)])

    def release(self, where: Mapping[str, object], *, now: datetime) -> int:
        """Let what matches go, and say how many there were in force."""
        table = self._tables.table("quarantine")
        return self.within(lambda open_: release(open_, table, where, now=now), write=True)

    def rows(
        self,
        table: str,
        where: Mapping[str, object] | None = None,
        *,
        intersecting: BaseGeometry | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[dict[str, object]]:
        """RowsLike of a table or view in the order of its key."""
        readable = self._tables.readable(table)
        return self.within(
            lambda open_: select_rows(
                open_, readable, where=where or {}, intersecting=intersecting, columns=columns
            ),
            write=False,
        )

    def has_table(self, table: str) -> bool:
        """Whether there is such a table or view yet."""
        return self.within(lambda open_: table in open_.relations(), write=False)

    def inspect_table(self, table: str) -> TableFacts:
        """What the database says of a declared table that has geometries."""
        declared = self._tables.table(table)
        return self.within(lambda open_: examine(open_, declared), write=False)

    def _bring_up_to_date(self, open_: Transaction) -> None:
        open_.lock({"schema": True})
        bring_up_to_date(open_, self._tables, self._migrations)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
