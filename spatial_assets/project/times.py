"""Durations such as "5 days", and cron schedules in UTC, as project.toml writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator

from spatial_assets.project.base import refusal

_UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_DURATION = re.compile(r"(?P<count>\d{1,6}) (?P<unit>minute|hour|day|week)s?")
_DURATION_REMEDY = 'write a count and a unit (minutes, hours, days or weeks), for example "5 days"'

_CRON_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
)
_CRON_STEP = re.compile(r"/(\d+)")
_CRON_REMEDY = (
    "write minute, hour, day of the month, month and day of the week, in UTC, for example "
    '"0 4 * * 1" for Mondays at four'
)


def parse_duration(value: object) -> timedelta:
    """Return the duration that a string such as "5 days" means.

    Raises:
        PydanticCustomError: the value is not a duration, or is zero.
    """
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise refusal("not a length of time", _DURATION_REMEDY)
    duration = int(found["count"]) * _UNITS[found["unit"]]
    if not duration:
        raise refusal("a length of time must be more than zero", _DURATION_REMEDY)
    return duration


def duration_text(duration: timedelta) -> str:
    """Return a duration for a message: "5 days", "1 day, 12:00:00"."""
    return str(duration).removesuffix(", 0:00:00")


def parse_cron(text: str) -> str:
    """Return a cron schedule with single spaces.

    Raises:
        PydanticCustomError: the text is not five valid fields, or its day never occurs.
    """
    parts = text.split()
    if len(parts) != len(_CRON_FIELDS):
        raise refusal(f"has {len(parts)} fields, not five", _CRON_REMEDY)
    for position, (part, (name, low, high)) in enumerate(zip(parts, _CRON_FIELDS, strict=True)):
        # cronsim accepts any step; Dagster refuses one that is longer than the field.
        steps = (int(step) for step in _CRON_STEP.findall(part))
        alone = ["*"] * position + [part] + ["*"] * (len(parts) - position - 1)
        if not _is_cron(alone) or any(step > high - low for step in steps):
            raise refusal(f"{part!r} is no {name} from {low} to {high}", _CRON_REMEDY)
    if not _is_cron([*parts[:4], "*"]):
        raise refusal("no such month has such a day", _CRON_REMEDY)
    return " ".join(parts)


def _is_cron(parts: list[str]) -> bool:
    """Return True for a schedule that can occur, without cronsim's extensions L, LW and #."""
    try:
        schedule = CronSim(" ".join(parts), datetime.now(UTC))
    except CronSimError:
        return False
    return all(isinstance(day, int) and day >= 0 for day in schedule.days | schedule.weekdays)


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Cron = Annotated[str, AfterValidator(parse_cron)]
