"""Changes and queries within a transaction, the same for both databases.

Each change becomes statements here, and each result becomes rows. Connections, locks and bulk
loading belong to each database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, Protocol

import shapely
import sqlalchemy as sa
from geoalchemy2 import Geometry
from shapely.geometry.base import BaseGeometry
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql.base import PGDialect

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.rows import Remove, Renew, Replace, ReplaceAll, RowChange, Upsert
from spatial_assets.stores.tables.batches import Batch, converted, prepare, refuse_repeated_keys
from spatial_assets.stores.tables.columns import SRID
from spatial_assets.stores.tables.ddl import parameterised
from spatial_assets.stores.tables.declarations import Tables

ViewState = Literal["missing", "same", "other_query", "other_columns"]
"""Comparison of a view with its declaration; "other_columns": it cannot be replaced by it."""

TILE_KEYS = ("grid_id", "tile")
STAGED_ROWS = "rows to load"
"""Name of the temporary table of rows to load or merge."""

COMPARED_VIEW = "view to compare"
"""Name of the temporary view that has the declared query."""

MAX_LISTED_VALUES = 100
"""Values that a statement lists one by one; more are passed as an array: PostgreSQL accepts 65,535,
and 100,000 take DuckDB minutes."""


class Transaction(Protocol):
    """An open transaction of either database."""

    @property
    def dialect(self) -> PGDialect:
        """SQL dialect of the database."""

    def run(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Execute one statement; return its rows."""

    def staged(self, batch: Batch) -> AbstractContextManager[sa.TableClause]:
        """Provide rows without geometries as a temporary table, for one statement."""

    def load(self, batch: Batch) -> None:
        """Append rows to their table, in bulk."""

    def lock(self, names: Mapping[str, bool]) -> None:
        """Lock these names until the end of the transaction (True: exclusive, False: shared)."""

    def relations(self) -> dict[str, dict[str, str]]:
        """Existing tables and views: name -> column -> type, as the database names it."""

    def create_schema(self) -> None:
        """Create the schema for the tables, if missing."""

    def indexes(self) -> set[str]:
        """Names of the existing indexes."""

    def comments(self) -> dict[tuple[str, str], str]:
        """(Table, column) -> comment; the column is "" for the table itself."""

    def view_state(self, name: str, query: str) -> ViewState:
        """Compare a view with the query that it should have."""

    def grants(self, name: str) -> list[str]:
        """Statements that grant again what others may do with a view, after it was dropped."""

    def filling(self, table: sa.Table) -> AbstractContextManager[None]:
        """Write all rows of a table in this block; build indexes and statistics afterwards."""


class PreparedChange:
    """A change whose rows have been checked, so that its transaction can be retried."""

    def __init__(self, tables: Tables, change: Replace | ReplaceAll | Upsert) -> None:
        self.table = tables.table(change.table)
        self.keys = dict(change.keys) if isinstance(change, Replace) else {}
        if isinstance(change, Replace):
            refuse_bad_keys(self.table, self.keys)
        self.merges = not isinstance(change, Replace | ReplaceAll)
        self.everything = isinstance(change, ReplaceAll)
        if self.merges and "merge" not in self.table.info:
            raise DatabaseError(f"{self.table.name}: rows are replaced, not merged; use Replace")
        self.batch = prepare(self.table, change.rows, self.keys)
        if not self.merges:
            refuse_repeated_keys(self.batch)

    def locks(self) -> dict[str, bool]:
        """Locks it needs: on its tile, or else on the whole table."""
        return {} if self.merges else locks_of(self.table, self.keys)

    def apply(self, transaction: Transaction) -> None:
        """Make the change."""
        if self.merges:
            merge(transaction, self.batch)
            return
        with transaction.filling(self.table) if self.everything else nullcontext():
            statement = deleting(self.table, tuple(self.keys), transaction.dialect)
            transaction.run(statement, list(self.keys.values()))
            if len(self.batch):
                transaction.load(self.batch)


