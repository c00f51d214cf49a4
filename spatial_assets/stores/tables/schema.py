"""Bringing a database to the declared tables: create, add, migrate, or refuse with the remedy.

Nothing that exists is ever dropped, and a table that somebody else made is never touched.

Steps that bring an older schema to today's; forward only, each applied once, in order.

A table or view that is merely new needs no step: it is created from its declaration. A step is
for what exists already and must change. Version 1 is the first schema that was ever made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.tables.ddl import column_addition, creation, type_name, view_creation
from spatial_assets.stores.tables.declarations import Tables
from spatial_assets.stores.tables.transactions import Transaction, execute

VERSION = "schema_version"
Relations = Mapping[str, Mapping[str, str]]


def is_current(transaction: Transaction, tables: Tables, migrations: Sequence[Migration]) -> bool:
    """Whether there is nothing to do.

    Raises:
        DatabaseError: the schema is newer than this code, or a table is not as declared.
    """
    there = transaction.relations()
    found = applied(transaction, tables, there)
    if found is None or pending(found[0], migrations):
        return False
    complete = all(name in there for name in [*tables.metadata.tables, *tables.views])
    return (
        complete
        and found[1] == digest(statements(tables, transaction.dialect))
        and not additions(tables, there, transaction.dialect)
    )


def bring_up_to_date(
    transaction: Transaction, tables: Tables, migrations: Sequence[Migration]
) -> None:
    """Make the database as declared; harmless where it is.

    Raises:
        DatabaseError: the schema is newer than this code, or a table is not as declared.
    """
    transaction.make_room()
    there = transaction.relations()
    found = applied(transaction, tables, there)
    steps = pending(found[0] if found else None, migrations)
    for step in steps:
        for statement in step.statements(transaction.dialect):
            transaction.run(statement)
    if steps:
        there = transaction.relations()
    for statement in additions(tables, there, transaction.dialect):
        transaction.run(statement)
    wanted = statements(tables, transaction.dialect)
    for statement in wanted:
        transaction.run(statement)
    record(
        transaction, tables, versions=versions(found, steps, migrations), declared=digest(wanted)
    )


def versions(
    found: tuple[int, str] | None, steps: Sequence[Migration], migrations: Sequence[Migration]
) -> list[int]:
    """The versions to write down: each step taken, or the one that is there or was made."""
    if steps:
        return [each.version for each in steps]
    return [found[0] if found else migrations[-1].version]


def applied(transaction: Transaction, tables: Tables, there: Relations) -> tuple[int, str] | None:
    """Version of the schema and hash of its declaration; None: no schema yet."""
    table = tables.table(VERSION)
    if VERSION not in there:
        return None
    refuse_drift(table, there[VERSION], transaction.dialect)
    newest = sa.select(table.c.version, table.c.declared).order_by(table.c.version.desc()).limit(1)
    rows = execute(transaction, newest)
    return (int(str(rows[0][0])), str(rows[0][1])) if rows else None


def record(
    transaction: Transaction, tables: Tables, *, versions: Sequence[int], declared: str
) -> None:
    """Write down what this database has now."""
    table = tables.table(VERSION)
    for version in versions:
        execute(transaction, sa.delete(table).where(table.c.version == version))
        execute(transaction, sa.insert(table).values(version=version, declared=declared))


def statements(tables: Tables, dialect: PGDialect) -> list[str]:
    """All that creates the declared tables and views; harmless where they are."""
    created = [
        each for table in tables.metadata.tables.values() for each in creation(table, dialect)
    ]
    return [*created, *(view_creation(view, dialect) for view in tables.views.values())]


def additions(tables: Tables, there: Relations, dialect: PGDialect) -> list[str]:
    """Columns to add: those a boundary set carries since it was created.

    Raises:
        DatabaseError: a table differs in a way that adding columns does not mend.
    """
    result = []
    for table in tables.metadata.tables.values():
        if table.name in there:
            missing = refuse_drift(table, there[table.name], dialect)
            result += [column_addition(table.c[name], dialect) for name in missing]
    return result


def refuse_drift(table: sa.Table, there: Mapping[str, str], dialect: PGDialect) -> list[str]:
    """Carried columns that are missing; anything else that differs is refused.

    Raises:
        DatabaseError: naming the columns and what to do.
    """
    carried = table.info.get("carried", frozenset()) - set(table.info.get("key", ()))
    missing = [each.name for each in table.columns if each.name not in there]
    addable = {f"{name} is missing" for name in missing if name in carried}
    differing = [each for each in differences(table, there, dialect) if each not in addable]
    if differing:
        raise DatabaseError(
            f"table {table.name!r} is not as declared: {'; '.join(differing)}. "
            "If it is not ours, use another name, schema or database; if it is, drop it: "
            "it is made again from the source"
        )
    return missing


def differences(table: sa.Table, there: Mapping[str, str], dialect: PGDialect) -> list[str]:
    """What of the columns of a table is not as declared, each told in a few words."""
    return [
        f"{each.name} is missing"
        if each.name not in there
        else f"{each.name} is {there[each.name]}, wanted {type_name(each, dialect)}"
        for each in table.columns
        if there.get(each.name, "").casefold() != type_name(each, dialect).casefold()
    ]


def digest(statements: Sequence[str]) -> str:
    """What tells one declaration from another."""
    return hashlib.sha256("\n".join(statements).encode(errors="replace")).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One step."""

    version: int
    description: str

    statements: Callable[[PGDialect], Sequence[str]]
    """The statements for a database; empty where it needs none."""


def nothing(_dialect: PGDialect) -> Sequence[str]:
    """No statement."""
    return ()


MIGRATIONS: Sequence[Migration] = (
    Migration(version=1, description="the tables as first declared", statements=nothing),
)


def pending(found: int | None, migrations: Sequence[Migration] = MIGRATIONS) -> list[Migration]:
    """The steps a database still needs.

    Args:
        found: version of its schema; None: it has none yet, and is made as declared today.
        migrations: all steps there are, in order.

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
