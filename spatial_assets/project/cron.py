"""Times of a clock as cron writes them: minute, hour, day, month and day of the week, in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from spatial_assets.project.base import refusal

_REMEDY = (
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
        return refusal(f"{part!r} is no {self.name} from {self.low} to {self.high}", _REMEDY)


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
        raise refusal(f"has {len(parts)} fields, not five", _REMEDY)
    _, _, days, months, _ = (field.values(part) for field, part in zip(_FIELDS, parts, strict=True))
    if min(days) > max(_LONGEST_MONTH[month - 1] for month in months):
        raise refusal("no such month has such a day", _REMEDY)
    return " ".join(parts)


Cron = Annotated[str, AfterValidator(parse_cron)]
