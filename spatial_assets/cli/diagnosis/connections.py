"""Checks of the connections to storage, database and Dask cluster."""

from __future__ import annotations

import os
from uuid import uuid4

from spatial_assets.cli.diagnosis.finding import Finding, run_check
from spatial_assets.errors import StoreError
from spatial_assets.project import Project

LOCK_TIMEOUT_SECONDS = 10.0  # for a DuckDB file that a run has locked; longer looks like a hang


def storage(project: Project) -> Finding:
    """Write, read and delete one small object, and create one that exists already."""
    from spatial_assets.stores.objects.leases import require_exclusive_creation
    from spatial_assets.stores.objects.store import open_store

    def check() -> str:
        store = open_store(project.storage_url)
        path, data = f"check-{uuid4().hex}", os.urandom(64)
        store.put(path, data)
        try:
            if store.get(path) != data:
                message = f"{project.storage_url} returned other bytes than were written"
                raise StoreError(message)
        finally:
            store.delete(path)
        require_exclusive_creation(store)
        return f"{project.storage_url}: written, read and deleted; created once only"

    remedy = "make it writable, or correct [storage] url, $SPATIAL_ASSETS_STORAGE_URL or its keys"
    return run_check("storage", check, remedy=remedy)


def database(project: Project) -> Finding:
    """Connect and query the version of the spatial extension."""
    from spatial_assets.stores.tables.connect import open_database

    def check() -> str:
        url = project.database_url
        with open_database(url, pool_size=1, lock_timeout=LOCK_TIMEOUT_SECONDS) as connected:
            version = connected.spatial_version()
            # Only a query opens a DuckDB file and shows whether it is one.
            tables = connected.relations()
            return f"{connected.url}: {version}, {len(tables)} tables and views"

    remedy = (
        "start it, or correct [database] url or $SPATIAL_ASSETS_DATABASE_URL; "
        "PostgreSQL needs CREATE EXTENSION postgis"
    )
    return run_check("database", check, remedy=remedy)


def cluster(project: Project) -> Finding:
    """Have every worker check its software and its access to the store."""
    from spatial_assets.pipeline.engines.choice import local_folders
    from spatial_assets.pipeline.engines.dask_engine import ClusterEngine, ClusterTimeouts
    from spatial_assets.stores.objects.store import open_store

    compute = project.compute
    engine = ClusterEngine(
        address=compute.dask,
        store=open_store(project.storage_url),
        gdal_cache_mb=compute.gdal_cache_mb,
        folders=local_folders(project),
        timeouts=ClusterTimeouts(connect=5.0),
    )
    remedy = "start scheduler and workers from the same image as here, or remove [compute] dask"
    return run_check("Dask cluster", engine.examine, remedy=remedy)
