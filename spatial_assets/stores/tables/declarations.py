"""Every table and view of the product, declared once; PostGIS and DuckDB both follow from it.

Names, types, keys, indexes, comments, and the rules by which rows are merged. `ddl` turns a
declaration into statements; `schema` migrates an existing database to it. Comments are part of the
stored schema. The view `<index>_by_boundary_merged` adds up the contributions of the tiles to each
boundary, which geo/vectors/zonal_statistics.py computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.public_columns import (
    STATISTICS_COLUMNS,
    TILE_INDEX_COLUMNS,
    boundary_columns,
    keys_of,
)
from spatial_assets.stores.rows import QUARANTINE_KINDS, TILE_STATES, BoundaryDeclaration
from spatial_assets.stores.sql_names import checked_name
from spatial_assets.stores.tables.columns import (
    SqlType,
    column,
    index_name,
    json,
    key_column,
    public_column,
    timestamp,
)

RUN_LOG = "run_log"
PROJECT_CLAIM = "project_claim"


@dataclass(frozen=True)
class DatabaseView:
    """A view: its columns as a table, and its query."""

    table: sa.Table
    query: sa.Select[tuple[object, ...]]


@dataclass(frozen=True)
class Tables:
    """Tables and views of one project."""

    metadata: sa.MetaData
    views: Mapping[str, DatabaseView]

    def table(self, name: str) -> sa.Table:
        """Return a table, for writing.

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
        """Return a table or view, for reading."""
        view = self.views.get(name)
        return view.table if view else self.table(name)


def declare(boundaries: Iterable[BoundaryDeclaration], indices: Iterable[str]) -> Tables:
    """Declare the tables of a project.

    Raises:
        DatabaseError: a name is invalid, or two names differ only in case.
    """
    metadata = sa.MetaData()
    for make in (
        schema_version_table,
        project_claim_table,
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
                f"boundary set {declared.name!r} would share its table with another one; rename it"
            )
        taken.add(declared.name.casefold())
        areas.append(boundary_table(metadata, declared))
    views = [DatabaseView(merged_table(parts), merged_query(parts, areas)) for parts in statistics]
    return Tables(metadata, {view.table.name: view for view in views})


