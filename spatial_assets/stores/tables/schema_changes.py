"""Changes of a schema: the least that brings a database to the declared tables and views.

A statement such as CREATE OR REPLACE VIEW waits for every reader of the view, and every later
reader waits for it. So the catalogue of the database is compared with the declarations, only what
differs is changed, and each change is a transaction of its own, as short as can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

from spatial_assets.stores.claims import Claimant
from spatial_assets.stores.tables.ddl import (
    comment_statements,
    creation,
    index_creations,
    quoted,
    view_creation,
    view_query,
)
from spatial_assets.stores.tables.declarations import PROJECT_CLAIM, DatabaseView, Tables
from spatial_assets.stores.tables.schema import (
    VERSION_TABLE,
    Migration,
    additions,
    applied,
    digest,
    pending,
    record,
    statements,
)
from spatial_assets.stores.tables.table_claims import claim_tables, verify_tables
from spatial_assets.stores.tables.transactions import Transaction

Work = Callable[[Transaction], None]


@dataclass(frozen=True, kw_only=True)
class SchemaChange:
    """Change that one transaction makes; harmless to repeat."""

    purpose: str
    """Purpose as a message says it, e.g. "adding columns to regions"."""

    work: Work

    @classmethod
    def of(cls, purpose: str, statements: Sequence[str]) -> Self:
        """Return a change that executes these statements."""

        def execute_all(transaction: Transaction) -> None:
            for statement in statements:
                transaction.run(statement)

        return cls(purpose=purpose, work=execute_all)


def drop_change(kind: Literal["table", "view"], name: str) -> SchemaChange:
    """Return the change that drops a table or a view, if there is one."""

    def drop(transaction: Transaction) -> None:
        if name in transaction.relations():
            # Without CASCADE: views of others that depend on it are not ours to drop.
            transaction.run(f"DROP {kind.upper()} {quoted(name, transaction.dialect)}")

    return SchemaChange(purpose=f"dropping the {kind} {name}", work=drop)


class SchemaUpdate:
    """The changes that bring a database to the declared tables, found one after the other.

    Tables that do not exist yet are created together, since nobody can hold them. Migrations and
    changes of existing tables and views follow one by one. The next update continues a killed one.
    """

    def __init__(
        self,
        declare: Callable[[Transaction], Tables],
        migrations: Sequence[Migration],
        claimant: Claimant | None,
        *,
        database: str,
    ) -> None:
        """Prepare an update.

        Args:
            declare: returns the declared tables, with the types that columns have by now.
            migrations: all migrations, in order.
            claimant: the project that the tables belong to afterwards; None: unchanged.
            database: URL of the database, without its password, for messages.
        """
        self._declare = declare
        self._migrations = migrations
        self._claimant = claimant
        self._database = database
        self._pending: Sequence[Migration] = ()
        self._found: list[SchemaChange] = []

    def changes(self) -> Iterator[SchemaChange]:
        """Yield one change after the other; each is made before the next is asked for.

        Raises:
            ForeignProjectError: the tables belong to another project; nothing was written.
            DatabaseError: the schema is newer than this code, or a table differs from its
                declaration.
        """
        create = SchemaChange(purpose="creating the missing tables", work=self._create)
        yield create
        for step in self._pending:
            purpose = f"migrating to version {step.version} ({step.description})"
            yield SchemaChange(purpose=purpose, work=partial(self._migrate, step))
        if self._pending:
            yield create
        yield SchemaChange(purpose="comparing the tables", work=self._compare_tables)
        yield from self._found
        yield SchemaChange(purpose="comparing the views", work=self._compare_views)
        yield from self._found
        yield SchemaChange(purpose="recording the declaration", work=self._record)

    def _create(self, transaction: Transaction) -> None:
        """Claim the tables, and create those that are missing, as far as migrations allow it."""
        tables = self._declare(transaction)
        if self._claimant is not None:
            verify_tables(transaction, tables, self._claimant, database=self._database)
        transaction.create_schema()
        existing = transaction.relations()
        found = applied(transaction, tables, existing)
        self._pending = pending(found[0] if found else None, self._migrations)
        if not self._pending:
            additions(tables, existing, transaction.dialect)  # refuses a table of somebody else
        for table in tables.metadata.tables.values():
            is_wanted = not self._pending or table.name in {VERSION_TABLE, PROJECT_CLAIM}
            if table.name not in existing and is_wanted:
                for statement in creation(table, transaction.dialect):
                    transaction.run(statement)
        if found is None:
            # At once, so that earlier code does not write beside a claim that it would not respect.
            record(transaction, tables, versions=[self._migrations[-1].version], declared="")
        if self._claimant is not None:
            claim_tables(transaction, tables, self._claimant, database=self._database)

    def _migrate(self, step: Migration, transaction: Transaction) -> None:
        """Take a database one version further, unless another process has done it."""
        tables = self._declare(transaction)
        found = applied(transaction, tables, transaction.relations())
        if found is not None and step in pending(found[0], self._migrations):
            for statement in step.statements(transaction.dialect):
                transaction.run(statement)
            record(transaction, tables, versions=[step.version], declared="")

    def _compare_tables(self, transaction: Transaction) -> None:
        tables = self._declare(transaction)
        self._found = table_changes(transaction, tables)

    def _compare_views(self, transaction: Transaction) -> None:
        tables = self._declare(transaction)
        self._found = view_changes(transaction, list(tables.views.values()))

    def _record(self, transaction: Transaction) -> None:
        tables = self._declare(transaction)
        found = applied(transaction, tables, transaction.relations())
        version = found[0] if found else self._migrations[-1].version
        declared = digest(statements(tables, transaction.dialect))
        record(transaction, tables, versions=[version], declared=declared)


def table_changes(transaction: Transaction, tables: Tables) -> list[SchemaChange]:
    """Compare existing tables with their declarations: columns, indexes, comments.

    Raises:
        DatabaseError: a table differs in more than missing columns.
    """
    dialect, existing = transaction.dialect, transaction.relations()
    indexes, comments = transaction.indexes(), transaction.comments()
    added = additions(tables, existing, dialect)
    changes = [
        SchemaChange.of(f"adding columns to the table {name}", each) for name, each in added.items()
    ]
    for table in tables.metadata.tables.values():
        changes += [
            SchemaChange.of(f"creating the index {name} of the table {table.name}", [statement])
            for name, statement in index_creations(table, dialect).items()
            if name not in indexes
        ]
        different = [
            statement
            for (column, comment), statement in comment_statements(table, dialect).items()
            if comments.get((table.name, column)) != comment
        ]
        if different:
            changes.append(SchemaChange.of(f"commenting the table {table.name}", different))
    return changes


def view_changes(transaction: Transaction, views: Sequence[DatabaseView]) -> list[SchemaChange]:
    """Compare views with their declarations; a missing one waits for nobody."""
    dialect = transaction.dialect
    missing: list[DatabaseView] = []
    changes = []
    for view in views:
        name = view.table.name
        state = transaction.view_state(name, view_query(view, dialect))
        creating = view_creation(view, dialect)
        if state == "missing":
            missing.append(view)
        elif state == "other_query":
            changes.append(SchemaChange.of(f"replacing the view {name}", [creating]))
        elif (
            state == "other_columns"
        ):  # such a view cannot be replaced, and a drop takes its grants
            again = [f"DROP VIEW {quoted(name, dialect)}", creating, *transaction.grants(name)]
            changes.append(SchemaChange.of(f"making the view {name} anew", again))
    if missing:
        created = [view_creation(view, dialect) for view in missing]
        changes.insert(0, SchemaChange.of("creating the missing views", created))
    return changes
