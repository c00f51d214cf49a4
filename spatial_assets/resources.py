"""What assets work with, as Dagster resources: opened when a step asks, never at import.

Thin: each field says what it is, each method opens the real thing. Secrets come from the
environment, so no field of a resource holds one.
"""

# No `from __future__ import annotations` here: Dagster's resources are pydantic models and read
# their annotations when the class is made.
import datetime as dt
import os
import socket
from collections.abc import Iterator
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


class StoreResource(dg.ConfigurableResource):
    """Where the product lives: rasters, cubes, manifests, validated boundaries."""

    url: str = Field(description="Absolute folder, or s3://bucket/prefix. Keys: AWS_* variables.")

    def open(self) -> "ObjectStore":
        """The object store; nothing is created before the first write."""
        from spatial_assets.stores.objects.store import open_store

        return open_store(self.url)


class DatabaseResource(dg.ConfigurableResource):
    """Where the tables live: DuckDB in a file, or PostGIS."""

    url: str = Field(
        description="duckdb:///path or postgresql+psycopg://...; shown without the login, which "
        "the project has from $SPATIAL_ASSETS_DATABASE_URL."
    )
    pool_size: int = Field(default=4, ge=1, description="Most connections to PostGIS at a time.")

    @contextmanager
    def open(self, project: Project) -> "Iterator[Database]":
        """The database with the project's tables; its connections are let go at the end."""
        from spatial_assets.stores.tables.database import open_database

        is_the_projects = self.url == mask_secrets(project.database_url)
        url = project.database_url if is_the_projects else self.url
        with open_database(url, pool_size=self.pool_size) as database:
            database.ensure_schema(project.boundaries, project.indices.names)
            yield database


class CatalogResource(dg.ConfigurableResource):
    """Where scenes are found."""

    url: str = Field(description="Folder, catalog.json, stac-geoparquet file, or a STAC API.")
    collections: list[str] = Field(default_factory=list, description="Collections; none: all.")

    def scenes(self, project: Project) -> "Catalogue":
        """Every scene of the project's area, and what was refused."""
        from spatial_assets.catalog import find_scenes

        chosen = {"catalog": self.url, "collections": tuple(self.collections)}
        return find_scenes(
            project.model_copy(update={"scenes": project.scenes.model_copy(update=chosen)})
        )


class EngineResource(dg.ConfigurableResource):
    """Where tiles are computed: processes on this machine, or the workers of a Dask cluster."""

    workers: int = Field(ge=0, description="Processes; 0: within the step's own process.")
    dask: str = Field(
        default="",
        description="Address of a Dask scheduler whose workers are used instead; none: empty.",
    )
    gdal_cache_mb: int = Field(ge=1, description="GDAL block cache of each process, in MB.")

    def start(self, project: Project, store: "ObjectStore") -> "Engine":
        """The engine for a run of the project."""
        from spatial_assets.pipeline.engines.choice import chosen_engine

        return chosen_engine(
            project,
            store,
            workers=self.workers,
            gdal_cache_mb=self.gdal_cache_mb,
            dask=self.dask,
        )


def project_resources(project: Project) -> dict[str, ProjectResource]:
    """The resources of a project, by the names that assets ask for."""
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
    """dagster-aws's S3Resource, for the assets of people who want buckets or presigned links.

    dagster_aws takes longer to import than Dagster itself: a step that asks for `s3: S3Resource`
    waits for it, and no other does.
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
    """Who holds a lease, for people: host, process and run."""
    return f"{socket.gethostname()} process {os.getpid()} run {run_id}"


def now() -> dt.datetime:
    """The present moment, UTC: the one clock of the Dagster floors."""
    return dt.datetime.now(dt.UTC)
