"""The table of one boundary set, whatever its user calls it and its columns."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.columns import (
    checked_name,
    column,
    column_type,
    index_name,
    key_column,
    multipolygon,
)
from spatial_assets.stores.records import BoundaryDeclaration, BoundarySet


def boundary_table(metadata: sa.MetaData, declared: BoundaryDeclaration) -> sa.Table:
    """One row for each feature of a boundary set."""
    name = checked_name(declared.name, "boundary set")
    key = (declared.key,) if isinstance(declared.key, str) else tuple(declared.key)
    carried = [*key, *(each for each in declared.columns if each not in key)]
    types = declared.types if isinstance(declared, BoundarySet) else {}
    ours = [
        key_column("boundary_key", "The key as text; statistics refer to it."),
        column("geometry", multipolygon(), "Boundary in lon/lat (EPSG:4326)."),
        column("area_m2", sa.Double, "True area on the ellipsoid, square metres."),
        column("feature_fingerprint", sa.Text, "Hash of key, columns and geometry."),
        column("source", sa.Text, "File the feature was read from."),
    ]
    refuse_shared_columns(name, [each.name for each in ours], carried)
    if not key:
        raise DatabaseError(f"boundary set {name!r} has no key column; name one in `key`")
    theirs = [
        column(
            each,
            column_type(types.get(each, "text")),
            "Key, as the source has it." if each in key else "As the source has it.",
            null=each not in key,
        )
        for each in carried
    ]
    return sa.Table(
        name,
        metadata,
        ours[0],
        *theirs,
        *ours[1:],
        sa.Index(index_name(name, "geometry"), "geometry", postgresql_using="gist"),
        quote=True,
        comment=f"Boundaries of the set {name}: valid, in lon/lat.",
        info={"key": key, "carried": frozenset(carried)},
    )


def refuse_shared_columns(table: str, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Refuse column names that cannot be, or that are one and the same to a database.

    Raises:
        DatabaseError: naming the column and the remedy.
    """
    taken = {each.casefold() for each in ours}
    for each in theirs:
        checked_name(each, "column")
        if each.casefold() in taken:
            raise DatabaseError(
                f"boundary set {table!r}: its column {each!r} has a name that is taken "
                f"(ours: {', '.join(ours)}); rename it in the source"
            )
        taken.add(each.casefold())
