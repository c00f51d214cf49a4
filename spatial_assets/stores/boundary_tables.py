"""The table of one boundary set, whatever its user calls it and its columns."""

from __future__ import annotations

import sqlalchemy as sa

from spatial_assets.stores.columns import index_name, shown
from spatial_assets.stores.names import checked_name
from spatial_assets.stores.records import BoundaryDeclaration
from spatial_assets.stores.shown import boundary_columns, keys_of


def boundary_table(metadata: sa.MetaData, declared: BoundaryDeclaration) -> sa.Table:
    """One row for each feature of a boundary set."""
    name = checked_name(declared.name, "boundary set")
    key = keys_of(declared)
    return sa.Table(
        name,
        metadata,
        *map(shown, boundary_columns(declared)),
        sa.Index(index_name(name, "geometry"), "geometry", postgresql_using="gist"),
        quote=True,
        comment=f"Boundaries of the set {name}: valid, in lon/lat.",
        info={"key": key, "carried": frozenset([*key, *declared.columns])},
    )
