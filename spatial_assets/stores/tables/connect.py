"""The database that a URL names.

Light: neither SQLAlchemy nor a driver is imported before a URL asks for it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spatial_assets.errors import DatabaseError
from spatial_assets.retries import answer_timeout

if TYPE_CHECKING:
    from spatial_assets.stores.tables.database import Database


DUCKDB_PREFIX = "duckdb:///"
POSTGRES_PREFIXES = ("postgresql+psycopg://", "postgresql://", "postgres://")


def open_database(
    url: str,
    *,
    pool_size: int = 4,
    connect_timeout: float = 10.0,
    statement_timeout: float | None = None,
    lock_timeout: float = 60.0,
    outage: float | None = None,
) -> Database:
    """Open the database at a URL; nothing is contacted or created before its first use.

    Args:
        url: `duckdb:///path` (four slashes: absolute) or `postgresql+psycopg://...`, the latter
            with `?schema=name` to keep the tables elsewhere than in the user's first schema.
        pool_size: maximum number of connections to PostGIS.
        connect_timeout: seconds for PostGIS to accept a connection.
        statement_timeout: seconds a statement may take in PostGIS; default:
            $SPATIAL_ASSETS_TIMEOUT, else 300.
        lock_timeout: seconds to wait for a DuckDB file that is locked, or for a free connection.
        outage: seconds to wait for a PostGIS server that stopped to answer; default: 6, for
            somebody who waits. A connection that another thread uses is waited for as long.

    Raises:
        DatabaseError: the URL names neither kind of database.
        SettingsError: $SPATIAL_ASSETS_TIMEOUT is not a number of seconds.
    """
    if url.startswith(DUCKDB_PREFIX):
        from spatial_assets.stores.tables.duckdb.database import DuckDatabase

        return DuckDatabase(url.removeprefix(DUCKDB_PREFIX), lock_timeout=lock_timeout)
    for prefix in POSTGRES_PREFIXES:
        if url.startswith(prefix):
            from spatial_assets.stores.tables.postgis.database import Limits, PostgisDatabase

            statement = statement_timeout or answer_timeout(os.environ, default=Limits.statement)
            limits = Limits(
                pool_size=pool_size,
                connect=min(connect_timeout, statement),
                statement=statement,
                pool_wait=max(lock_timeout, outage or 0.0),
                retry=outage or Limits.retry,
            )
            return PostgisDatabase(f"{POSTGRES_PREFIXES[0]}{url.removeprefix(prefix)}", limits)
    raise _unknown_url(url)


def _unknown_url(url: str) -> DatabaseError:
    """Return the error for any other URL, with its scheme only: a URL may have a password."""
    scheme = url.partition("://")[0] if "://" in url else "no scheme"
    return DatabaseError(
        f"not a database URL ({scheme}): wanted duckdb:///path or "
        "postgresql+psycopg://user@host:5432/database"
    )
