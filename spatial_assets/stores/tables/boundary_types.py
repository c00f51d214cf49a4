"""Types of the columns that a boundary table takes from its source.

They follow the values, which no setting names: a set that was not loaded yet is declared as it is
stored, and loading it changes the columns whose type is another one now.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from spatial_assets.stores.public_columns import keys_of
from spatial_assets.stores.rows import BoundaryDeclaration, BoundarySet, ColumnType
from spatial_assets.stores.tables.columns import COLUMN_TYPES, public_type
from spatial_assets.stores.tables.ddl import column_retyping, type_name


def as_stored(
    declared: BoundaryDeclaration, existing: Mapping[str, str], dialect: PGDialect
) -> BoundarySet:
    """Return a declaration whose columns have a type: their own, else the one of the database.

    Args:
        declared: boundary set; only a `BoundarySet` knows types.
        existing: column -> type of its table, as the database names it; {} if there is none.
        dialect: of the database.
    """
    known: dict[str, ColumnType] = {kind_name(kind, dialect): kind for kind in COLUMN_TYPES}
    carried = {*keys_of(declared), *declared.columns}
    stored = {
        name: known[existing[name].casefold()]
        for name in carried
        if name in existing and existing[name].casefold() in known
    }
    own = declared.types if isinstance(declared, BoundarySet) else {}
    return BoundarySet(
        name=declared.name,
        key=declared.key,
        columns=tuple(declared.columns),
        types={**stored, **own},
    )


def retypings(table: sa.Table, existing: Mapping[str, str], dialect: PGDialect) -> list[str]:
    """Statements that give the columns of a boundary table their declared types.

    Only of columns that come from the source, and that have one of our types: any other difference
    is drift, and refused elsewhere.
    """
    known = {kind_name(kind, dialect) for kind in COLUMN_TYPES}
    return [
        column_retyping(column, dialect)
        for column in table.columns
        if column.name in table.info["carried"]
        and (found := existing.get(column.name, "").casefold()) in known
        and found != type_name(column, dialect).casefold()
    ]


def kind_name(kind: ColumnType, dialect: PGDialect) -> str:
    """Type of a column of this kind, as the database names it, in lower case."""
    return type_name(sa.Column("any", public_type(kind)), dialect).casefold()
