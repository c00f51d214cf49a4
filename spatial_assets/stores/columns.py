"""How a column, a type and a name are declared: the words the tables are written in.

Which tables there are belongs in `tables`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.records import ColumnType

Kind = sa.types.TypeEngine[Any]

SRID = 4326
LONGEST_NAME = 63  # bytes; PostgreSQL cuts a longer one without an error
COLUMN_TYPES: Mapping[ColumnType, type[Kind]] = {
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


def json() -> Kind:
    """JSON, binary where the database has it."""
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def multipolygon() -> Kind:
    """A MultiPolygon in lon/lat; its index is declared, not made behind our back."""
    geometry: Kind = Geometry("MULTIPOLYGON", srid=SRID, spatial_index=False)
    return geometry


def column(
    name: str, kind: Kind | type[Kind], comment: str, *, null: bool = False
) -> sa.Column[object]:
    """A column that says what it holds; quoted, since each database reserves other words."""
    return sa.Column(name, kind, nullable=null, comment=comment, quote=True)


def key_column(name: str, comment: str, kind: type[Kind] = sa.Text) -> sa.Column[object]:
    """A column of the primary key; keys are ours to give, never counted by the database."""
    return sa.Column(name, kind, primary_key=True, autoincrement=False, comment=comment)


def column_type(kind: ColumnType) -> Kind:
    """The database type of a carried column."""
    return timestamp() if kind == "timestamp" else COLUMN_TYPES[kind]()


def checked_name(name: str, what: str, *, room: int = 0) -> str:
    """`name`, if both databases take it as it is.

    Raises:
        DatabaseError: it is empty, holds a NUL or half a surrogate pair, or is too long.
    """
    size = len(name.encode(errors="replace"))
    if not name or "\0" in name or not is_unicode(name) or size + room > LONGEST_NAME:
        raise DatabaseError(
            f"{what} name {name!r} is {size} bytes long; a database takes 1 to "
            f"{LONGEST_NAME - room} bytes of text without NUL"
        )
    return name


def is_unicode(text: str) -> bool:
    """Whether `text` can be written as UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def index_name(table: str, suffix: str) -> str:
    """The name of an index; readable unless that is too long."""
    name = f"ix_{table}_{suffix}"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"ix_{hashlib.sha256(table.encode()).hexdigest()[:16]}_{suffix}"
