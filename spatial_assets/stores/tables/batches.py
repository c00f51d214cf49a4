"""RowsLike made ready for a table: column by column, of exactly the declared types.

Databases forgive differently (one takes 12.0 for an integer, another takes NaN for a number), so
nothing is left to them: what does not fit is refused here, naming table, row and column.

The columns of a table out of what was given for it: rows, or columns already.

Whether the values fit belongs in `batches`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np
import shapely
import sqlalchemy as sa
from geoalchemy2 import Geometry
from numpy.typing import NDArray

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.rows import Columns, RowLike, RowsLike, boundary_key, fields_of
from spatial_assets.stores.sql_names import is_unicode
from spatial_assets.stores.tables.columns import SRID

NO_VALUE = ("NAType", "NaTType")  # what pandas writes for a value that is not there
LONGITUDE, LATITUDE = 180.0, 90.0
FLAT = 2  # coordinates of a corner: x and y
SLACK = 1e-6  # degrees; reprojection leaves a pole or the antimeridian by less


@dataclass(frozen=True, eq=False)
class Batch:
    """RowsLike of one table, by column."""

    table: sa.Table
    columns: Mapping[str, Sequence[object]]
    """Column name -> values; geometries are shapely MultiPolygons with SRID 4326, JSON is text."""

    def __len__(self) -> int:
        """How many rows."""
        return len(next(iter(self.columns.values())))

    def in_order_of_key(self) -> Batch:
        """Sorted by primary key; of rows with the same key the last, as if written in turn.

        In one order in every process: two that merge the same rows wait, and never deadlock.
        """
        keys = [self.columns[each.name] for each in self.table.primary_key]
        last = {tuple(map(str, key)): row for row, key in enumerate(zip(*keys, strict=True))}
        order = [last[key] for key in sorted(last)]
        columns = {name: [values[row] for row in order] for name, values in self.columns.items()}
        return replace(self, columns=columns)


def prepare(table: sa.Table, rows: RowsLike, keys: Mapping[str, object]) -> Batch:
    """Make rows ready for `table`.

    Args:
        table: where they go.
        rows: mappings or dataclasses, or their columns; a column that may be null may be absent.
        keys: values that all rows share; a row may leave them out, and must not contradict.

    Raises:
        DatabaseError: a row does not fit the table.
    """
    given = given_columns(table, rows, keys)
    columns = {each.name: converted(each, given[each.name]) for each in table.columns}
    batch = Batch(table, columns)
    refuse_other_keys(batch, keys)
    return batch


def converted(column: sa.Column[object], values: Sequence[object]) -> Sequence[object]:
    """Values as the type of `column` has them; None where there is none."""
    if fits_as_it_is(column, values):
        return values
    if isinstance(column.type, Geometry) and shapely.is_geometry(objects(values)).all():
        return multipolygons(column, values)
    present = [None if is_missing(value) else value for value in values]
    if not column.nullable:
        for number, value in enumerate(present):
            if value is None:
                raise bad_value(column, number, value, "a value")
    if isinstance(column.type, Geometry):
        return multipolygons(column, present)
    convert = CONVERTERS[type(column.type)]
    result: list[object] = []
    for number, value in enumerate(present):
        try:
            result.append(None if value is None else convert(value))
        except (TypeError, ValueError, OverflowError) as error:
            wanted = f"{column.type.__class__.__name__.lower()} ({error})"
            raise bad_value(column, number, value, wanted) from error
    return result


def fits_as_it_is(column: sa.Column[object], values: Sequence[object]) -> bool:
    """Whether no value needs to be converted: the usual case of many rows, seen all at once."""
    types = set(map(type, values))
    if types == {str} and isinstance(column.type, sa.Text):
        together = "".join(values)  # type: ignore[arg-type]
        return "\0" not in together and is_unicode(together)
    return (
        types == {float} and isinstance(column.type, sa.Double) and all(map(math.isfinite, values))  # type: ignore[arg-type]
    )


def multipolygons(column: sa.Column[object], values: Sequence[object]) -> Sequence[object]:
    """Flat MultiPolygons with SRID 4326, out of polygons in lon/lat."""
    wanted = "a shapely Polygon or MultiPolygon in lon/lat, SRID 4326 or none"
    shapes = objects(values)
    for row in np.flatnonzero([type(value) is not shapely.MultiPolygon for value in shapes]):
        value = shapes[row]
        if isinstance(value, shapely.Polygon):
            # a new geometry has no SRID: the one it had is kept, to be judged
            whole = shapely.MultiPolygon([value] if not value.is_empty else [])
            shapes[row] = shapely.set_srid(whole, shapely.get_srid(value))
        elif value is not None:
            raise bad_value(column, int(row), type(value).__name__, wanted)
    srids = shapely.get_srid(shapes)
    strange = np.flatnonzero((srids > 0) & (srids != SRID))
    if len(strange):
        number = int(strange[0])
        raise bad_value(column, number, f"SRID {srids[number]}", wanted)
    deep = shapely.get_coordinate_dimension(shapes) > FLAT
    shapes[deep] = shapely.force_2d(shapes[deep])
    bounds = shapely.bounds(shapes)
    limits = np.array([LONGITUDE, LATITUDE, LONGITUDE, LATITUDE]) + SLACK
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    outside = there & ~(np.abs(bounds) <= limits).all(axis=1)
    if outside.any():
        number = int(np.argmax(outside))
        raise bad_value(column, number, f"bounds {bounds[number].tolist()}", wanted)
    bare = shapely.get_srid(shapes) <= 0
    shapes[bare] = shapely.set_srid(shapes[bare], SRID)
    flat: Sequence[object] = shapes.tolist()
    return flat


def objects(values: Sequence[object]) -> NDArray[np.object_]:
    """Values as an array of objects, whatever they are."""
    return np.fromiter(values, dtype=object, count=len(values))


def encoded(values: Sequence[object], *, srid: bool) -> list[bytes | None]:
    """Geometries as WKB, with their SRID if asked for: EWKB."""
    result: list[bytes | None] = shapely.to_wkb(objects(values), include_srid=srid).tolist()
    return result


def is_missing(value: object) -> bool:
    """Whether this stands for no value: None, NaN, or what pandas has for them."""
    if value is None or type(value).__name__ in NO_VALUE:
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


def text(value: object) -> str:
    """Text that either database stores: no NUL, no half of a surrogate pair."""
    if isinstance(value, date):
        value = value.isoformat()
    return str(value).replace("\0", "\ufffd").encode(errors="replace").decode()


def number(value: object) -> float:
    """A finite number."""
    result = float(value)  # type: ignore[arg-type]
    if not math.isfinite(result):
        raise ValueError("not finite")
    return result


def integer(value: object) -> int:
    """A whole number of 64 bits."""
    result = int(value)  # type: ignore[call-overload]
    if result != value:
        raise ValueError("not a whole number")
    if not -(2**63) <= result < 2**63:
        raise ValueError("more than 64 bits")
    return int(result)


def boolean(value: object) -> bool:
    """True or False, and nothing that merely is like it."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError("not True or False")


