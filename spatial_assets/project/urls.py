"""URLs and paths of storage, database and sources, resolved against the project folder."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, quote

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_DUCKDB = "duckdb:///"
_POSTGRES = ("postgresql+psycopg://", "postgresql://", "postgres://")

STORAGE_REMEDY = 'give a folder or "s3://bucket/prefix"'
DATABASE_REMEDY = (
    'give "duckdb:///data/spatial.duckdb" or "postgresql+psycopg://user@host:5432/database"'
)


SCHEMA_REMEDY = "give the schema once; a DuckDB file has none: give each project its own file"


def is_url(reference: str) -> bool:
    """Return True if `reference` has a scheme, as in s3:// or https://."""
    return _SCHEME.match(reference) is not None


def resolved_reference(reference: str, root: Path) -> str:
    """Return a URL unchanged, and a path as absolute: relative to `root`, ~ is the home folder."""
    if reference.startswith("file://"):
        reference = reference.removeprefix("file://")
    if is_url(reference):
        return reference
    return str((root / Path(reference).expanduser()).resolve())


def storage_problem(url: str) -> str | None:
    """Return the problem of a storage URL, or None."""
    if url.startswith("s3://"):
        return None if url.removeprefix("s3://").strip("/") else "names no bucket"
    if is_url(url) and not url.startswith("file:///"):
        return "is neither a folder nor an s3:// URL"
    return None


def resolved_database_url(url: str, root: Path) -> str | None:
    """Return a database URL in the form that SQLAlchemy takes; None if its kind is unknown.

    DuckDB's three slashes are followed by a path relative to `root` (~ is the home folder), four by
    an absolute one.
    """
    if url.startswith(_DUCKDB):
        path = url.removeprefix(_DUCKDB)
        return f"{_DUCKDB}{(root / Path(path).expanduser()).resolve()}" if path else None
    for prefix in _POSTGRES:
        if url.startswith(prefix):
            # SQLAlchemy's default driver depends on its version; this package uses psycopg 3.
            return f"{_POSTGRES[0]}{url.removeprefix(prefix)}"
    return None


def with_schema(url: str, schema: str | None) -> str:
    """Return a database URL that names the schema of our tables, unless it names one itself."""
    if schema is None or schema_in(url) is not None:
        return url
    return f"{url}{'&' if _query(url) else '?'}schema={quote(schema, safe='')}"


def schema_problem(url: str, schema: str | None) -> str | None:
    """Return the problem of `[database] schema` beside a database URL, or None."""
    if schema is None:
        return None
    if url.startswith(_DUCKDB):
        return "is for PostGIS, and the database is a DuckDB file"
    named = schema_in(url)
    return None if named in {None, schema} else f"differs from ?schema={named} of the URL"


def schema_in(url: str) -> str | None:
    """Return the schema that a database URL names, or None."""
    return parse_qs(_query(url)).get("schema", [None])[-1]


def _query(url: str) -> str:
    """Return the query of a URL, whose password may hold an unescaped question mark."""
    return url.rpartition("@")[2].partition("?")[2]