class PreparedRenewal:
    """A later time for existing rows."""

    def __init__(self, tables: Tables, change: Renew) -> None:
        table = tables.table(change.table)
        column = known_column(table, change.column)
        time = converted(column, [change.time])[0]
        self._statement = (
            sa.update(table)
            .where(*conditions(table, change.keys), column < time)
            .values({column: time})
        )

    def locks(self) -> dict[str, bool]:
        """No locks: a concurrent write is newer, or is updated as well."""
        return {}

    def apply(self, transaction: Transaction) -> None:
        """Make the change."""
        execute(transaction, self._statement)


class PreparedRemoval:
    """The removal of some rows of a table."""

    def __init__(self, tables: Tables, change: Remove) -> None:
        self._table = tables.table(change.table)
        self._where = dict(change.where)
        if not self._where:
            raise DatabaseError(f"{change.table}: no condition; to remove all, use ReplaceAll")
        self._statement = sa.delete(self._table).where(*conditions(self._table, self._where))

    def locks(self) -> dict[str, bool]:
        """Locks it needs: on its tile, or else on the whole table."""
        return locks_of(self._table, self._where)

    def apply(self, transaction: Transaction) -> None:
        """Make the change."""
        execute(transaction, self._statement)


Prepared = PreparedChange | PreparedRenewal | PreparedRemoval


def prepared(tables: Tables, change: RowChange) -> Prepared:
    """Check a change and prepare it."""
    if isinstance(change, Renew):
        return PreparedRenewal(tables, change)
    if isinstance(change, Remove):
        return PreparedRemoval(tables, change)
    return PreparedChange(tables, change)


def locks_of(table: sa.Table, keys: Mapping[str, object]) -> dict[str, bool]:
    """Return the locks for writing rows with these keys: on one tile, or on the whole table."""
    tile = [keys.get(name) for name in TILE_KEYS]
    if all(isinstance(each, str) for each in tile):
        return {table.name: False, json.dumps([table.name, *tile]): True}
    return {table.name: True}


def apply_all(transaction: Transaction, changes: Sequence[Prepared]) -> None:
    """Make all changes; all locks are taken first, in one order, so that nothing deadlocks."""
    locks: dict[str, bool] = {}
    for change in changes:
        for name, exclusive in change.locks().items():
            locks[name] = locks.get(name, False) or exclusive
    transaction.lock(locks)
    for change in changes:
        change.apply(transaction)


def merge(transaction: Transaction, batch: Batch) -> None:
    """Insert rows, or merge each with the row of the same key, by the rule of the table."""
    with transaction.staged(batch.in_order_of_key()) as staged:
        transaction.run(merging(batch.table, str(staged.schema), staged.name, transaction.dialect))


@lru_cache(maxsize=64)
def deleting(table: sa.Table, names: tuple[str, ...], dialect: PGDialect) -> str:
    """Statement that deletes the rows with some keys, passed in that order."""
    condition = [table.c[name] == sa.bindparam(name) for name in names]
    return parameterised(sa.delete(table).where(*condition), dialect)[0]


@lru_cache(maxsize=64)
def merging(table: sa.Table, schema: str, name: str, dialect: PGDialect) -> str:
    """Statement that merges staged rows into a table: the same for every tile."""
    staged = sa.table(name, *(sa.column(each.name, each.type) for each in table.columns))
    staged.schema = schema
    keys, columns = [each.name for each in table.primary_key], list(table.columns.keys())
    rows = sa.select(*(staged.c[each] for each in columns))
    statement = insert(table).from_select(columns, rows)
    changed = {each: statement.excluded[each] for each in columns if each not in keys}
    changed |= table.info["merge"](table, statement.excluded)
    merged = statement.on_conflict_do_update(index_elements=keys, set_=changed)
    sql, values = parameterised(merged, dialect)
    assert not values  # noqa: S101 - all values are staged rows
    return sql


def select_rows(
    transaction: Transaction,
    table: sa.Table,
    *,
    where: Mapping[str, object],
    intersecting: BaseGeometry | None,
    columns: Sequence[str] | None = None,
) -> list[dict[str, object]]:
    """Rows of a table or view, in the order of its key; with `columns`, distinct combinations."""
    selected = list(table.columns) if columns is None else [known_column(table, c) for c in columns]
    order = table.primary_key if columns is None else selected
    statement = sa.select(*selected).order_by(*order).where(*conditions(table, where))
    if columns is not None:
        statement = statement.distinct()
    if intersecting is not None:
        shape = shapely.to_wkb(shapely.set_srid(intersecting, SRID), include_srid=True)
        given = sa.func.ST_GeomFromEWKB(sa.bindparam("shape", shape, type_=sa.LargeBinary))
        statement = statement.where(sa.func.ST_Intersects(known_column(table, "geometry"), given))
    readers = [(each.name, reader(each.type)) for each in selected]
    return [
        {name: read(value) for (name, read), value in zip(readers, row, strict=True)}
        for row in execute(transaction, statement)
    ]


