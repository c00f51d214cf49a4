"""Lengths of time as people write them: "5 days", "36 hours"."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

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
