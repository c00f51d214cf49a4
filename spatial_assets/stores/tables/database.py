"""The database: tables of boundaries, statistics, tile states and quarantine.

Everything that PostGIS and DuckDB have in common; each of them adds how to run work in a
transaction. A URL becomes a database in `connect`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

from shapely.geometry.base import BaseGeometry

from spatial_assets.stores.claims import Claim, Claimant
from spatial_assets.stores.rows import (
    BoundaryDeclaration,
    Columns,
    ColumnType,
    QuarantineRecord,
    Replace,
    ReplaceAll,
    RowChange,
    RowLike,
    RowsLike,
    TileState,
    Upsert,
)
from spatial_assets.stores.tables.boundary_rows import RowsWritten, write_changed
from spatial_assets.stores.tables.declarations import Tables, declare
from spatial_assets.stores.tables.inspection import TableFacts, examine
from spatial_assets.stores.tables.schema import (
    MIGRATIONS,
    Migration,
    as_stored,
    is_current,
    retypings,
    typed,
)
from spatial_assets.stores.tables.schema_changes import SchemaChange, SchemaUpdate, drop_change
from spatial_assets.stores.tables.table_claims import (
    is_claimed,
    recorded_claims,
    take_tables,
    verify_tables,
)
from spatial_assets.stores.tables.tile_overviews import (
    InputsOverview,
    PixelsOverview,
    StateOverview,
    input_overviews,
    pixel_overviews,
    state_overviews,
)
from spatial_assets.stores.tables.transactions import (
    PreparedChange,
    Transaction,
    apply_all,
    count_rows,
    prepared,
    release,
    select_rows,
)

Result = TypeVar("Result")
Argument = TypeVar("Argument")


class Database(ABC):
    """A database with the declared tables.

    Every change is one transaction that is harmless to repeat. Safe to share between threads, but
    not with a forked child process.
    """

    def __init__(self, url: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._url = url
        self._migrations = migrations
        self._boundaries: dict[str, BoundaryDeclaration] = {}
        self._indices: dict[str, None] = {}
        self._tables = declare((), ())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """URL without its password."""
        return self._url

    @property
    def tables(self) -> Tables:
        """Tables and views declared so far."""
        return self._tables

    @abstractmethod
    def in_transaction(self, work: Callable[[Transaction], Result], *, write: bool) -> Result:
        """Do `work` in a transaction; retry it after a transient error."""

    @abstractmethod
    def change_schema(self, changes: Iterable[SchemaChange]) -> None:
        """Make changes of the schema, one after the other, each in a transaction.

        Each is repeated while another session's lock prevents it, for a limited time; readers get
        their turn meanwhile.

        Raises:
            DatabaseError: a lock was held for too long; the message names the session.
        """

    @abstractmethod
    def spatial_version(self) -> str:
        """Versions of the database, of its spatial extension, and of the libraries below that."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""

    @contextmanager
    def keep_open(self) -> Iterator[None]:
        """Allow the database to stay open between the many transactions of this block.

        Other processes still get their turn.
        """
        yield

    def declare_tables(
        self, boundaries: Sequence[BoundaryDeclaration], indices: Sequence[str]
    ) -> None:
        """Declare the tables of these boundary sets and indices, to read them; nothing is created.

        Raises:
            DatabaseError: a name is invalid, or two names differ only in case.
        """
        all_boundaries = self._boundaries | {each.name: each for each in boundaries}
        all_indices = self._indices | dict.fromkeys(indices)
        tables = declare(all_boundaries.values(), all_indices)
        self._boundaries, self._indices, self._tables = all_boundaries, all_indices, tables

    def ensure_schema(
        self,
        boundaries: Sequence[BoundaryDeclaration] = (),
        indices: Sequence[str] = (),
        *,
        claimant: Claimant | None = None,
    ) -> None:
        """Create the missing tables of these boundary sets and indices, and of those named before.

        Harmless to repeat, and to run concurrently. Only what differs from the database is
        changed; if nothing does, no lock is taken. With a `claimant`, the tables belong to that
        project afterwards.

        Raises:
            ForeignProjectError: they belong to another project; nothing was written.
            DatabaseError: the schema is newer than this code, a table differs from its
                declaration, or there is no spatial extension.
        """
        self.declare_tables(boundaries, indices)
        if not self.in_transaction(
            lambda transaction: self._is_up_to_date(transaction, claimant), write=False
        ):
            update = SchemaUpdate(
                self._declare_as_stored, self._migrations, claimant, database=self.url
            )
            self.change_schema(update.changes())

    def _declare_as_stored(self, transaction: Transaction) -> Tables:
        """Declare the tables with the types that columns of boundary sets have by now."""
        existing, dialect = transaction.relations(), transaction.dialect
        boundaries = [
            as_stored(each, existing.get(each.name, {}), dialect)
            for each in self._boundaries.values()
        ]
        self._tables = declare(boundaries, self._indices)
        return self._tables

    def _is_up_to_date(self, transaction: Transaction, claimant: Claimant | None) -> bool:
        self._declare_as_stored(transaction)
        if claimant is not None:
            own = verify_tables(transaction, self._tables, claimant, database=self.url)
            if not is_claimed(own, claimant):
                return False
        return is_current(transaction, self._tables, self._migrations)

    def verify_claim(self, claimant: Claimant) -> None:
        """Verify that the tables belong to this project, or to none yet. Nothing is written.

        Raises:
            ForeignProjectError: they belong to another project, or describe another store.
        """
        self.in_transaction(
            lambda transaction: verify_tables(
                transaction, self._tables, claimant, database=self.url
            ),
            write=False,
        )

    def claims(self) -> tuple[Claim, ...]:
        """Claims to the tables, one for each grid; () if no project has claimed them."""
        found = self.in_transaction(
            lambda transaction: recorded_claims(transaction, self._tables), write=False
        )
        return tuple(found.values())

    def take_over(self, claimant: Claimant) -> None:
        """Make the tables belong to this project, whatever project they belonged to."""
        self.ensure_schema()

        def take(transaction: Transaction) -> None:
            transaction.lock({"schema": True})
            take_tables(transaction, self._tables, claimant)

        self.in_transaction(take, write=True)

    def commit(self, changes: Sequence[RowChange]) -> None:
        """Make all changes, or none.

        Raises:
            DatabaseError: a row does not fit its table, or the database failed.
        """
        checked = [prepared(self._tables, change) for change in changes]
        if checked:
            self.in_transaction(lambda transaction: apply_all(transaction, checked), write=True)

    def replace_boundaries(
        self, declared: BoundaryDeclaration, rows: Columns, *, types: Mapping[str, ColumnType]
    ) -> RowsWritten:
        """Make the rows of a boundary table those of `rows`, and the types of its columns too.

        Only rows whose feature changed are written. Readers see the old rows until all new ones are
        there. They wait for them only if the type of a column changes, which is rare.

        Args:
            declared: the boundary set.
            rows: all rows.
            types: column -> type; other columns keep theirs.

        Returns:
            The number of rows written and removed.

        Raises:
            DatabaseError: a row does not fit its table, or the database failed.
        """
        name = declared.name

        def declare_typed(transaction: Transaction) -> bool:
            existing = transaction.relations().get(name, {})
            self._boundaries[name] = typed(declared, types, existing, transaction.dialect)
            table = self._declare_as_stored(transaction).table(name)
            return bool(retypings(table, existing, transaction.dialect))

        is_retyped = self.in_transaction(declare_typed, write=False)
        if not is_retyped:
            return self.in_transaction(
                lambda transaction: self._write_changed(transaction, name, rows), write=True
            )

        change = PreparedChange(self._tables, ReplaceAll(name, rows))

        def replace_all(transaction: Transaction) -> None:
            transaction.lock(change.locks())
            existing = transaction.relations().get(name, {})
            for statement in retypings(change.table, existing, transaction.dialect):
                transaction.run(statement)
            apply_all(transaction, [change])

        purpose = f"changing the types of columns of the table {name}"
        self.change_schema([SchemaChange(purpose=purpose, work=replace_all)])
        return RowsWritten(written=len(rows), removed=0)

    def _write_changed(self, transaction: Transaction, name: str, rows: Columns) -> RowsWritten:
        transaction.lock({name: True})
        return write_changed(transaction, self._tables, name, rows)

    def replace_tile(self, table: str, keys: Mapping[str, object], rows: RowsLike) -> None:
        """Replace the rows of `table` that have these keys by `rows`."""
        self.commit([Replace(table, keys, rows)])

    def replace_all(self, table: str, rows: RowsLike) -> None:
        """Replace all rows of `table` by `rows`."""
        self.commit([ReplaceAll(table, rows)])

    def set_states(self, states: Iterable[TileState | RowLike]) -> None:
        """Write how stages of tiles ended; an unchanged state keeps its `since`."""
        self.commit([Upsert("tile_state", states)])

    def quarantine(self, records: Iterable[QuarantineRecord | RowLike]) -> None:
        """Quarantine inputs; one already quarantined keeps its `first_seen`."""
        self.commit([Upsert("quarantine", records)])

    def release(self, where: Mapping[str, object], *, now: datetime) -> int:
        """Release matching inputs from quarantine; return the number released."""
        table = self._tables.table("quarantine")
        return self.in_transaction(
            lambda transaction: release(transaction, table, where, now=now), write=True
        )

    def rows(
        self,
        table: str,
        where: Mapping[str, object] | None = None,
        *,
        intersecting: BaseGeometry | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[dict[str, object]]:
        """Rows of a table or view, in the order of its key.

        Args:
            table: its name.
            where: column -> required value, or list of allowed values; None matches null.
            intersecting: only rows whose geometry intersects this one, in lon/lat.
            columns: only these columns: each distinct combination of values, in their order.
        """
        readable = self._tables.readable(table)
        return self.in_transaction(
            lambda transaction: select_rows(
                transaction,
                readable,
                where=where or {},
                intersecting=intersecting,
                columns=columns,
            ),
            write=False,
        )

    def rows_if_any(
        self,
        table: str,
        where: Mapping[str, object],
        *,
        columns: Sequence[str] | None = None,
    ) -> list[dict[str, object]]:
        """Rows of a table; none where the table does not exist, and it is not created."""
        return self.rows(table, where, columns=columns) if self.has_table(table) else []

    def state_overviews(self, grid_id: str, stages: Sequence[str]) -> Mapping[str, StateOverview]:
        """States of these stages in short, by tile; none where the table does not exist."""
        return self._overviews("tile_state", state_overviews, grid_id, stages)

    def input_overviews(self, grid_id: str, stage: str) -> Mapping[str, InputsOverview]:
        """Inputs of the tiles in short, with the scenes of `stage`; see `state_overviews`."""
        return self._overviews("tile_inputs", input_overviews, grid_id, stage)

    def pixel_overviews(self, grid_id: str, index: str) -> Mapping[str, PixelsOverview]:
        """Pixels of an index in short, by tile; see `state_overviews`."""
        return self._overviews("tile_index", pixel_overviews, grid_id, index)

    def _overviews(
        self,
        table: str,
        query: Callable[[Transaction, Tables, str, Argument], Mapping[str, Result]],
        grid_id: str,
        argument: Argument,
    ) -> Mapping[str, Result]:
        """Run one of the queries of `tile_overviews`, if its table exists."""
        if not self.has_table(table):
            return {}
        return self.in_transaction(
            lambda transaction: query(transaction, self._tables, grid_id, argument), write=False
        )

    def count(self, table: str, where: Mapping[str, object]) -> int:
        """Count the matching rows of a table; 0 where the table does not exist."""
        if not self.has_table(table):
            return 0
        declared = self._tables.table(table)
        return self.in_transaction(
            lambda transaction: count_rows(transaction, declared, where), write=False
        )

    def drop(self, *, views: Sequence[str], tables: Sequence[str]) -> None:
        """Drop views and tables that are declared no longer; missing ones are passed over.

        Raises:
            DatabaseError: a view that is not ours depends on one of them, or a lock was held for
                too long; those before it are dropped.
        """
        self.change_schema(
            [
                *(drop_change("view", name) for name in views),
                *(drop_change("table", name) for name in tables),
            ]
        )

    def relations(self) -> dict[str, dict[str, str]]:
        """Existing tables and views: name -> column -> type, as the database names it."""
        return self.in_transaction(lambda transaction: transaction.relations(), write=False)

    def has_table(self, table: str) -> bool:
        """Return True if there is such a table or view."""
        return table in self.relations()

    def inspect_table(self, table: str) -> TableFacts:
        """Compare a declared table that has geometries with the one in the database."""
        declared = self._tables.table(table)
        return self.in_transaction(lambda transaction: examine(transaction, declared), write=False)
