"""Ownership of a store and a database: claimed before the first write, verified before a read.

Nothing is written to either before both are known to be this project's.
"""

from __future__ import annotations

from spatial_assets.project import Project
from spatial_assets.stores.claims import Claimant
from spatial_assets.stores.objects.regrid_journal import refuse_during_regrid
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.objects.store_claim import claim_store, take_store, verify_store
from spatial_assets.stores.tables.database import Database


def claim(project: Project, store: ObjectStore, database: Database | None = None) -> None:
    """Claim the store and the database for a project, and create its missing tables.

    Raises:
        ForeignProjectError: one of them belongs to another project; nothing was written to either.
        DatabaseError: a table is not as declared, or the database does not answer.
    """
    if database is None:
        claim_store(store, Claimant.of(project))
        refuse_during_regrid(store)
        return
    verify(project, store, database)
    claimed = claim_store(store, Claimant.of(project))
    claimant = Claimant.of(project).with_store(store.url, claimed.store_id)
    database.ensure_schema(project.boundaries, project.indices.names, claimant=claimant)


def verify(project: Project, store: ObjectStore | None, database: Database | None) -> None:
    """Verify that store and database are this project's, or nobody's yet; nothing is written.

    Raises:
        ForeignProjectError: one of them belongs to another project.
        RegridUnderWayError: the objects of the store are being moved.
    """
    verify_owner(project, store, database)
    if store is not None:
        refuse_during_regrid(store)


def verify_owner(project: Project, store: ObjectStore | None, database: Database | None) -> None:
    """Verify as `verify` does, also while objects are being moved; for `regrid`."""
    claimant = Claimant.of(project)
    if store is not None:
        found = verify_store(store, claimant)
        claimant = claimant.with_store(store.url, found.store_id if found else "")
    if database is not None:
        database.verify_claim(claimant)


def take_over(project: Project, store: ObjectStore, database: Database) -> None:
    """Make store and database belong to a project, whatever project they belonged to."""
    claimed = take_store(store, Claimant.of(project))
    database.take_over(Claimant.of(project).with_store(store.url, claimed.store_id))
