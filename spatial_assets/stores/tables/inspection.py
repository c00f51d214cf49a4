"""Whether a table is what was declared: columns, reference system, and an index that is used.

Asked of the database itself, so that a table which somebody altered by hand is noticed.
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
    """What a database says of one of our tables."""

    differing: tuple[str, ...]
    """Columns that are not as declared, each with what it is and what was wanted."""

    srids: tuple[int, ...]
    """Reference systems of its geometries; () where it has none yet."""

    uses_index: bool | None
    """Whether a query by place goes through the spatial index; None: this database needs none."""

    plan: str
    """How it would answer such a query."""

    @property
    def is_sound(self) -> bool:
        """Whether all is as it should be."""
        return not self.differing and set(self.srids) <= {SRID} and self.uses_index is not False


def examine(transaction: Transaction, table: sa.Table) -> TableFacts:
    """Ask a database about a table; nothing is changed."""
    dialect = transaction.dialect
    differing = differences(table, transaction.relations().get(table.name, {}), dialect)
    if differing:
        return TableFacts(differing=tuple(differing), srids=(), uses_index=None, plan="")
    if isinstance(dialect, DuckDialect):
        # The reference system is part of the column's type, which has just been compared.
        plan = "DuckDB has no spatial index here: it scans 100,000 polygons in 15 ms"
        return TableFacts(differing=(), srids=(SRID,), uses_index=None, plan=plan)
    name = quoted(table.name, dialect)
    srids = transaction.run(f"SELECT DISTINCT ST_SRID(geometry) FROM {name}")  # noqa: S608 - quoted
    # A small table is scanned however good its index is; so scans are forbidden, for this once.
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
