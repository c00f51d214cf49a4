"""Every table of the product, declared once; PostGIS and DuckDB both follow from it.

Names, types, keys, indexes and the comment of each column. Statements are made from a declaration
in `ddl`; how an existing database is brought to it belongs in `schema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.boundary_tables import boundary_table
from spatial_assets.stores.columns import (
    column,
    index_name,
    json,
    key_column,
    shown,
    timestamp,
)
from spatial_assets.stores.merged import merged_table, merging
from spatial_assets.stores.names import checked_name
from spatial_assets.stores.records import QUARANTINE_KINDS, TILE_STATES, BoundaryDeclaration
from spatial_assets.stores.run_tables import run_log_table
from spatial_assets.stores.shown import STATISTICS_COLUMNS, TILE_INDEX_COLUMNS
from spatial_assets.stores.upkeep_tables import tile_inputs_table, tile_wanted_table


@dataclass(frozen=True)
class View:
    """A view: its columns as a table, and the query behind it."""

    table: sa.Table
    query: sa.Select[tuple[object, ...]]


@dataclass(frozen=True)
class Tables:
    """Everything declared for one project."""

    metadata: sa.MetaData
    views: Mapping[str, View]

    def table(self, name: str) -> sa.Table:
        """A table that rows are written to.

        Raises:
            DatabaseError: it is not declared.
        """
        found = self.metadata.tables.get(name)
        if found is None:
            raise DatabaseError(
                f"no table {name!r} is declared (declared: {', '.join(self.metadata.tables)}); "
                "name its boundary set or index when calling ensure_schema"
            )
        return found

    def readable(self, name: str) -> sa.Table:
        """A table or a view, to read from."""
        view = self.views.get(name)
        return view.table if view else self.table(name)


def declare(boundaries: Iterable[BoundaryDeclaration], indices: Iterable[str]) -> Tables:
    """Declare the tables of a project.

    Raises:
        DatabaseError: a name cannot be one, or two are the same to a database.
    """
    metadata = sa.MetaData()
    for make in (
        schema_version_table,
        tile_index_table,
        tile_state_table,
        tile_inputs_table,
        tile_wanted_table,
        quarantine_table,
        run_log_table,
    ):
        make(metadata)
    statistics = [statistics_table(metadata, index) for index in indices]
    taken = {name.casefold() for name in metadata.tables}
    taken |= {f"{parts.name}_merged".casefold() for parts in statistics}
    areas: list[sa.Table] = []
    for declared in boundaries:
        if declared.name.casefold() in taken:
            raise DatabaseError(
                f"boundary set {declared.name!r} would share its table with another one; "
                "give it another name"
            )
        taken.add(declared.name.casefold())
        areas.append(boundary_table(metadata, declared))
    views = [View(merged_table(parts), merging(parts, areas)) for parts in statistics]
    return Tables(metadata, {view.table.name: view for view in views})


def columns_of(table: sa.Table) -> list[tuple[str, str, str]]:
    """(name, type, description) of each column, e.g. for a column schema in a user interface."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return [
        (each.name, str(each.type.compile(dialect)).lower(), each.comment or "")
        for each in table.columns
    ]


def statistics_table(metadata: sa.MetaData, index: str) -> sa.Table:
    """What each tile contributes to the statistics of each boundary."""
    name = checked_name(f"{index}_by_boundary", "table", room=len("_merged"))
    return sa.Table(
        name,
        metadata,
        *map(shown, STATISTICS_COLUMNS),
        sa.Index(index_name(name, "key"), "boundary_table", "boundary_key"),
        comment=f"What each tile contributes to {index} by boundary; {name}_merged adds it up.",
    )


def tile_index_table(metadata: sa.MetaData) -> sa.Table:
    """Which pixels exist."""
    return sa.Table(
        "tile_index",
        metadata,
        *map(shown, TILE_INDEX_COLUMNS),
        sa.Index("ix_tile_index_geometry", "geometry", postgresql_using="gist"),
        comment="The product's own index: which pixels exist, how good, how fresh.",
    )


def tile_state_table(metadata: sa.MetaData) -> sa.Table:
    """How each stage of each tile last ended."""
    table = sa.Table(
        "tile_state",
        metadata,
        key_column("grid_id", "Identity of the pixel grid."),
        key_column("tile", "Key of the tile."),
        key_column("stage", "Stage of the chain, e.g. raw_tile."),
        column("state", sa.Text, f"One of: {', '.join(TILE_STATES)}."),
        column("reason", sa.Text, "Reason code, where the state is not good.", null=True),
        column("evidence", json(), "Figures behind the reason."),
        column("fingerprint", sa.Text, "Hash of the inputs it ended so with.", null=True),
        column("since", timestamp(), "Since when state, reason and fingerprint are these."),
        sa.CheckConstraint(sa.column("state").in_(TILE_STATES), name="tile_state_known"),
        comment="How each stage of each tile last ended.",
    )
    table.info["merge"] = keep_since
    return table


def quarantine_table(metadata: sa.MetaData) -> sa.Table:
    """What is bad in a way that a retry cannot change."""
    table = sa.Table(
        "quarantine",
        metadata,
        key_column("grid_id", "Identity of the pixel grid."),
        key_column("kind", f"What the subject is: {', '.join(QUARANTINE_KINDS)}."),
        key_column("subject", "Scene id, tile key, or boundary set/boundary key."),
        key_column("tile", "Tile it was met in; empty if bad everywhere."),
        column("reason", sa.Text, "Reason code in snake_case."),
        column("message", sa.Text, "What was found, what was wanted, what to do."),
        column("evidence", json(), "Figures behind the reason."),
        column("href", sa.Text, "Where the input is, without signature.", null=True),
        column("checksum", sa.Text, "Checksum of the bad input; another one ends it.", null=True),
        column("first_seen", timestamp(), "When it was first found bad."),
        column("last_seen", timestamp(), "When it was last found bad."),
        column("code_version", sa.Text, "Version of the code that judged it."),
        column(
            "released_at", timestamp(), "When a person let it go again; null: in force.", null=True
        ),
        sa.CheckConstraint(sa.column("kind").in_(QUARANTINE_KINDS), name="quarantine_kind_known"),
        comment="Inputs that are bad in a way that a retry cannot change, with evidence.",
    )
    table.info["merge"] = keep_first_seen
    return table


def schema_version_table(metadata: sa.MetaData) -> sa.Table:
    """Which migrations this database has had."""
    return sa.Table(
        "schema_version",
        metadata,
        key_column("version", "Migration that was applied.", sa.Integer),
        column("declared", sa.Text, "Hash of the tables and views as last declared."),
        sa.Column(
            "applied_at",
            timestamp(),
            nullable=False,
            server_default=sa.func.current_timestamp(),
            comment="When, by the clock of the database.",
        ),
        comment="Migrations of spatial_assets that this database has had.",
    )


Merge = Mapping[str, sa.ColumnElement[object]]


def keep_since(table: sa.Table, incoming: sa.ColumnCollection[str, sa.Column[object]]) -> Merge:
    """A state that did not change keeps the time it began."""
    same = [
        table.c[name].is_not_distinct_from(incoming[name])
        for name in ("state", "reason", "fingerprint")
    ]
    return {"since": sa.case((sa.and_(*same), table.c.since), else_=incoming["since"])}


def keep_first_seen(
    table: sa.Table, incoming: sa.ColumnCollection[str, sa.Column[object]]
) -> Merge:
    """One in force was first seen when it was; one that was released begins anew."""
    in_force = table.c.released_at.is_(None)
    return {"first_seen": sa.case((in_force, table.c.first_seen), else_=incoming["first_seen"])}
