"""Whether storage and database answer, and may be written to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

from spatial_assets.cli.diagnosis.finding import Finding, asked
from spatial_assets.errors import StoreError
from spatial_assets.project import Project

if TYPE_CHECKING:
    from spatial_assets.stores.transactions import Transaction

PATIENCE_SECONDS = 10.0  # for a DuckDB file that a run holds; longer would look like a hang


def storage(project: Project) -> Finding:
    """Write, read and delete one small object."""
    from spatial_assets.stores.objects import open_store  # noqa: PLC0415  (obstore)

    def question() -> str:
        store = open_store(project.storage_url)
        path, data = f"check-{uuid4().hex}", os.urandom(64)
        store.put(path, data)
        try:
            if store.get(path) != data:
                message = f"{project.storage_url} gives back other bytes than were written"
                raise StoreError(message)
        finally:
            store.delete(path)
        return f"{project.storage_url}: written, read and deleted"

    remedy = "make it writable, correct [storage] url or $SPATIAL_ASSETS_STORAGE_URL, or its keys"
    return asked("storage", question, remedy=remedy)


def database(project: Project) -> Finding:
    """Connect and ask for the spatial extension."""
    from spatial_assets.stores.database import open_database  # noqa: PLC0415
    from spatial_assets.stores.relational import RelationalDatabase  # noqa: PLC0415

    def question() -> str:
        url = project.database_url
        with open_database(url, pool_size=1, lock_timeout=PATIENCE_SECONDS) as connected:
            version = connected.spatial_version()
            # Only a query opens a DuckDB file and shows whether it is one.
            tables: dict[str, dict[str, str]] = {}
            if isinstance(connected, RelationalDatabase):
                tables = connected.within(_relations, write=False)
            return f"{connected.url}: {version}, {len(tables)} tables and views"

    remedy = (
        "start it, correct [database] url or $SPATIAL_ASSETS_DATABASE_URL; "
        "in PostgreSQL: CREATE EXTENSION postgis"
    )
    return asked("database", question, remedy=remedy)


def _relations(transaction: Transaction) -> dict[str, dict[str, str]]:
    """Tables and views there are."""
    return transaction.relations()
