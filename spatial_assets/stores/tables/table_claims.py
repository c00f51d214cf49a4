"""The project that the tables of a database belong to: one row for each grid it has had.

Written in the transaction that creates or migrates the tables, under the same lock, so that of two
projects that start at once one is refused.
"""

from __future__ import annotations

import sqlalchemy as sa

from spatial_assets.errors import ForeignProjectError
from spatial_assets.stores.claims import Claim, Claimant
from spatial_assets.stores.tables.ddl import DuckDialect
from spatial_assets.stores.tables.declarations import PROJECT_CLAIM, Tables
from spatial_assets.stores.tables.transactions import Transaction, execute

_COLUMNS = ("grid_id", "project", "file", "name_is_set", "store", "store_id")


def verify_tables(
    transaction: Transaction, tables: Tables, claimant: Claimant, *, database: str
) -> Claim | None:
    """Return the claim to the tables of this grid; None if there is none. Nothing is written.

    Args:
        transaction: may be read-only.
        tables: the declared tables.
        claimant: the project.
        database: URL of the database, without its password, for the message.

    Raises:
        ForeignProjectError: the tables belong to another project, or describe another store.
    """
    claims = recorded_claims(transaction, tables)
    own = claims.get(claimant.grid_id)
    objections = [(claimant.objection(each, database), each) for each in claims.values()]
    if own is not None:
        objections.append((claimant.objection_to_store(own, database), own))
    for objection, found in objections:
        if objection:
            remedies = [_own_tables(transaction, claimant), claimant.same_project_remedy(found)]
            place = f"the database {database}"
            raise ForeignProjectError(claimant.refusal(place, objection, remedies=remedies))
    return own


def is_claimed(own: Claim | None, claimant: Claimant) -> bool:
    """Return True if the claim to the tables of this grid need not be written."""
    ours = claimant.claim
    return (
        own is not None
        and own.project == ours.project
        and (not ours.store_id or own.store_id == ours.store_id)
    )


def claim_tables(
    transaction: Transaction, tables: Tables, claimant: Claimant, *, database: str
) -> None:
    """Claim the tables of this grid; the table of claims exists.

    Raises:
        ForeignProjectError: the tables belong to another project, or describe another store.
    """
    own = verify_tables(transaction, tables, claimant, database=database)
    if not is_claimed(own, claimant):
        _write(transaction, tables, claimant)


def take_tables(transaction: Transaction, tables: Tables, claimant: Claimant) -> None:
    """Make the tables belong to a project, whatever project they belonged to."""
    execute(transaction, sa.delete(tables.table(PROJECT_CLAIM)))
    _write(transaction, tables, claimant)


def recorded_claims(transaction: Transaction, tables: Tables) -> dict[str, Claim]:
    """Return grid -> claim; empty in a new database, or one made by an earlier version."""
    if PROJECT_CLAIM not in transaction.relations():
        return {}
    table = tables.table(PROJECT_CLAIM)
    columns = [table.c[name] for name in _COLUMNS]
    rows = execute(transaction, sa.select(*columns).order_by(table.c.grid_id))
    return {
        str(grid_id): Claim(
            project=str(project),
            file=str(file),
            name_is_set=bool(name_is_set),
            store=str(store or ""),
            store_id=str(store_id or ""),
        )
        for grid_id, project, file, name_is_set, store, store_id in rows
    }


def _write(transaction: Transaction, tables: Tables, claimant: Claimant) -> None:
    """Replace the row of this grid; rows of other grids are the same project's."""
    table, claim = tables.table(PROJECT_CLAIM), claimant.claim
    owner = {"project": claim.project, "file": claim.file, "name_is_set": claim.name_is_set}
    execute(transaction, sa.update(table).where(table.c.project != claim.project).values(owner))
    execute(transaction, sa.delete(table).where(table.c.grid_id == claimant.grid_id))
    row = {
        "grid_id": claimant.grid_id,
        **owner,
        "store": claim.store or None,
        "store_id": claim.store_id or None,
    }
    execute(transaction, sa.insert(table).values(row))


def _own_tables(transaction: Transaction, claimant: Claimant) -> str:
    """Return the remedy that gives a project tables of its own."""
    name = claimant.claim.project
    if isinstance(transaction.dialect, DuckDialect):
        return (
            "Give this project a file of its own: [database] url = "
            f'"duckdb:///data/{name}.duckdb", or $SPATIAL_ASSETS_DATABASE_URL'
        )
    return (
        f'Give this project a schema of its own: [database] schema = "{name}", or ?schema={name} '
        "in the URL"
    )
