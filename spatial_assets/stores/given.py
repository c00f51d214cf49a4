"""The columns of a table out of what was given for it: rows, or columns already.

Whether the values fit belongs in `batches`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.records import Columns, Row, Rows, boundary_key, fields_of


def given_columns(
    table: sa.Table, rows: Rows, keys: Mapping[str, object]
) -> dict[str, Sequence[object]]:
    """All columns of `table`, with None where nothing was given.

    Args:
        table: where the rows go.
        rows: mappings or dataclasses, or their columns.
        keys: values of the rows that do not say otherwise.

    Raises:
        DatabaseError: something is given that the table has not.
    """
    if isinstance(rows, Columns):
        return shared(table, rows, keys)
    return gathered(table, rows, keys)


def gathered(
    table: sa.Table, rows: Iterable[Row], keys: Mapping[str, object]
) -> dict[str, Sequence[object]]:
    """The columns of a table out of rows."""
    known = set(table.columns.keys())
    mappings = [{**keys, **fields_of(row)} for row in rows]
    for number, row in enumerate(mappings):
        if not row.keys() <= known:
            raise surplus(table, f"row {number}", row.keys() - known)
        if "key" in table.info and row.get("boundary_key") is None:
            row["boundary_key"] = boundary_key(*(row.get(part) for part in table.info["key"]))
    return {each.name: [row.get(each.name) for row in mappings] for each in table.columns}


def shared(
    table: sa.Table, rows: Columns, keys: Mapping[str, object]
) -> dict[str, Sequence[object]]:
    """The columns of a table out of columns that are there."""
    nothing: Sequence[object] = [None] * len(rows)
    given = {**{name: [value] * len(rows) for name, value in keys.items()}, **rows.values}
    if not given.keys() <= set(table.columns.keys()):
        raise surplus(table, "what is given", given.keys() - set(table.columns.keys()))
    if "key" in table.info and "boundary_key" not in given:
        parts = [given.get(part, nothing) for part in table.info["key"]]
        given["boundary_key"] = [boundary_key(*each) for each in zip(*parts, strict=True)]
    return {each.name: given.get(each.name, nothing) for each in table.columns}


def surplus(table: sa.Table, who: str, names: Iterable[str]) -> DatabaseError:
    """What to raise for columns that the table has not."""
    return DatabaseError(
        f"{table.name}: {who} has {', '.join(sorted(names))}, which the table has not "
        f"(it has {', '.join(table.columns.keys())})"
    )
