"""[retention]: how long inputs that can be read again, and old periods of the product, are kept."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from spatial_assets.geo.periods import Periods
from spatial_assets.project.base import Table, refusal
from spatial_assets.project.times import parse_duration

KEEP = "keep"
_REMEDY = 'write "keep", a length of time such as "30 days", or a number of periods such as 3'
_PERIOD_WORDS = frozenset({"period", "periods"})


def parse_retention(value: object) -> timedelta | int | None:
    """Return the limit that a value means: None for "keep", a duration, or a number of periods.

    Raises:
        PydanticCustomError: the value is none of these, or zero.
    """
    if value is None or value == KEEP:
        return None
    count, _, unit = value.partition(" ") if isinstance(value, str) else ("", "", "")
    if unit in _PERIOD_WORDS and count.isdecimal():
        value = int(count)
    if isinstance(value, str | timedelta):
        return parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise refusal("neither a length of time nor a number of periods", _REMEDY)
    if value < 1:
        raise refusal("a number of periods must be at least 1", _REMEDY)
    return value


RetentionLimit: TypeAlias = Annotated[timedelta | int | None, BeforeValidator(parse_retention)]
"""A time since the end of a period, a number of the newest periods, or None: everything is kept."""


def parse_record_age(value: object) -> timedelta | None:
    """Return None for "keep", else a duration.

    Raises:
        PydanticCustomError: the value is neither.
    """
    return None if value is None or value == KEEP else parse_duration(value)


RecordAge: TypeAlias = Annotated[timedelta | None, BeforeValidator(parse_record_age)]
"""An age, or None: everything is kept."""


class RetentionSettings(Table):
    """Retention of inputs, which are read again when they are needed, of periods and records."""

    # Everything by default: the archive may not be there for as long as the product.
    raw_tile: RetentionLimit = Field(
        default=None,
        description='"keep", or the time or the number of periods after which the pixels as read '
        "are deleted",
        examples=["30 days"],
    )
    reprojected_raster: RetentionLimit = Field(
        default=None,
        description='"keep", or the time or the number of periods after which the reprojected '
        "pixels are deleted",
        examples=["30 days"],
    )
    periods: RetentionLimit = Field(
        default=None,
        description='"keep", or the time or the number of periods after which a period of the '
        "product is removed",
        examples=["180 periods"],
    )
    # A quarter: long enough to see what happened to a tile since last season, short enough for
    # 100,000 tiles on one disk (docs/operations.md has the arithmetic).
    events: RecordAge = Field(
        default=timedelta(days=90),
        description='"keep", or the age from which an event in Dagster that newer ones supersede, '
        "and the log of a run, is deleted",
        examples=["90 days"],
    )


def first_kept_period(
    limit: timedelta | int | None, periods: Periods, *, newest: int, today: date
) -> int:
    """Return the position of the first period that a limit keeps; 0: all are kept.

    Args:
        limit: a time since the last day of a period, or a number of periods up to `newest`.
        periods: the time axis.
        newest: position of the newest period of the product.
        today: the present day, UTC.
    """
    if limit is None:
        return 0
    if isinstance(limit, int):
        return max(0, newest - limit + 1)
    day = today - limit
    return periods.index_of(day) if day >= periods.first_day(0) else 0
