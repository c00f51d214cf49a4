"""Batches of rows for a table: columns of exactly the declared types, from rows or columns.

Databases differ in what they accept (one takes 12.0 as an integer, another NaN as a number), so
nothing is left to them: a value that does not fit is refused here, with table, row and column.
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
from spatial_assets.stores.tables.columns import SRID, LocalDateTime

MISSING_TYPES = ("NAType", "NaTType")  # of pandas, for a missing value
MAX_LONGITUDE, MAX_LATITUDE = 180.0, 90.0
PLANAR = 2  # coordinates of a vertex: x and y
TOLERANCE_DEGREES = 1e-6  # reprojection exceeds a pole or the antimeridian by less


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of one table, by column."""

    table: sa.Table
    columns: Mapping[str, Sequence[object]]
    """Column name -> values; geometries are shapely MultiPolygons with SRID 4326, JSON is text."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    def in_order_of_key(self) -> Batch:
        """Return the rows sorted by primary key; of rows with the same key only the last.

        The order is the same in every process, so that concurrent merges do not deadlock.
        """
        keys = [self.columns[each.name] for each in self.table.primary_key]
        last = {tuple(map(str, key)): row for row, key in enumerate(zip(*keys, strict=True))}
        order = [last[key] for key in sorted(last)]
        columns = {name: [values[row] for row in order] for name, values in self.columns.items()}
        return replace(self, columns=columns)


def prepare(table: sa.Table, rows: RowsLike, keys: Mapping[str, object]) -> Batch:
    """Convert rows to a batch for `table`.

    Args:
        table: the target.
        rows: mappings or dataclasses, or their columns; nullable columns may be missing.
        keys: values that all rows share; a row may omit them, but not contradict them.

    Raises:
        DatabaseError: a row does not fit the table.
    """
    given = given_columns(table, rows, keys)
    columns = {each.name: converted(each, given[each.name]) for each in table.columns}
    batch = Batch(table, columns)
    refuse_other_keys(batch, keys)
    return batch


def given_columns(
    table: sa.Table, rows: RowsLike, keys: Mapping[str, object]
) -> dict[str, Sequence[object]]:
    """All columns of `table`, with None for missing values.

    Args:
        table: the target.
        rows: mappings or dataclasses, or their columns.
        keys: defaults for the rows.

    Raises:
        DatabaseError: the rows have a column that the table lacks.
    """
    if isinstance(rows, Columns):
        return completed_columns(table, rows, keys)
    return columns_of_rows(table, rows, keys)


def columns_of_rows(
    table: sa.Table, rows: Iterable[RowLike], keys: Mapping[str, object]
) -> dict[str, Sequence[object]]:
    """Columns of a table, from rows."""
    known = set(table.columns.keys())
    mappings = [{**keys, **fields_of(row)} for row in rows]
    for number, row in enumerate(mappings):
        if not row.keys() <= known:
            raise unknown_columns(table, f"row {number}", row.keys() - known)
        if "key" in table.info and row.get("boundary_key") is None:
            row["boundary_key"] = boundary_key(*(row.get(part) for part in table.info["key"]))
    return {each.name: [row.get(each.name) for row in mappings] for each in table.columns}


def completed_columns(
    table: sa.Table, rows: Columns, keys: Mapping[str, object]
) -> dict[str, Sequence[object]]:
    """Columns of a table, from columns."""
    nothing: Sequence[object] = [None] * len(rows)
    given = {**{name: [value] * len(rows) for name, value in keys.items()}, **rows.values}
    if not given.keys() <= set(table.columns.keys()):
        raise unknown_columns(table, "the input", given.keys() - set(table.columns.keys()))
    if "key" in table.info and "boundary_key" not in given:
        parts = [given.get(part, nothing) for part in table.info["key"]]
        given["boundary_key"] = [boundary_key(*each) for each in zip(*parts, strict=True)]
    return {each.name: given.get(each.name, nothing) for each in table.columns}


def unknown_columns(table: sa.Table, source: str, names: Iterable[str]) -> DatabaseError:
    """Return the error for columns that the table lacks."""
    return DatabaseError(
        f"{table.name}: {source} has {', '.join(sorted(names))}, which the table lacks "
        f"(it has {', '.join(table.columns.keys())})"
    )


def converted(column: sa.Column[object], values: Sequence[object]) -> Sequence[object]:
    """Convert values to the type of `column`; None if missing."""
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
    """Return True if no value needs conversion: the usual case, checked for all rows at once."""
    types = set(map(type, values))
    if types == {str} and isinstance(column.type, sa.Text):
        together = "".join(values)  # type: ignore[arg-type]
        return "\0" not in together and is_unicode(together)
    return (
        types == {float} and isinstance(column.type, sa.Double) and all(map(math.isfinite, values))  # type: ignore[arg-type]
    )


def multipolygons(column: sa.Column[object], values: Sequence[object]) -> Sequence[object]:
    """Convert polygons in lon/lat to 2D MultiPolygons with SRID 4326."""
    wanted = "a shapely Polygon or MultiPolygon in lon/lat, SRID 4326 or none"
    shapes = objects(values)
    for row in np.flatnonzero([type(value) is not shapely.MultiPolygon for value in shapes]):
        value = shapes[row]
        if isinstance(value, shapely.Polygon):
            # a new geometry has no SRID: keep the old one, which is checked below
            whole = shapely.MultiPolygon([value] if not value.is_empty else [])
            shapes[row] = shapely.set_srid(whole, shapely.get_srid(value))
        elif value is not None:
            raise bad_value(column, int(row), type(value).__name__, wanted)
    srids = shapely.get_srid(shapes)
    foreign = np.flatnonzero((srids > 0) & (srids != SRID))
    if len(foreign):
        number = int(foreign[0])
        raise bad_value(column, number, f"SRID {srids[number]}", wanted)
    has_z = shapely.get_coordinate_dimension(shapes) > PLANAR
    shapes[has_z] = shapely.force_2d(shapes[has_z])
    bounds = shapely.bounds(shapes)
    limits = np.array([MAX_LONGITUDE, MAX_LATITUDE] * 2) + TOLERANCE_DEGREES
    present = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    outside = present & ~(np.abs(bounds) <= limits).all(axis=1)
    if outside.any():
        number = int(np.argmax(outside))
        raise bad_value(column, number, f"bounds {bounds[number].tolist()}", wanted)
    no_srid = shapely.get_srid(shapes) <= 0
    shapes[no_srid] = shapely.set_srid(shapes[no_srid], SRID)
    flat: Sequence[object] = shapes.tolist()
    return flat


def objects(values: Sequence[object]) -> NDArray[np.object_]:
    """Return values of any type as an array of objects."""
    return np.fromiter(values, dtype=object, count=len(values))


def encoded(values: Sequence[object], *, srid: bool) -> list[bytes | None]:
    """Encode geometries as WKB, or as EWKB with their SRID."""
    result: list[bytes | None] = shapely.to_wkb(objects(values), include_srid=srid).tolist()
    return result


def is_missing(value: object) -> bool:
    """Return True for None, NaN, and the missing values of pandas."""
    if value is None or type(value).__name__ in MISSING_TYPES:
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


def text(value: object) -> str:
    """Convert to text that both databases store: no NUL, no lone surrogate."""
    if isinstance(value, date):
        value = value.isoformat()
    return str(value).replace("\0", "\ufffd").encode(errors="replace").decode()


def number(value: object) -> float:
    """Convert to a finite number."""
    result = float(value)  # type: ignore[arg-type]
    if not math.isfinite(result):
        raise ValueError("not finite")
    return result


def integer(value: object) -> int:
    """Convert to a whole number of 64 bits."""
    result = int(value)  # type: ignore[call-overload]
    if result != value:
        raise ValueError("not a whole number")
    if not -(2**63) <= result < 2**63:
        raise ValueError("more than 64 bits")
    return int(result)


def boolean(value: object) -> bool:
    """Convert to a boolean; accept nothing but True and False."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError("not True or False")