def columns_of(table: sa.Table) -> list[tuple[str, str, str]]:
    """Return (name, type, description) of each column, e.g. for a column schema in the UI."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return [
        (each.name, str(each.type.compile(dialect)).lower(), each.comment or "")
        for each in table.columns
    ]


def boundary_table(metadata: sa.MetaData, declared: BoundaryDeclaration) -> sa.Table:
    """Declare one row for each feature of a boundary set."""
    name = checked_name(declared.name, "boundary set")
    key = keys_of(declared)
    return sa.Table(
        name,
        metadata,
        *map(public_column, boundary_columns(declared)),
        sa.Index(index_name(name, "geometry"), "geometry", postgresql_using="gist"),
        quote=True,
        comment=f"Boundaries of the set {name}: valid, in lon/lat.",
        info={"key": key, "carried": frozenset([*key, *declared.columns])},
    )


def statistics_table(metadata: sa.MetaData, index: str) -> sa.Table:
    """Declare the contribution of each tile to the statistics of each boundary."""
    name = checked_name(f"{index}_by_boundary", "table", suffix_bytes=len("_merged"))
    return sa.Table(
        name,
        metadata,
        *map(public_column, STATISTICS_COLUMNS),
        sa.Index(index_name(name, "key"), "boundary_table", "boundary_key"),
        comment=f"What each tile contributes to {index} by boundary; {name}_merged adds it up.",
    )


def tile_index_table(metadata: sa.MetaData) -> sa.Table:
    """Declare the index of existing pixels."""
    return sa.Table(
        "tile_index",
        metadata,
        *map(public_column, TILE_INDEX_COLUMNS),
        sa.Index("ix_tile_index_geometry", "geometry", postgresql_using="gist"),
        comment="The product's own index: which pixels exist, how good, how fresh.",
    )


def tile_state_table(metadata: sa.MetaData) -> sa.Table:
    """Declare the latest outcome of each stage of each tile."""
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
    """Declare the table of bad inputs that no retry can fix."""
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
    """Declare the migrations applied to this database."""
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


def project_claim_table(metadata: sa.MetaData) -> sa.Table:
    """Declare the project that all these tables belong to."""
    return sa.Table(
        PROJECT_CLAIM,
        metadata,
        key_column("grid_id", "Identity of a pixel grid that the project has or had."),
        column("project", sa.Text, "Name of the project: [project] name, or that of its folder."),
        column("file", sa.Text, "Its project file, on the machine that claimed the tables."),
        column("name_is_set", sa.Boolean, "True if [project] gives the name."),
        column("store", sa.Text, "Store that the rows of this grid describe.", null=True),
        column("store_id", sa.Text, "Identity of that store.", null=True),
        sa.Column(
            "claimed_at",
            timestamp(),
            nullable=False,
            server_default=sa.func.current_timestamp(),
            comment="When, by the clock of the database.",
        ),
        comment="The project that these tables belong to; another one is refused.",
    )


def run_log_table(metadata: sa.MetaData) -> sa.Table:
    """Declare one row for each run over tiles; the newest thousand are kept."""
    return sa.Table(
        RUN_LOG,
        metadata,
        key_column("grid_id", "Identity of the pixel grid."),
        key_column("run", "Made up for the run when it began."),
        column("owner", sa.Text, "Whose run it was, for people: host, process, Dagster's run."),
        column("started_at", timestamp(), "When it began."),
        column("written_at", timestamp(), "When this row was last written."),
        column("ended_at", timestamp(), "When it ended; null: under way, or killed.", null=True),
        column("stages", json(), "Stages it took tiles through, upstream first."),
        column("workers", sa.BigInteger, "Tiles computed at a time."),
        column("tiles", json(), "State -> tiles that ended so by then."),
        column("computed", sa.BigInteger, "Tiles of which something was computed."),
        column("seconds", sa.Double, "Time that workers took for those, all together."),
        column("bytes_read", sa.BigInteger, "Size of the pixels read of scenes, as stored."),
        comment="What each run over tiles did; one without an end is under way or was killed.",
    )


def tile_inputs_table(metadata: sa.MetaData) -> sa.Table:
    """Declare the inputs that each tile was last computed from."""
    table = sa.Table(
        "tile_inputs",
        metadata,
        key_column("grid_id", "Identity of the pixel grid."),
        key_column("tile", "Key of the tile."),
        column(
            "inputs",
            json(),
            "Stage -> hashes of the scenes, settings and boundaries that it followed from.",
        ),
        column("looked_at", timestamp(), "When the catalogue was last asked about the tile."),
        comment="What each tile was last made from, or found to be unchanged by.",
    )
    table.info["merge"] = newest
    return table


def tile_wanted_table(metadata: sa.MetaData) -> sa.Table:
    """Declare the changes since tiles were computed."""
    table = sa.Table(
        "tile_wanted",
        metadata,
        key_column("grid_id", "Identity of the pixel grid."),
        key_column("tile", "Key of the tile."),
        key_column("stage", "The first stage that the change reaches."),
        column("wanted", sa.Text, "Hash of the inputs as they are now."),
        column("why", sa.Text, "What changed, for people."),
        column("since", timestamp(), "When the change was seen."),
        comment="Changed inputs that tiles are to follow; done where tile_inputs says the same.",
    )
    table.info["merge"] = keep_change
    return table


UpdateExpressions = Mapping[str, sa.ColumnElement[object]]
"""Column -> its value after a merge; other columns take the incoming value."""


def keep_since(
    table: sa.Table, incoming: sa.ColumnCollection[str, sa.Column[object]]
) -> UpdateExpressions:
    """Merge rule: an unchanged state keeps its start time."""
    same = [
        table.c[name].is_not_distinct_from(incoming[name])
        for name in ("state", "reason", "fingerprint")
    ]
    return {"since": sa.case((sa.and_(*same), table.c.since), else_=incoming["since"])}


def keep_first_seen(
    table: sa.Table, incoming: sa.ColumnCollection[str, sa.Column[object]]
) -> UpdateExpressions:
    """Merge rule: a quarantined input keeps `first_seen`; a released one starts again."""
    in_force = table.c.released_at.is_(None)
    return {"first_seen": sa.case((in_force, table.c.first_seen), else_=incoming["first_seen"])}


def newest(
    table: sa.Table, incoming: sa.ColumnCollection[str, sa.Column[object]]
) -> UpdateExpressions:
    """Merge rule: the latest row replaces the earlier one."""
    del table, incoming
    return {}


def keep_change(
    table: sa.Table, incoming: sa.ColumnCollection[str, sa.Column[object]]
) -> UpdateExpressions:
    """Merge rule: a change detected before keeps its time and reason."""
    same = table.c.wanted == incoming["wanted"]
    return {name: sa.case((same, table.c[name]), else_=incoming[name]) for name in ("why", "since")}


MERGED_KEY = ("grid_id", "period", "boundary_table", "boundary_key")
MERGED_COLUMNS: Sequence[tuple[str, type[SqlType], str]] = (
    ("grid_id", sa.Text, "Identity of the pixel grid."),
    ("period", sa.Text, "Label of the period, e.g. 2023-08."),
    ("boundary_table", sa.Text, "Boundary set the boundary is of."),
    ("boundary_key", sa.Text, "Key of the boundary, as text."),
    ("period_start", sa.Date, "First day of the period."),
    ("tiles", sa.BigInteger, "Tiles that contribute."),
    ("pixels", sa.Double, "Pixels within the boundary, each counted by its coverage."),
    ("weight", sa.Double, "Area of valid pixels, square metres."),
    ("area_total", sa.Double, "Area of all pixels, square metres."),
    ("mean", sa.Double, "Mean of the valid pixels, weighted by area; null if none."),
    ("std", sa.Double, "Standard deviation (population), weighted by area; null if none."),
    ("min", sa.Double, "Smallest valid value; null if none."),
    ("max", sa.Double, "Largest valid value; null if none."),
    ("valid_fraction", sa.Double, "Share of the pixels' area that is valid, 0 to 1."),
    ("covered_fraction", sa.Double, "Share of the boundary's own area that pixels cover."),
)


def merged_table(parts: sa.Table) -> sa.Table:
    """Declare the columns of the merged view over `parts`."""
    columns = [
        sa.Column(name, kind, primary_key=name in MERGED_KEY, autoincrement=False, comment=comment)
        for name, kind, comment in MERGED_COLUMNS
    ]
    comment = f"{parts.name}, its tiles added up: one row a boundary and period."
    return sa.Table(f"{parts.name}_merged", sa.MetaData(), *columns, comment=comment)


def merged_query(parts: sa.Table, areas: Sequence[sa.Table]) -> sa.Select[tuple[object, ...]]:
    """Query of the merged view over `parts`.

    Args:
        parts: table of the contributions of each tile.
        areas: boundary tables, which have the area of each boundary.
    """
    sums = tile_sums(parts).subquery("sums")
    weight, area = sums.c.weight, sums.c.area_total
    mean = sums.c["sum"] / weight
    # Rounding may make the variance of equal values slightly negative.
    variance = sa.func.greatest(sums.c.sum_squares / weight - mean * mean, 0.0)
    own, source = boundary_area(sums, areas)
    derived = {
        "mean": sa.case((weight > 0, mean)),
        "std": sa.case((weight > 0, sa.func.sqrt(variance))),
        "valid_fraction": sa.case((area > 0, weight / area)),
        "covered_fraction": sa.case((own > 0, area / own)),
    }
    return sa.select(
        *(
            derived[name].label(name) if name in derived else sums.c[name]
            for name, _, _ in MERGED_COLUMNS
        )
    ).select_from(source)


def tile_sums(parts: sa.Table) -> sa.Select[tuple[object, ...]]:
    """Sums, extremes and counts over the tiles of each boundary and period."""
    keys = [parts.c[name] for name in MERGED_KEY]
    summed = ("pixels", "weight", "area_total", "sum", "sum_squares")
    return sa.select(
        *keys,
        sa.func.min(parts.c.period_start).label("period_start"),
        sa.func.count().label("tiles"),
        *(sa.func.sum(parts.c[name]).label(name) for name in summed),
        sa.func.min(parts.c["min"]).label("min"),
        sa.func.max(parts.c["max"]).label("max"),
    ).group_by(*keys)


def boundary_area(
    sums: sa.Subquery, areas: Sequence[sa.Table]
) -> tuple[sa.ColumnElement[float], sa.FromClause]:
    """Return the area of the boundary (null if unknown), and the FROM clause that provides it."""
    if not areas:
        return sa.cast(sa.null(), sa.Double), sums
    each = [
        sa.select(
            sa.cast(sa.literal(str(table.name), sa.Text), sa.Text).label("boundary_table"),
            table.c.boundary_key,
            table.c.area_m2,
        )
        for table in areas
    ]
    known = sa.union_all(*each).subquery("known")
    matches = sa.and_(
        known.c.boundary_table == sums.c.boundary_table,
        known.c.boundary_key == sums.c.boundary_key,
    )
    return known.c.area_m2, sums.outerjoin(known, matches)
