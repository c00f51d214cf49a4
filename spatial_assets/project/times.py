"""Lengths of time as people write them: "5 days", "36 hours".

Times of a clock as cron writes them: minute, hour, day, month and day of the week, in UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from spatial_assets.project.base import refusal

_UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_DURATION = re.compile(r"(?P<count>\d{1,6}) (?P<unit>minute|hour|day|week)s?")
_REMEDY = 'write a count and a unit (minutes, hours, days or weeks), for example "5 days"'


def parse_duration(value: object) -> timedelta:
    """The length of time that a string such as "5 days" means.

    Raises:
        PydanticCustomError: it is not one, or it is nothing.
    """
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise refusal("not a length of time", _REMEDY)
    duration = int(found["count"]) * _UNITS[found["unit"]]
    if not duration:
        raise refusal("a length of time must be more than nothing", _REMEDY)
    return duration


def spoken(duration: timedelta) -> str:
    """A length of time for a message: "5 days", "1 day, 12:00:00"."""
    return str(duration).removesuffix(", 0:00:00")


def parse_keep(value: object) -> timedelta | None:
    """None for "keep", the only answer so far.

    Raises:
        PydanticCustomError: it is a length of time: nothing tells inputs that were pruned from
            inputs that were lost yet, so they would be fetched again at the next run.
    """
    if value not in ("keep", None):
        raise refusal("inputs can only be kept", 'write "keep"')
    return None


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Keep = Annotated[None, BeforeValidator(parse_keep)]

_CRON_REMEDY = (
    "write minute, hour, day of the month, month and day of the week, in UTC, for example "
    '"0 4 * * 1" for Mondays at four'
)
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class _Field:
    """One of the five."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """Words for numbers from `low` on."""

    def values(self, text: str) -> set[int]:
        """What the field means: "1-5/2,9" is 1, 3, 5 and 9."""
        return {value for part in text.split(",") for value in self._values(part)}

    def _values(self, part: str) -> range:
        found = _PART.fullmatch(part)
        if found is None:
            raise self._refused(part)
        first, last, step = found["first"], found["last"], int(found["step"] or 1)
        low = self.low if first is None else self._number(first)
        alone = first is not None and last is None and found["step"] is None
        high = low if alone else self.high if last is None else self._number(last)
        if high < low or not 0 < step <= self.high - self.low:
            raise self._refused(part)
        return range(low, high + 1, step)

    def _number(self, text: str) -> int:
        if text.lower() in self.names:
            return self.low + self.names.index(text.lower())
        if not text.isdecimal() or not self.low <= int(text) <= self.high:
            raise self._refused(text)
        return int(text)

    def _refused(self, part: str) -> Exception:
        return refusal(f"{part!r} is no {self.name} from {self.low} to {self.high}", _CRON_REMEDY)


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _WEEKDAYS),
)


def parse_cron(text: str) -> str:
    """The same text with single spaces.

    Raises:
        PydanticCustomError: it is not five fields, or would never come.
    """
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise refusal(f"has {len(parts)} fields, not five", _CRON_REMEDY)
    _, _, days, months, _ = (field.values(part) for field, part in zip(_FIELDS, parts, strict=True))
    if min(days) > max(_LONGEST_MONTH[month - 1] for month in months):
        raise refusal("no such month has such a day", _CRON_REMEDY)
    return " ".join(parts)


Cron = Annotated[str, AfterValidator(parse_cron)]
