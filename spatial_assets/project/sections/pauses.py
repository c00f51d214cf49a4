"""[[freshness.paused]]: hours in which automation asks for nothing. Pure.

A pause is what the clock on the wall says, there: where clocks are put back, the hour that comes
twice is paused twice, and an hour that is skipped was none.
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
WEEK: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = dt.time()
NEVER = dt.timedelta()

LONGEST = dt.timedelta(days=7)
"""Pauses repeat by the week: what lasts longer never ends."""

_DAY = dt.timedelta(days=1)
_MINUTE = dt.timedelta(minutes=1)
_SOME_MONDAY = dt.date(2026, 1, 5)  # far from any change of clocks
_CLOCK = re.compile(r"(?P<hour>\d\d):(?P<minute>\d\d)")
_CLOCK_REMEDY = 'write an hour and a minute, for example "08:00"; "24:00" is the end of the day'
_ZONE_REMEDY = 'write a name of the time zone database, for example "Europe/Ljubljana"'


def _parse_clock(value: object) -> dt.time:
    """The time of day that "08:00" means."""
    if value == "24:00":
        return MIDNIGHT
    if isinstance(value, dt.time) and value == value.replace(second=0, microsecond=0):
        return value
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found["hour"]) >= 24 or int(found["minute"]) >= 60:  # noqa: PLR2004  (of a day, of an hour)
        raise refusal("not a time of day", _CLOCK_REMEDY)
    return dt.time(int(found["hour"]), int(found["minute"]))


def _check_zone(name: str) -> str:
    """Refuse a zone that this machine does not know."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: "Europe" is a folder
        raise refusal("not a time zone known here", _ZONE_REMEDY) from error
    return name


Clock = Annotated[dt.time, BeforeValidator(_parse_clock)]
Zone = Annotated[str, AfterValidator(_check_zone)]


class PausedHours(Table):
    """Hours of some days of the week."""

    days: Tuple[Weekday] = Field(
        default=WEEK, min_length=1, description="the days they begin on", examples=[["mon", "tue"]]
    )
    start: Clock = Field(
        default=MIDNIGHT, alias="from", description="when they begin", examples=["08:00"]
    )
    until: Clock = Field(
        default=MIDNIGHT,
        description="when they end; not after from: on the next day",
        examples=["18:00"],
    )
    timezone: Zone = Field(
        default="UTC", description="where the clock hangs", examples=["Europe/Ljubljana"]
    )

    @model_validator(mode="after")
    def _last_some_time(self) -> Self:
        """Refuse what is probably meant to be nothing, and would be a whole day."""
        if self.start == self.until != MIDNIGHT:
            remedy = "leave out both for whole days"
            raise refusal("is the same as from", remedy, key="until")
        return self

    def left(self, now: dt.datetime) -> dt.timedelta:
        """How much of this pause the clock on the wall has yet to show; nothing outside of it."""
        local = self._there(now).replace(tzinfo=None)
        for days_ago in (0, 1):
            begun = dt.datetime.combine(local.date() - days_ago * _DAY, self.start)
            end = dt.datetime.combine(begun.date(), self.until)
            end += _DAY if self.until <= self.start else dt.timedelta()
            if WEEK[begun.weekday()] in self.days and begun <= local < end:
                return end - local
        return dt.timedelta()

    def surely_until(self, now: dt.datetime) -> dt.datetime:
        """A moment before which this pause does not end; `now` itself outside of it."""
        left = self.left(now)
        if self._there(now).utcoffset() == self._there(now + left).utcoffset():
            return now + left
        # The clock is put forward or back on the way: by whole minutes, so minute by minute.
        return now.replace(second=0, microsecond=0) + _MINUTE

    def _there(self, now: dt.datetime) -> dt.datetime:
        """A moment as the clock on the wall shows it."""
        return now.astimezone(ZoneInfo(self.timezone))


def paused_until(pauses: Sequence[PausedHours], now: dt.datetime) -> dt.datetime | None:
    """When the pause that `now` falls into is over, and no other has begun; None: there is none.

    Args:
        pauses: those of the project.
        now: UTC.

    Returns:
        A moment in UTC, at most a week ahead: pauses that leave no gap never end.
    """
    moment, before = now, None
    while moment != before and moment - now < LONGEST:
        before, moment = moment, max((each.surely_until(moment) for each in pauses), default=now)
    return min(moment, now + LONGEST) if moment > now else None


def longest_pause(pauses: Sequence[PausedHours]) -> dt.timedelta:
    """The longest time in which nothing is asked for; a week: always."""
    starts = [
        dt.datetime.combine(_SOME_MONDAY + number * _DAY, each.start, ZoneInfo(each.timezone))
        for each in pauses
        for number, day in enumerate(WEEK)
        if day in each.days
    ]
    moments = [start.astimezone(dt.UTC) for start in starts]
    return max(((paused_until(pauses, each) or each) - each for each in moments), default=NEVER)
