"""Pauses, in which automation requests nothing, across changes of daylight saving time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spatial_assets.project import Project
from spatial_assets.project.sections.pauses import (
    WEEKDAYS,
    PausedHours,
    longest_pause,
    paused_until,
)

Load = Callable[..., Project]
Refusal = Callable[..., str]
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
LJUBLJANA = ZoneInfo("Europe/Ljubljana")
ZONES = ["UTC", "Europe/Ljubljana", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]
CLOCK_CHANGES = [
    dt.datetime(2026, 3, 29, 1, tzinfo=dt.UTC),  # Ljubljana, forward
    dt.datetime(2026, 10, 25, 1, tzinfo=dt.UTC),  # Ljubljana, back
    dt.datetime(2026, 4, 4, 15, tzinfo=dt.UTC),  # Lord Howe, back by half an hour
    dt.datetime(2026, 11, 1, 4, 30, tzinfo=dt.UTC),  # St. John's, back
]


def pause(**settings: object) -> PausedHours:
    return PausedHours.model_validate(settings)


def paused(pauses: list[PausedHours], moment: dt.datetime) -> bool:
    """Compare wall-clock times: an oracle that does not compute durations."""
    for each in pauses:
        local = moment.astimezone(ZoneInfo(each.timezone))
        today, yesterday = WEEKDAYS[local.weekday()], WEEKDAYS[local.weekday() - 1]
        clock = local.time()
        if each.start < each.until:
            if today in each.days and each.start <= clock < each.until:
                return True
        elif (today in each.days and clock >= each.start) or (
            yesterday in each.days and clock < each.until
        ):
            return True
    return False


clocks = st.builds(dt.time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
pauses = st.builds(
    PausedHours.model_construct,
    days=st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True).map(tuple),
    start=clocks,
    until=clocks,
    timezone=st.sampled_from(ZONES),
).filter(lambda each: each.start != each.until)
moments = st.builds(
    lambda change, minutes: change + minutes * MINUTE,
    st.sampled_from(CLOCK_CHANGES),
    st.integers(-36 * 60, 36 * 60),
)


@given(st.lists(pauses, max_size=3), moments)
def test_a_pause_lasts_as_long_as_the_clock_on_the_wall_says(
    several: list[PausedHours], now: dt.datetime
) -> None:
    until = paused_until(several, now)

    assert (until is not None) == paused(several, now)
    if until is not None and until - now < 7 * DAY:
        assert not paused(several, until)
        minutes = int((until - now) / MINUTE)
        assert all(paused(several, now + number * MINUTE) for number in range(minutes))
        assert paused(several, until - MINUTE / 60)


@given(st.lists(pauses, min_size=1, max_size=2), moments, pauses)
def test_another_pause_never_ends_one_sooner(
    several: list[PausedHours], now: dt.datetime, another: PausedHours
) -> None:
    alone = paused_until(several, now)
    assume(alone is not None)

    together = paused_until([*several, another], now)

    assert together is not None
    assert alone is not None
    assert together >= alone


OFFICE = pause(days=["mon", "fri"], **{"from": "08:00", "until": "18:00"}, timezone=str(LJUBLJANA))
NIGHT = pause(days=["sat"], **{"from": "22:00", "until": "02:30"}, timezone=str(LJUBLJANA))


@pytest.mark.parametrize(
    ("now", "until"),
    [
        pytest.param("2026-07-06T05:59:59", None, id="before"),
        pytest.param("2026-07-06T06:00:00", "2026-07-06T16:00:00", id="summer"),
        pytest.param("2026-01-05T07:30:00", "2026-01-05T17:00:00", id="winter"),
        pytest.param("2026-01-06T09:00:00", None, id="another-day"),
        pytest.param("2026-07-05T00:00:00", "2026-07-05T00:30:00", id="past-midnight"),
        pytest.param("2026-03-29T00:30:00", "2026-03-29T01:00:00", id="its-end-is-skipped"),
        pytest.param("2026-10-24T21:00:00", "2026-10-25T00:30:00", id="first-half-past-two"),
        pytest.param("2026-10-25T01:10:00", "2026-10-25T01:30:00", id="second-half-past-two"),
    ],
)
def test_pauses_by_hand(now: str, until: str | None) -> None:
    moment = dt.datetime.fromisoformat(f"{now}+00:00")

    found = paused_until([OFFICE, NIGHT], moment)

    assert found == (until and dt.datetime.fromisoformat(f"{until}+00:00"))


def test_whole_days_are_what_stands_without_hours() -> None:
    weekend = pause(days=["sat", "sun"])
    friday = dt.datetime(2026, 1, 9, 23, tzinfo=dt.UTC)

    assert paused_until([weekend], friday) is None
    assert paused_until([weekend], friday + HOUR) == friday + HOUR + 2 * DAY


def test_pauses_that_touch_are_one(refusal: Refusal) -> None:
    evening = pause(**{"from": "18:00", "until": "24:00"})
    night = pause(days=["tue"], until="06:00")

    assert longest_pause([]) == dt.timedelta()
    assert longest_pause([evening]) == 6 * HOUR
    assert longest_pause([evening, night]) == 12 * HOUR
    assert longest_pause([pause()]) == 7 * DAY
    assert "leave no minute of the week" in refusal("[[freshness.paused]]\n")


@pytest.mark.parametrize(("fail", "is_refused"), [("7 days", True), ("8 days", False)])
def test_a_pause_in_which_tiles_get_overdue_by_themselves_is_refused(
    load: Load, refusal: Refusal, fail: str, *, is_refused: bool
) -> None:
    text = (
        f"[freshness]\nraw_tile = {{ warn = '5 days', fail = '{fail}' }}\n"
        "[[freshness.paused]]\ndays = ['sat', 'sun']\n"
    )
    if is_refused:
        assert (
            "pause for 2 days, but a tile due at 5 days is overdue at 7 days; shorten them"
            in refusal(text)
        )
    else:
        assert len(load(text).freshness.paused) == 1


def test_a_pause_is_read_from_the_file(load: Load) -> None:
    (found,) = load(
        "[[freshness.paused]]\ndays = ['mon', 'tue']\nfrom = '08:00'\nuntil = 18:00:00\n"
        "timezone = 'Europe/Ljubljana'\n"
    ).freshness.paused

    assert found.days == ("mon", "tue")
    assert (found.start, found.until) == (dt.time(8), dt.time(18))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("timezone = 'Europe/Atlantis'", "not a known time zone"),
        ("timezone = 'Europe'", "not a known time zone"),
        ("from = '8'", 'paused.0.from = "8": not a time of day; write an hour and a minute'),
        ("until = '25:00'", 'paused.0.until = "25:00": not a time of day'),
        ("from = '08:00'\nuntil = '08:00'", "is the same as from; leave out both for whole days"),
        ("days = ['monday']", "paused.0.days.0"),
        ("days = []", "paused.0.days"),
    ],
)
def test_what_is_no_pause_is_refused_with_a_remedy(refusal: Refusal, line: str, told: str) -> None:
    assert told in refusal(f"[[freshness.paused]]\n{line}\n")