def day(value: object) -> date:
    """Convert to a date; a datetime gives its own date, whatever its time zone."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        return date.fromisoformat(value)
    raise TypeError("not a date")


def timestamp(value: object) -> datetime:
    """Convert to an aware datetime in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise TypeError("not a datetime")
    if value.utcoffset() is None:
        raise ValueError("no time zone; give it in UTC")
    return value.astimezone(UTC)


def local_timestamp(value: object) -> datetime:
    """Convert to a datetime without a time zone; one with a zone is refused."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise TypeError("not a datetime")
    if value.utcoffset() is not None:
        raise ValueError("it has a time zone")
    return value


def json_text(value: object) -> str:
    """Encode as JSON with sorted keys; NaN and infinities become null, unknown types text."""
    return text(json.dumps(plain(value), sort_keys=True, allow_nan=False, ensure_ascii=False))


def plain(value: object) -> object:
    """Convert to types that JSON has."""
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
    sa.DateTime: timestamp,
    LocalDateTime: local_timestamp,
    sa.JSON: json_text,
}


def refuse_other_keys(batch: Batch, keys: Mapping[str, object]) -> None:
    """Refuse rows that contradict the keys they replace."""
    for name, value in keys.items():
        wanted = converted(batch.table.c[name], [value])[0]
        for number, found in enumerate(batch.columns[name]):
            if found != wanted:
                reason = f"{wanted!r}, the key to replace"
                raise bad_value(batch.table.c[name], number, found, reason)


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
    """Return the error for a value that does not fit its column."""
    shown = repr(value)
    if len(shown) > 80:  # noqa: PLR2004 - keeps a message short
        shown = f"{shown[:77]}..."
    return DatabaseError(
        f"{column.table.name}: row {number}, column {column.name!r} is {shown}; wanted {wanted}"
    )
