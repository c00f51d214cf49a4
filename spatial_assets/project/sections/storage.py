"""[storage] and [database]: the locations of the product, as URLs without secrets."""

from __future__ import annotations

from pydantic import Field

from spatial_assets.project.base import Table


class StorageSettings(Table):
    """The object store."""

    url: str = Field(
        default="data",
        min_length=1,
        description="a folder or s3://bucket/prefix",
        examples=["data"],
    )


class DatabaseSettings(Table):
    """The database of boundaries, statistics and states."""

    url: str = Field(
        default="duckdb:///data/spatial.duckdb",
        repr=False,  # may come from the environment with a password
        min_length=1,
        description="a DuckDB file or a PostGIS database",
        examples=["duckdb:///data/spatial.duckdb"],
    )
    schema_name: str | None = Field(
        default=None,
        alias="schema",
        min_length=1,
        description="the schema of the tables in PostGIS; default: the user's first",
        examples=["vipava"],
    )
    pool_size: int = Field(
        default=4, ge=1, description="connections kept open to PostGIS", examples=[4]
    )
