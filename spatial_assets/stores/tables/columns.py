"""Declarations of columns and types.

The tables are declared in `declarations`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

from spatial_assets.stores.public_columns import PublicColumn
from spatial_assets.stores.rows import ColumnType
from spatial_assets.stores.sql_names import MAX_NAME_BYTES

SqlType = sa.types.TypeEngine[Any]


class LocalDateTime(sa.DateTime):
    """Date and time without a time zone, as a boundary file has it; never one of ours."""


SRID = 4326
COLUMN_TYPES: Mapping[ColumnType, type[SqlType]] = {
    "text": sa.Text,
    "integer": sa.BigInteger,
    "number": sa.Double,
    "date": sa.Date,
    "timestamp": sa.DateTime,
    "local_timestamp": LocalDateTime,
    "boolean": sa.Boolean,
}


def timestamp() -> sa.DateTime:
    """Timestamp with time zone, never a local time."""
    return sa.DateTime(timezone=True)


def json() -> SqlType:
    """JSON, binary if the database supports it."""
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def multipolygon() -> SqlType:
    """MultiPolygon in lon/lat; its index is declared separately, not created implicitly."""
    geometry: SqlType = Geometry("MULTIPOLYGON", srid=SRID, spatial_index=False)
    return geometry


def column(
    name: str, kind: SqlType | type[SqlType], comment: str, *, null: bool = False
) -> sa.Column[object]:
    """Declare a column with a comment; quoted, since each database reserves other words."""
    return sa.Column(name, kind, nullable=null, comment=comment, quote=True)


def key_column(name: str, comment: str, kind: type[SqlType] = sa.Text) -> sa.Column[object]:
    """Declare a column of the primary key; the database never generates keys."""
    return sa.Column(name, kind, primary_key=True, autoincrement=False, comment=comment)


def public_type(kind: ColumnType) -> SqlType:
    """Return the type of a column of this kind."""
    return timestamp() if kind == "timestamp" else COLUMN_TYPES[kind]()


def public_column(declared: PublicColumn) -> sa.Column[object]:
    """Declare a public column."""
    if declared.kind == "multipolygon":
        return column(declared.name, multipolygon(), declared.comment, null=declared.null)
    kind = public_type(declared.kind)
    if declared.key:
        return key_column(declared.name, declared.comment, type(kind))
    return column(declared.name, kind, declared.comment, null=declared.null)


def index_name(table: str, suffix: str) -> str:
    """Name of an index; a hash replaces the table name if it is too long."""
    name = f"ix_{table}_{suffix}"
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    return f"ix_{hashlib.sha256(table.encode()).hexdigest()[:16]}_{suffix}"
