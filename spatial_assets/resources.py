"""Dagster resources of the assets: store, database, catalogue, engine and S3.

A resource only describes what it opens, which happens when a step uses it, never at import. Secrets
come from the environment, so no field of a resource holds one.
"""

# No `from __future__ import annotations`: Dagster's resources are pydantic models, which read their
# annotations when the class is defined.

import datetime as dt
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import dagster as dg
from pydantic import Field

from spatial_assets.project import Project
from spatial_assets.project.secrets import mask_secrets

if TYPE_CHECKING:
    from dagster_aws.s3 import S3Resource

    from spatial_assets.catalog import Catalogue
    from spatial_assets.pipeline.engines.engine import Engine
    from spatial_assets.stores.objects.store import ObjectStore
    from spatial_assets.stores.tables.database import Database


ProjectResource: TypeAlias = dg.ConfigurableResource | dg.ResourceDefinition

UtcClock: TypeAlias = Callable[[], dt.datetime]
"""Function that returns the current time in UTC."""


OUTAGE_SECONDS = 300.0
"""Time that a run waits for its database: longer than a restart or a failover, and as long as for
Dagster's own records, which often are on the same server."""


class StoreResource(dg.ConfigurableResource):
    """The object store of the product: rasters, cubes, manifests and validated boundaries."""

    url: str = Field(description="Absolute folder, or s3://bucket/prefix. Keys: AWS_* variables.")

    def open(self) -> "ObjectStore":
        """Open the object store; nothing is created before the first write."""
        from spatial_assets.stores.objects.store import open_store

        return open_store(self.url)


class DatabaseResource(dg.ConfigurableResource):
    """The database of the tables: DuckDB in a file, or PostGIS."""

    url: str = Field(
        description="duckdb:///path or postgresql+psycopg://...; shown without the login, which "
        "the project reads from $SPATIAL_ASSETS_DATABASE_URL."
    )
    pool_size: int = Field(default=4, ge=1, description="Maximum number of connections to PostGIS.")

    @contextmanager
    def open(self, project: Project) -> "Iterator[Database]":
        """Open the database with the project's tables; its connections are closed at the end.

        Raises:
            ForeignProjectError: the tables belong to another project.
        """
        from spatial_assets.stores.claims import Claimant
        from spatial_assets.stores.tables.connect import open_database

        is_the_projects = self.url == mask_secrets(project.database_url)
        url = project.database_url if is_the_projects else self.url
        with open_database(url, pool_size=self.pool_size, outage=OUTAGE_SECONDS) as database:
            claimant = Claimant.of(project)
            database.ensure_schema(project.boundaries, project.indices.names, claimant=claimant)
            yield database


class CatalogResource(dg.ConfigurableResource):
    """The catalogue in which scenes are found."""

    url: str = Field(description="Folder, catalog.json, stac-geoparquet file, or STAC API.")
    collections: list[str] = Field(default_factory=list, description="Collections; empty: all.")

    def scenes(self, project: Project) -> "Catalogue":
        """Return every scene of the project's area, and the refused items."""
        from spatial_assets.catalog import find_scenes

        chosen = {"catalog": self.url, "collections": tuple(self.collections)}
        return find_scenes(
            project.model_copy(update={"scenes": project.scenes.model_copy(update=chosen)})
        )


class EngineResource(dg.ConfigurableResource):
    """The engine that computes tiles: processes on this machine, or workers of a Dask cluster."""

    workers: int = Field(ge=0, description="Number of processes; 0: the step's own process.")
    dask: str = Field(
        default="",
        description="Address of a Dask scheduler whose workers to use instead; empty: none.",
    )
    gdal_cache_mb: int = Field(ge=1, description="GDAL block cache of each process, in MB.")

    def start(self, project: Project, store: "ObjectStore") -> "Engine":
        """Start the engine for a run of the project."""
        from spatial_assets.pipeline.engines.choice import chosen_engine

        return chosen_engine(
            project,
            store,
            workers=self.workers,
            gdal_cache_mb=self.gdal_cache_mb,
            dask=self.dask,
        )


def project_resources(project: Project) -> dict[str, ProjectResource]:
    """Return the resources of a project by name."""
    resources: dict[str, ProjectResource] = {
        "store": StoreResource(url=project.storage_url),
        "database": DatabaseResource(
            url=mask_secrets(project.database_url), pool_size=project.database.pool_size
        ),
        "catalog": CatalogResource(
            url=project.catalog_url, collections=list(project.scenes.collections)
        ),
        "engine": EngineResource(
            workers=project.compute.workers,
            dask=project.compute.dask,
            gdal_cache_mb=project.compute.gdal_cache_mb,
        ),
    }
    if project.storage_url.startswith("s3://"):
        resources["s3"] = s3_resource()
    return resources


def s3_resource() -> dg.ResourceDefinition:
    """Return dagster-aws's S3Resource, for user assets that need buckets or presigned URLs.

    dagster_aws takes longer to import than Dagster itself, so only a step that uses
    `s3: S3Resource` imports it.
    """

    @dg.resource(description="S3 clients at the endpoint of the project's store (dagster-aws).")
    def s3(_context: dg.InitResourceContext) -> "S3Resource":
        from dagster_aws.s3 import S3Resource

        from spatial_assets.stores.objects.location import endpoint_of

        return S3Resource(
            endpoint_url=endpoint_of(os.environ) or None, region_name=os.environ.get("AWS_REGION")
        )

    return s3


def writer(run_id: str) -> str:
    """Return a readable owner of leases: host, process and run."""
    return f"{socket.gethostname()} process {os.getpid()} run {run_id}"


def now() -> dt.datetime:
    """Return the current time in UTC; everything above this module uses this clock."""
    return dt.datetime.now(dt.UTC)