def day(value: object) -> date:
    """A date; of a moment, the one it names itself."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        return date.fromisoformat(value)
    raise TypeError("not a date")


def moment(value: object) -> datetime:
    """An aware datetime, in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise TypeError("not a datetime")
    if value.utcoffset() is None:
        raise ValueError("no time zone; give it in UTC")
    return value.astimezone(UTC)


def json_text(value: object) -> str:
    """JSON with sorted keys; numbers that JSON lacks are null, what it does not know is text."""
    return text(json.dumps(plain(value), sort_keys=True, allow_nan=False, ensure_ascii=False))


def plain(value: object) -> object:
    """`value` in the terms of JSON."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {text(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return text(value)


CONVERTERS: Mapping[type, Callable[[object], object]] = {
    sa.Text: text,
    sa.Double: number,
    sa.Integer: integer,
    sa.BigInteger: integer,
    sa.Boolean: boolean,
    sa.Date: day,
    sa.DateTime: moment,
    sa.JSON: json_text,
}


def refuse_other_keys(batch: Batch, keys: Mapping[str, object]) -> None:
    """Refuse rows that would not be found under the keys they replace."""
    for name, value in keys.items():
        wanted = converted(batch.table.c[name], [value])[0]
        for number, found in enumerate(batch.columns[name]):
            if found != wanted:
                raise bad_value(batch.table.c[name], number, found, f"{wanted!r}, as replaced")


def refuse_repeated_keys(batch: Batch) -> None:
    """Refuse two rows with the same primary key."""
    names = [each.name for each in batch.table.primary_key]
    keys = [batch.columns[name] for name in names]
    if len(set(keys[0] if len(keys) == 1 else zip(*keys, strict=True))) == len(batch):
        return
    seen: dict[tuple[object, ...], int] = {}
    for number, key in enumerate(zip(*(batch.columns[name] for name in names), strict=True)):
        if seen.setdefault(key, number) != number:
            raise DatabaseError(
                f"{batch.table.name}: rows {seen[key]} and {number} have the same key "
                f"({', '.join(names)}) = {key!r}; each may occur once"
            )


def bad_value(column: sa.Column[object], number: int, value: object, wanted: str) -> DatabaseError:
    """What to raise for a value that does not fit its column."""
    shown = repr(value)
    if len(shown) > 80:  # noqa: PLR2004 - a message stays on a screen
        shown = f"{shown[:77]}..."
    return DatabaseError(
        f"{column.table.name}: row {number}, column {column.name!r} is {shown}; wanted {wanted}"
    )


def given_columns(
    table: sa.Table, rows: RowsLike, keys: Mapping[str, object]
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
    table: sa.Table, rows: Iterable[RowLike], keys: Mapping[str, object]
) -> dict[str, Sequence[object]]:
    """The columns of a table out of rows."""
    known = set(table.columns.keys())
    mappings = [{**keys, **fields_of(row)} for row in rows]
    for number, row in enumerate(mappings):
        if not row.keys() <= known:
            raise unknown_columns(table, f"row {number}", row.keys() - known)
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
        raise unknown_columns(table, "what is given", given.keys() - set(table.columns.keys()))
    if "key" in table.info and "boundary_key" not in given:
        parts = [given.get(part, nothing) for part in table.info["key"]]
        given["boundary_key"] = [boundary_key(*each) for each in zip(*parts, strict=True)]
    return {each.name: given.get(each.name, nothing) for each in table.columns}


def unknown_columns(table: sa.Table, who: str, names: Iterable[str]) -> DatabaseError:
    """What to raise for columns that the table has not."""
    return DatabaseError(
        f"{table.name}: {who} has {', '.join(sorted(names))}, which the table has not "
        f"(it has {', '.join(table.columns.keys())})"
    )
