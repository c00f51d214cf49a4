"""The time axis: whole calendar periods, counted from the one that contains the start.

Pure date arithmetic, independent of today's date.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal, get_args

from spatial_assets.errors import GridError

PeriodLength = Literal["day", "dekad", "month", "year"]

_MONTHS = 12
_DEKADS = 3
_DEKAD_DAYS = 10


def _ordinal(day: date, length: PeriodLength) -> int:
    """Number of the period that contains `day`, counted from year 0."""
    if length == "day":
        return day.toordinal()
    if length == "year":
        return day.year
    month = day.year * _MONTHS + day.month - 1
    if length == "month":
        return month
    # The third dekad of a month is the days after the 20th, 8 to 11 of them.
    return month * _DEKADS + min((day.day - 1) // _DEKAD_DAYS, _DEKADS - 1)


def _first_day(ordinal: int, length: PeriodLength) -> date:
    """First day of the period with that number; the inverse of `_ordinal`."""
    if length == "day":
        return date.fromordinal(ordinal)
    if length == "year":
        return date(ordinal, 1, 1)
    month, dekad = (ordinal, 0) if length == "month" else divmod(ordinal, _DEKADS)
    return date(month // _MONTHS, month % _MONTHS + 1, dekad * _DEKAD_DAYS + 1)


@dataclass(frozen=True)
class Periods:
    """Consecutive calendar periods, from the one that contains `start` to the one with `end`.

    A start within a period stands for the whole period: with months and a start on 15 January,
    index 0 is January. A dekad is the 1st-10th, the 11th-20th or the rest of a month.
    """

    start: date
    """Any day of period 0."""

    length: PeriodLength
    """Length of one step of the axis."""

    end: date
    """Any day of the last period."""

    def __post_init__(self) -> None:
        """Refuse an axis that ends before it starts."""
        if self.length not in get_args(PeriodLength):
            known = ", ".join(get_args(PeriodLength))
            message = f"no such period: {self.length!r} (use one of {known})"
            raise GridError(message)
        if self.end < self.start:
            message = f"the time axis ends on {self.end}, before its start on {self.start}"
            raise GridError(message)

    @property
    def count(self) -> int:
        """Number of periods on the axis, at least 1."""
        return self.index_of(self.end) + 1

    def index_of(self, day: date) -> int:
        """Index of the period that contains `day`; may be beyond `count`, see `extended_to`.

        Raises:
            GridError: `day` is before period 0.
        """
        index = _ordinal(day, self.length) - _ordinal(self.start, self.length)
        if index < 0:
            message = (
                f"{day} is before the time axis, which starts on {self.first_day(0)}; "
                "set an earlier [time] start, and move what is stored by `spatial-assets regrid`"
            )
            raise GridError(message)
        return index

    def first_day(self, index: int) -> date:
        """First day of the period at `index`.

        Raises:
            GridError: `index` is negative, or beyond the calendar.
        """
        if index < 0:
            message = f"a period index is 0 or more, got {index}"
            raise GridError(message)
        try:
            return _first_day(_ordinal(self.start, self.length) + index, self.length)
        except (ValueError, OverflowError) as error:
            message = f"{self.length} {index} after {self.start} is beyond the calendar"
            raise GridError(message) from error

    def last_day(self, index: int) -> date:
        """Last day of the period at `index`."""
        return self.first_day(index + 1) - timedelta(days=1)

    def label(self, index: int) -> str:
        """Format the period for people: 2023, 2023-08, or by its first day 2023-08-11."""
        first = self.first_day(index)
        if self.length == "year":
            return f"{first:%Y}"
        return f"{first:%Y-%m}" if self.length == "month" else first.isoformat()

    def extended_to(self, day: date) -> Periods:
        """Return the same axis, extended if needed to contain `day`; never shorter.

        Raises:
            GridError: `day` is before period 0; an axis does not grow backwards.
        """
        self.index_of(day)
        return replace(self, end=max(self.end, day))
