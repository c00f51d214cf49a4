"""[retention] of project.toml: a time, a number of periods, or everything."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.errors import SettingsError
from spatial_assets.geo.periods import PeriodLength, Periods
from spatial_assets.project.sections.retention import first_kept_period
from spatial_assets_tests.project.conftest import Load

DAYS = st.dates(dt.date(2016, 1, 1), dt.date(2030, 12, 31))
LENGTHS = st.sampled_from(["day", "dekad", "month", "year"])


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ('"keep"', None),
        ('"30 days"', dt.timedelta(days=30)),
        ('"2 weeks"', dt.timedelta(weeks=2)),
        ("3", 3),
        ('"3 periods"', 3),
        ('"1 period"', 1),
    ],
)
def test_a_limit_is_a_time_a_number_of_periods_or_none(
    load: Load, text: str, limit: object
) -> None:
    retention = load(f"[retention]\nraw_tile = {text}\nperiods = {text}\n").retention

    assert retention.raw_tile == retention.periods == limit
    assert retention.reprojected_raster is None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('"0 days"', "must be more than zero"),
        ("0", "at least 1"),
        ('"0 periods"', "at least 1"),
        ("-3", "at least 1"),
        ("true", "neither a length of time nor a number of periods"),
        ("1.5", "neither a length of time nor a number of periods"),
        ('"forever"', "not a length of time"),
    ],
)
def test_anything_else_is_refused_with_the_key(load: Load, text: str, wrong: str) -> None:
    with pytest.raises(SettingsError, match=rf"retention\.raw_tile = .*{wrong}"):
        load(f"[retention]\nraw_tile = {text}\n")


def test_the_newest_periods_are_kept() -> None:
    months = Periods(dt.date(2023, 1, 1), "month", dt.date(2023, 12, 31))
    today = dt.date(2026, 1, 1)

    kept = [first_kept_period(n, months, newest=7, today=today) for n in (1, 3, 8, 9, 100)]

    assert kept == [7, 5, 0, 0, 0]


def test_a_time_counts_from_the_last_day_of_a_period() -> None:
    months = Periods(dt.date(2023, 1, 1), "month", dt.date(2023, 12, 31))
    days = dt.timedelta(days=30)

    kept = [
        first_kept_period(days, months, newest=7, today=today)
        for today in (dt.date(2023, 3, 2), dt.date(2023, 3, 3), dt.date(2022, 1, 1))
    ]

    assert kept == [0, 1, 0]  # January ends on the 31st; 30 days later is 2 March


@given(start=DAYS, today=DAYS, length=LENGTHS, days=st.integers(1, 900))
def test_a_period_is_kept_until_the_time_after_its_end_has_passed(
    start: dt.date, today: dt.date, length: PeriodLength, days: int
) -> None:
    axis = Periods(start, length, start)
    limit = dt.timedelta(days=days)

    first = first_kept_period(limit, axis, newest=0, today=today)

    assert axis.last_day(first) + limit >= today
    assert first == 0 or axis.last_day(first - 1) + limit < today
