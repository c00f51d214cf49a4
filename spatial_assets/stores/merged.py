"""The view that adds up what the tiles contribute to a boundary: one row a boundary and period.

The arithmetic of merging, in SQL. What a tile contributes is computed in geo/zonal.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from spatial_assets.stores.columns import Kind

COLUMNS: Sequence[tuple[str, type[Kind], str]] = (
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
KEY = ("grid_id", "period", "boundary_table", "boundary_key")


def merged_table(parts: sa.Table) -> sa.Table:
    """The columns of the view over `parts`."""
    columns = [
        sa.Column(name, kind, primary_key=name in KEY, autoincrement=False, comment=comment)
        for name, kind, comment in COLUMNS
    ]
    comment = f"{parts.name}, its tiles added up: one row a boundary and period."
    return sa.Table(f"{parts.name}_merged", sa.MetaData(), *columns, comment=comment)


def merging(parts: sa.Table, areas: Sequence[sa.Table]) -> sa.Select[tuple[object, ...]]:
    """The query of the view over `parts`.

    Args:
        parts: what each tile contributes.
        areas: the tables of boundaries, which know each boundary's own area.
    """
    sums = added_up(parts).subquery("sums")
    weight, area = sums.c.weight, sums.c.area_total
    mean = sums.c["sum"] / weight
    # Rounding may take the variance of equal values below zero by a hair.
    variance = sa.func.greatest(sums.c.sum_squares / weight - mean * mean, 0.0)
    own, source = own_area(sums, areas)
    derived = {
        "mean": sa.case((weight > 0, mean)),
        "std": sa.case((weight > 0, sa.func.sqrt(variance))),
        "valid_fraction": sa.case((area > 0, weight / area)),
        "covered_fraction": sa.case((own > 0, area / own)),
    }
    return sa.select(
        *(derived[name].label(name) if name in derived else sums.c[name] for name, _, _ in COLUMNS)
    ).select_from(source)


def added_up(parts: sa.Table) -> sa.Select[tuple[object, ...]]:
    """Sums, extremes and counts over the tiles of each boundary and period."""
    keys = [parts.c[name] for name in KEY]
    summed = ("pixels", "weight", "area_total", "sum", "sum_squares")
    return sa.select(
        *keys,
        sa.func.min(parts.c.period_start).label("period_start"),
        sa.func.count().label("tiles"),
        *(sa.func.sum(parts.c[name]).label(name) for name in summed),
        sa.func.min(parts.c["min"]).label("min"),
        sa.func.max(parts.c["max"]).label("max"),
    ).group_by(*keys)


def own_area(
    sums: sa.Subquery, areas: Sequence[sa.Table]
) -> tuple[sa.ColumnElement[float], sa.FromClause]:
    """The boundary's own area (null where unknown), and what to select from to have it."""
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
