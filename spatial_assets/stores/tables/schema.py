"""Comparison of a database with the declared tables: what it has, lacks, or must be refused for.

Nothing existing is ever dropped, and a table that others created is never changed. New tables and
views are created from their declarations, and `schema_changes` makes the changes. A `Migration` is
for existing ones that must change: forward only, each applied once, in order. Version 1 is the
first schema.

The types of the columns that a boundary table takes from its source follow the values, which no
setting names: a set is declared as it is stored, and loading it changes the columns whose values
have another type by now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.public_columns import keys_of
from spatial_assets.stores.rows import BoundaryDeclaration, BoundarySet, ColumnType
from spatial_assets.stores.tables.columns import COLUMN_TYPES, public_type
from spatial_assets.stores.tables.ddl import (
    column_addition,
    column_retyping,
    creation,
    type_name,
    view_creation,
)
from spatial_assets.stores.tables.declarations import Tables
from spatial_assets.stores.tables.transactions import Transaction, execute

VERSION_TABLE = "schema_version"
Relations = Mapping[str, Mapping[str, str]]


def is_current(transaction: Transaction, tables: Tables, migrations: Sequence[Migration]) -> bool:
    """Return True if there is nothing to do.

    Raises:
        DatabaseError: the schema is newer than this code, or a table differs from its declaration.
    """
    existing = transaction.relations()
    found = applied(transaction, tables, existing)
    if found is None or pending(found[0], migrations):
        return False
    complete = all(name in existing for name in [*tables.metadata.tables, *tables.views])
    return (
        complete
        and found[1] == digest(statements(tables, transaction.dialect))
        and not additions(tables, existing, transaction.dialect)
    )


def applied(
    transaction: Transaction, tables: Tables, existing: Relations
) -> tuple[int, str] | None:
    """Version of the schema and hash of its declaration; None if there is no schema yet."""
    table = tables.table(VERSION_TABLE)
    if VERSION_TABLE not in existing:
        return None
    refuse_drift(table, existing[VERSION_TABLE], transaction.dialect)
    newest = sa.select(table.c.version, table.c.declared).order_by(table.c.version.desc()).limit(1)
    rows = execute(transaction, newest)
    return (int(str(rows[0][0])), str(rows[0][1])) if rows else None


def record(
    transaction: Transaction, tables: Tables, *, versions: Sequence[int], declared: str
) -> None:
    """Record the versions and the declaration that the database now has."""
    table = tables.table(VERSION_TABLE)
    for version in versions:
        execute(transaction, sa.delete(table).where(table.c.version == version))
        execute(transaction, sa.insert(table).values(version=version, declared=declared))


def statements(tables: Tables, dialect: PGDialect) -> list[str]:
    """Statements that create the declared tables and views, where missing."""
    created = [
        each for table in tables.metadata.tables.values() for each in creation(table, dialect)
    ]
    return [*created, *(view_creation(view, dialect) for view in tables.views.values())]


def additions(
    tables: Tables, existing: Relations, dialect: PGDialect
) -> Mapping[str, Sequence[str]]:
    """Table -> statements that add the columns which it gained since it was created.

    Raises:
        DatabaseError: a table differs in more than missing columns.
    """
    result = {}
    for table in tables.metadata.tables.values():
        missing = (
            refuse_drift(table, existing[table.name], dialect) if table.name in existing else []
        )
        if missing:
            result[table.name] = [column_addition(table.c[name], dialect) for name in missing]
    return result


def refuse_drift(table: sa.Table, existing: Mapping[str, str], dialect: PGDialect) -> list[str]:
    """Return the missing columns of a boundary set; refuse any other difference.

    Raises:
        DatabaseError: with the columns and the remedy.
    """
    carried = table.info.get("carried", frozenset()) - set(table.info.get("key", ()))
    missing = [each.name for each in table.columns if each.name not in existing]
    addable = {f"{name} is missing" for name in missing if name in carried}
    differing = [each for each in differences(table, existing, dialect) if each not in addable]
    if differing:
        raise DatabaseError(
            f"table {table.name!r} is not as declared: {'; '.join(differing)}. "
            "If spatial_assets did not create it, use another name, schema or database; if it did, "
            "drop it: it is created again from the source"
        )
    return missing


def differences(table: sa.Table, existing: Mapping[str, str], dialect: PGDialect) -> list[str]:
    """Differences between the columns of a table and its declaration, as short messages."""
    return [
        f"{each.name} is missing"
        if each.name not in existing
        else f"{each.name} is {existing[each.name]}, wanted {type_name(each, dialect)}"
        for each in table.columns
        if existing.get(each.name, "").casefold() != type_name(each, dialect).casefold()
    ]


def digest(statements: Sequence[str]) -> str:
    """Hash of a declaration."""
    return hashlib.sha256("\n".join(statements).encode(errors="replace")).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Migration:
    """A step from one version of the schema to the next."""

    version: int
    description: str

    statements: Callable[[PGDialect], Sequence[str]]
    """Statements for a database; empty if it needs none."""


def nothing(_dialect: PGDialect) -> Sequence[str]:
    """Return no statement."""
    return ()


MIGRATIONS: Sequence[Migration] = (
    Migration(version=1, description="the tables as first declared", statements=nothing),
    # The table of claims follows from its declaration. A version of its own keeps earlier code,
    # which would not respect a claim, from writing.
    Migration(version=2, description="the tables belong to one project", statements=nothing),
)


def pending(found: int | None, migrations: Sequence[Migration] = MIGRATIONS) -> list[Migration]:
    """Migrations that a database still needs.

    Args:
        found: version of its schema; None if it has none yet, and is created as declared now.
        migrations: all migrations, in order.

    Raises:
        DatabaseError: its schema is newer than this code.
    """
    newest = migrations[-1].version
    if found is None:
        return []
    if found > newest:
        raise DatabaseError(
            f"the database has schema version {found}, this spatial_assets knows {newest}; "
            "upgrade spatial_assets, or use another database"
        )
    return [each for each in migrations if each.version > found]


def as_stored(
    declared: BoundaryDeclaration, existing: Mapping[str, str], dialect: PGDialect
) -> BoundaryDeclaration:
    """Return a declaration with the types that its columns have in the database.

    Args:
        declared: boundary set; a `BoundarySet` knows its types, and is returned unchanged.
        existing: column -> type of its table, as the database names it; {} if there is none.
        dialect: of the database.
    """
    return declared if isinstance(declared, BoundarySet) else typed(declared, {}, existing, dialect)


def typed(
    declared: BoundaryDeclaration,
    types: Mapping[str, ColumnType],
    existing: Mapping[str, str],
    dialect: PGDialect,
) -> BoundarySet:
    """Return a declaration whose columns have these types, others the one of the database.

    Args:
        declared: boundary set.
        types: column -> type.
        existing: column -> type of its table, as the database names it; {} if there is none.
        dialect: of the database.
    """
    known: dict[str, ColumnType] = {kind_name(kind, dialect): kind for kind in COLUMN_TYPES}
    stored = {
        name: known[existing[name].casefold()]
        for name in (*keys_of(declared), *declared.columns)
        if name in existing and existing[name].casefold() in known
    }
    columns = tuple(declared.columns)
    return BoundarySet(
        name=declared.name, key=declared.key, columns=columns, types={**stored, **types}
    )


def retypings(table: sa.Table, existing: Mapping[str, str], dialect: PGDialect) -> list[str]:
    """Statements that give the columns of a boundary table their declared types.

    Only of columns that come from the source, and that have one of our types: any other difference
    is drift, and refused elsewhere.
    """
    known = {kind_name(kind, dialect) for kind in COLUMN_TYPES}
    return [
        column_retyping(column, dialect)
        for column in table.columns
        if column.name in table.info["carried"]
        and (found := existing.get(column.name, "").casefold()) in known
        and found != type_name(column, dialect).casefold()
    ]


def kind_name(kind: ColumnType, dialect: PGDialect) -> str:
    """Type of a column of this kind, as the database names it, in lower case."""
    return type_name(sa.Column("any", public_type(kind)), dialect).casefold()
