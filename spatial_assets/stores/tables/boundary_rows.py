"""Rows of a boundary table that differ from the validated features: only those are written.

A row follows from its feature: the fingerprint covers key, geometry and columns. A row that
somebody edited by hand is written again when its feature changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from spatial_assets.stores.rows import Columns, ReplaceAll
from spatial_assets.stores.tables.batches import prepare
from spatial_assets.stores.tables.declarations import Tables
from spatial_assets.stores.tables.transactions import (
    PreparedChange,
    Transaction,
    among,
    apply_all,
    execute,
)

COMPARED_COLUMNS = ("boundary_key", "feature_fingerprint", "area_m2", "source")
"""Columns that are equal only if the whole row is, as far as nobody edited it."""

MOST_CHANGED_SHARE = 0.25
"""Share of changed rows above which all are replaced: a bulk load builds its indexes afterwards."""


@dataclass(frozen=True, kw_only=True)
class RowsWritten:
    """Number of rows that a load of a boundary table changed."""

    written: int
    removed: int
    """Rows whose features are gone; those that are replaced do not count."""


def write_changed(
    transaction: Transaction, tables: Tables, name: str, rows: Columns
) -> RowsWritten:
    """Make the rows of a boundary table those of `rows`; unchanged rows are not touched.

    The caller holds the lock of the table.
    """
    table = tables.table(name)
    wanted = _compared(rows)
    stored = execute(transaction, sa.select(*(table.c[each] for each in COMPARED_COLUMNS)))
    same = {*stored}.intersection(wanted)
    changed = [position for position, row in enumerate(wanted) if row not in same]
    are_many = len(changed) > MOST_CHANGED_SHARE * len(rows)
    if not wanted or are_many or len({row[0] for row in wanted}) < len(wanted):
        # This refuses a key that occurs twice.
        apply_all(transaction, [PreparedChange(tables, ReplaceAll(name, rows))])
        return RowsWritten(written=len(rows), removed=0)
    stale = [row[0] for row in stored if row not in same]
    if stale:
        execute(transaction, sa.delete(table).where(among(table.c["boundary_key"], stale)))
    if changed:
        transaction.load(prepare(table, _picked(rows, changed), {}))
    kept = {row[0] for row in wanted}
    return RowsWritten(written=len(changed), removed=sum(key not in kept for key in stale))


def _compared(rows: Columns) -> list[tuple[object, ...]]:
    """Values of the compared columns, row by row; [] if they lack one of them."""
    if not set(COMPARED_COLUMNS) <= rows.values.keys():
        return []
    return list(zip(*(rows.values[each] for each in COMPARED_COLUMNS), strict=True))


def _picked(rows: Columns, positions: list[int]) -> Columns:
    values: Mapping[str, list[object]] = {
        name: [column[position] for position in positions] for name, column in rows.values.items()
    }
    return Columns(values)
