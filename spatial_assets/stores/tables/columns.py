"""How a column and a type are declared: the words the tables are written in.

Which tables there are belongs in `tables`.
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

SRID = 4326
COLUMN_TYPES: Mapping[ColumnType, type[SqlType]] = {
    "text": sa.Text,
    "integer": sa.BigInteger,
    "number": sa.Double,
    "date": sa.Date,
    "timestamp": sa.DateTime,
    "boolean": sa.Boolean,
}


def timestamp() -> sa.DateTime:
    """A moment, never a local time."""
    return sa.DateTime(timezone=True)


def json() -> SqlType:
    """JSON, binary where the database has it."""
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def multipolygon() -> SqlType:
    """A MultiPolygon in lon/lat; its index is declared, not made behind our back."""
    geometry: SqlType = Geometry("MULTIPOLYGON", srid=SRID, spatial_index=False)
    return geometry


def column(
    name: str, kind: SqlType | type[SqlType], comment: str, *, null: bool = False
) -> sa.Column[object]:
    """A column that says what it holds; quoted, since each database reserves other words."""
    return sa.Column(name, kind, nullable=null, comment=comment, quote=True)


def key_column(name: str, comment: str, kind: type[SqlType] = sa.Text) -> sa.Column[object]:
    """A column of the primary key; keys are ours to give, never counted by the database."""
    return sa.Column(name, kind, primary_key=True, autoincrement=False, comment=comment)


def shown(told: PublicColumn) -> sa.Column[object]:
    """A column that people see, as the database has it."""
    if told.kind == "multipolygon":
        return column(told.name, multipolygon(), told.comment, null=told.null)
    kind = timestamp() if told.kind == "timestamp" else COLUMN_TYPES[told.kind]()
    if told.key:
        return key_column(told.name, told.comment, type(kind))
    return column(told.name, kind, told.comment, null=told.null)


def index_name(table: str, suffix: str) -> str:
    """The name of an index; readable unless that is too long."""
    name = f"ix_{table}_{suffix}"
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    return f"ix_{hashlib.sha256(table.encode()).hexdigest()[:16]}_{suffix}"
