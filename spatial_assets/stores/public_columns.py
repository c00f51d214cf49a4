"""Columns of the tables that users see, each with a description.

Light: both the declarations in `tables` and the column schemas in the user interface are built from
them, and the user interface needs no database library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.rows import BoundaryDeclaration, BoundarySet, ColumnType
from spatial_assets.stores.sql_names import checked_name, refuse_shared_columns

ColumnKind = ColumnType | Literal["multipolygon"]

POSTGIS_TYPES: Mapping[ColumnKind, str] = {
    "text": "text",
    "integer": "bigint",
    "number": "double precision",
    "date": "date",
    "timestamp": "timestamp with time zone",
    "local_timestamp": "timestamp without time zone",
    "boolean": "boolean",
    "multipolygon": "geometry(multipolygon,4326)",
}
"""Kind -> type name in PostGIS."""


@dataclass(frozen=True)
class PublicColumn:
    """A column with a description."""

    name: str
    kind: ColumnKind
    comment: str
    null: bool = False
    """True if a value may be unknown."""

    key: bool = False
    """True if it is part of the primary key; the database never generates keys."""

    @property
    def type(self) -> str:
        """Type name in PostGIS, in lower case."""
        return POSTGIS_TYPES[self.kind]


STATISTICS_COLUMNS = (
    PublicColumn("grid_id", "text", "Identity of the pixel grid.", key=True),
    PublicColumn("tile", "text", "Key of the tile.", key=True),
    PublicColumn("period", "text", "Label of the period, e.g. 2023-08.", key=True),
    PublicColumn("boundary_table", "text", "Boundary set the boundary is of.", key=True),
    PublicColumn("boundary_key", "text", "Key of the boundary, as text.", key=True),
    PublicColumn("period_start", "date", "First day of the period."),
    PublicColumn("pixels", "number", "Pixels within the boundary, each counted by its coverage."),
    PublicColumn("weight", "number", "Area of valid pixels within the boundary, square metres."),
    PublicColumn("sum", "number", "Sum of area x value."),
    PublicColumn("sum_squares", "number", "Sum of area x value squared."),
    PublicColumn("min", "number", "Smallest valid value; null if none.", null=True),
    PublicColumn("max", "number", "Largest valid value; null if none.", null=True),
    PublicColumn("area_total", "number", "Area of all pixels within the boundary, square metres."),
)
"""Columns of the contribution of each tile to the statistics of each boundary."""

TILE_INDEX_COLUMNS = (
    PublicColumn("grid_id", "text", "Identity of the pixel grid.", key=True),
    PublicColumn("tile", "text", "Key of the tile.", key=True),
    PublicColumn("index_name", "text", "Spectral index, e.g. ndvi.", key=True),
    PublicColumn("period", "text", "Label of the period, e.g. 2023-08.", key=True),
    PublicColumn("period_start", "date", "First day of the period."),
    PublicColumn("valid_fraction", "number", "Share of the tile's pixels that are valid, 0 to 1."),
    PublicColumn("observations", "number", "Mean number of clear observations of a pixel."),
    PublicColumn("scenes", "integer", "Scenes that contributed."),
    PublicColumn("uri", "text", "Where the pixels are."),
    PublicColumn("fingerprint", "text", "Hash of all that the pixels follow from."),
    PublicColumn("geometry", "multipolygon", "Footprint of the tile in lon/lat (EPSG:4326)."),
    PublicColumn("refreshed_at", "timestamp", "When the inputs were last looked at."),
)
"""Columns of the index of existing pixels."""


def boundary_columns(declared: BoundaryDeclaration) -> tuple[PublicColumn, ...]:
    """Columns of the table of one boundary set: the reserved ones, and those of its source.

    Raises:
        DatabaseError: a name is invalid, or two names differ only in case.
    """
    key = keys_of(declared)
    carried = [*key, *(each for each in declared.columns if each not in key)]
    types = declared.types if isinstance(declared, BoundarySet) else {}
    ours = (
        PublicColumn("boundary_key", "text", "The key as text; statistics refer to it.", key=True),
        PublicColumn("geometry", "multipolygon", "Boundary in lon/lat (EPSG:4326)."),
        PublicColumn("area_m2", "number", "True area on the ellipsoid, square metres."),
        PublicColumn("feature_fingerprint", "text", "Hash of key, columns and geometry."),
        PublicColumn("source", "text", "File the feature was read from."),
    )
    refuse_shared_columns(
        checked_name(declared.name, "boundary set"), [each.name for each in ours], carried
    )
    if not key:
        message = f"boundary set {declared.name!r} has no key column; name one in `key`"
        raise DatabaseError(message)
    theirs = (
        PublicColumn(
            each,
            types.get(each, "text"),
            "Key, as the source has it." if each in key else "As the source has it.",
            null=each not in key,
        )
        for each in carried
    )
    return (ours[0], *theirs, *ours[1:])


def keys_of(declared: BoundaryDeclaration) -> tuple[str, ...]:
    """Columns that identify a feature."""
    return (declared.key,) if isinstance(declared.key, str) else tuple(declared.key)