def count_rows(transaction: Transaction, table: sa.Table, where: Mapping[str, object]) -> int:
    """Return the number of rows that match."""
    statement = sa.select(sa.func.count()).select_from(table).where(*conditions(table, where))
    return int(str(execute(transaction, statement)[0][0]))


def release(
    transaction: Transaction, table: sa.Table, where: Mapping[str, object], *, now: datetime
) -> int:
    """Release quarantined subjects; return the number released."""
    released = converted(table.c.released_at, [now])[0]
    statement = (
        sa.update(table)
        .where(*conditions(table, where), table.c.released_at.is_(None))
        .values(released_at=released)
        .returning(table.c.subject)
    )
    return len(execute(transaction, statement))


def conditions(table: sa.Table, where: Mapping[str, object]) -> list[sa.ColumnElement[bool]]:
    """Conditions of a query: column = value, column in values, or column is null."""
    result: list[sa.ColumnElement[bool]] = []
    for name, value in where.items():
        column = known_column(table, name)
        if value is None:
            result.append(column.is_(None))
        elif isinstance(value, list | tuple | set | frozenset):
            result.append(among(column, converted(column, list(value))))
        else:
            result.append(column == converted(column, [value])[0])
    return result


def among(column: sa.Column[object], values: Sequence[object]) -> sa.ColumnElement[bool]:
    """Condition that a column is one of some values."""
    if len(values) <= MAX_LISTED_VALUES:
        return column.in_(values)
    kind = ARRAY(column.type)
    given = sa.cast(sa.bindparam(None, list(values), type_=kind), kind)
    return column.in_(sa.select(sa.func.unnest(given)))


def execute(transaction: Transaction, statement: sa.ClauseElement) -> list[tuple[object, ...]]:
    """Execute an SQLAlchemy statement."""
    sql, values = parameterised(statement, transaction.dialect)
    return transaction.run(sql, values)


def known_column(table: sa.Table, name: str) -> sa.Column[object]:
    """Return a column by name.

    Raises:
        DatabaseError: there is none.
    """
    column: sa.Column[object] | None = table.columns.get(name)
    if column is None:
        raise DatabaseError(
            f"{table.name} has no column {name!r} (it has {', '.join(table.columns.keys())})"
        )
    return column


def refuse_bad_keys(table: sa.Table, keys: Mapping[str, object]) -> None:
    """Refuse keys that would match all rows, or none."""
    if not keys:
        raise DatabaseError(f"{table.name}: no keys to replace by; to replace all, use ReplaceAll")
    for name, value in keys.items():
        converted(known_column(table, name), [value])
        if value is None:
            raise DatabaseError(f"{table.name}: cannot replace rows whose {name!r} is null")


def reader(kind: sa.types.TypeEngine[object]) -> Callable[[object], object]:
    """Return the function that converts a value to the same type for either database."""
    if isinstance(kind, Geometry):
        return read_geometry
    if isinstance(kind, sa.JSON):
        return read_json
    if isinstance(kind, sa.DateTime) and kind.timezone:
        return read_timestamp
    return unchanged


def unchanged(value: object) -> object:
    """Return the value."""
    return value


def read_geometry(value: object) -> object:
    """Convert WKB to a shapely geometry with its SRID."""
    return shapely.set_srid(shapely.from_wkb(value), SRID) if isinstance(value, bytes) else None


def read_json(value: object) -> object:
    """Decode JSON."""
    return json.loads(value) if isinstance(value, str | bytes) else value


def read_timestamp(value: object) -> object:
    """Convert a timestamp to UTC."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def lock_number(name: str) -> int:
    """Hash a name to the 64-bit number of a PostgreSQL advisory lock."""
    digest = hashlib.sha256(f"spatial_assets {name}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
