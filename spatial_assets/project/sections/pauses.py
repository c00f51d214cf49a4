"""[[freshness.paused]]: hours in which automation requests no runs. Pure.

Pauses follow local time: where clocks are put back, the hour that occurs twice is paused twice,
and an hour that is skipped is not a pause.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from spatial_assets.project.base import Table, Tuple, refusal

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = dt.time()
NO_PAUSE = dt.timedelta()

MAX_PAUSE = dt.timedelta(days=7)
"""Pauses repeat every week: a longer pause never ends."""

_DAY = dt.timedelta(days=1)
_MINUTE = dt.timedelta(minutes=1)
_SOME_MONDAY = dt.date(2026, 1, 5)  # far from any clock change
_TIME_OF_DAY = re.compile(r"(?P<hour>\d\d):(?P<minute>\d\d)")
_TIME_OF_DAY_REMEDY = (
    'write an hour and a minute, for example "08:00"; "24:00" is the end of the day'
)
_ZONE_REMEDY = 'write a name of the time zone database, for example "Europe/Ljubljana"'


def _parse_time_of_day(value: object) -> dt.time:
    """Return the time of day that "08:00" means."""
    if value == "24:00":
        return MIDNIGHT
    if isinstance(value, dt.time) and value == value.replace(second=0, microsecond=0):
        return value
    found = _TIME_OF_DAY.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found["hour"]) >= 24 or int(found["minute"]) >= 60:  # noqa: PLR2004  (of a day, of an hour)
        raise refusal("not a time of day", _TIME_OF_DAY_REMEDY)
    return dt.time(int(found["hour"]), int(found["minute"]))


def _check_zone(name: str) -> str:
    """Refuse a time zone that this machine does not know."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: "Europe" is a folder
        raise refusal("not a known time zone", _ZONE_REMEDY) from error
    return name


TimeOfDay = Annotated[dt.time, BeforeValidator(_parse_time_of_day)]
Zone = Annotated[str, AfterValidator(_check_zone)]


class PausedHours(Table):
    """Paused hours on some days of the week."""

    days: Tuple[Weekday] = Field(
        default=WEEKDAYS,
        min_length=1,
        description="the days on which they begin",
        examples=[["mon", "tue"]],
    )
    start: TimeOfDay = Field(
        default=MIDNIGHT,
        alias="from",
        description="the local time at which they begin",
        examples=["08:00"],
    )
    until: TimeOfDay = Field(
        default=MIDNIGHT,
        description="the local time at which they end; on the next day if it is not after from",
        examples=["18:00"],
    )
    timezone: Zone = Field(
        default="UTC", description="the time zone of both times", examples=["Europe/Ljubljana"]
    )

    @model_validator(mode="after")
    def _last_some_time(self) -> Self:
        """Refuse equal times, which would be a whole day and probably mean nothing."""
        if self.start == self.until != MIDNIGHT:
            remedy = "leave out both for whole days"
            raise refusal("is the same as from", remedy, key="until")
        return self

    def remaining(self, now: dt.datetime) -> dt.timedelta:
        """Return the rest of this pause in local time; zero outside of it."""
        local = self._local(now).replace(tzinfo=None)
        for days_ago in (0, 1):
            begun = dt.datetime.combine(local.date() - days_ago * _DAY, self.start)
            end = dt.datetime.combine(begun.date(), self.until)
            end += _DAY if self.until <= self.start else dt.timedelta()
            if WEEKDAYS[begun.weekday()] in self.days and begun <= local < end:
                return end - local
        return dt.timedelta()

    def earliest_end(self, now: dt.datetime) -> dt.datetime:
        """Return a moment before which this pause does not end; `now` outside of it."""
        remaining = self.remaining(now)
        if self._local(now).utcoffset() == self._local(now + remaining).utcoffset():
            return now + remaining
        # The clock changes during the pause, by whole minutes: advance minute by minute.
        return now.replace(second=0, microsecond=0) + _MINUTE

    def _local(self, now: dt.datetime) -> dt.datetime:
        """Return a moment in local time."""
        return now.astimezone(ZoneInfo(self.timezone))


def paused_until(pauses: Sequence[PausedHours], now: dt.datetime) -> dt.datetime | None:
    """Return the end of the pause at `now`, including pauses that follow at once; None: no pause.

    Args:
        pauses: all pauses of the project.
        now: UTC.

    Returns:
        A moment in UTC, at most a week ahead, even if pauses leave no gap.
    """
    moment, before = now, None
    while moment != before and moment - now < MAX_PAUSE:
        before, moment = moment, max((each.earliest_end(moment) for each in pauses), default=now)
    return min(moment, now + MAX_PAUSE) if moment > now else None


def longest_pause(pauses: Sequence[PausedHours]) -> dt.timedelta:
    """Return the longest pause; `MAX_PAUSE` if it never ends."""
    starts = [
        dt.datetime.combine(_SOME_MONDAY + number * _DAY, each.start, ZoneInfo(each.timezone))
        for each in pauses
        for number, day in enumerate(WEEKDAYS)
        if day in each.days
    ]
    moments = [start.astimezone(dt.UTC) for start in starts]
    return max(((paused_until(pauses, each) or each) - each for each in moments), default=NO_PAUSE)
