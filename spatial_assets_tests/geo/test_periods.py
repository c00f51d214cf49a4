from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.errors import GridError
from spatial_assets.geo.periods import PeriodLength, Periods

lengths: st.SearchStrategy[PeriodLength] = st.sampled_from(["day", "dekad", "month", "year"])
days = st.dates(date(1984, 1, 1), date(2100, 12, 31))


@given(days, lengths, days)
def test_every_day_lies_in_exactly_the_period_that_is_its_index(
    start: date, length: PeriodLength, day: date
) -> None:
    periods = Periods(min(start, day), length, max(start, day))

    index = periods.index_of(day)

    assert periods.first_day(index) <= day <= periods.last_day(index)
    assert periods.first_day(index + 1) == periods.last_day(index) + timedelta(days=1)
    assert periods.index_of(periods.first_day(index + 1)) == index + 1


@given(days, lengths, days)
def test_labels_of_an_axis_are_unique_and_sort_by_time(
    start: date, length: PeriodLength, day: date
) -> None:
    periods = Periods(min(start, day), length, max(start, day))
    labels = [periods.label(index) for index in range(min(periods.count, 200))]

    assert labels == sorted(set(labels))


@pytest.mark.parametrize(
    ("length", "label", "index"),
    [("day", "2023-08-13", 224), ("dekad", "2023-08-11", 22), ("month", "2023-08", 7)],
)
def test_labels_people_write(length: PeriodLength, label: str, index: int) -> None:
    periods = Periods(date(2023, 1, 1), length, date(2023, 12, 31))

    assert periods.index_of(date(2023, 8, 13)) == index
    assert periods.label(index) == label


def test_a_year_is_labelled_by_its_number() -> None:
    assert Periods(date(2020, 5, 1), "year", date(2023, 1, 1)).label(3) == "2023"


@pytest.mark.parametrize(
    ("length", "count"), [("day", 366), ("dekad", 36), ("month", 12), ("year", 1)]
)
def test_a_leap_year_has_as_many_periods_as_the_calendar(length: PeriodLength, count: int) -> None:
    assert Periods(date(2024, 1, 1), length, date(2024, 12, 31)).count == count


def test_the_third_dekad_takes_the_rest_of_the_month() -> None:
    periods = Periods(date(2024, 2, 1), "dekad", date(2024, 2, 29))

    assert [periods.first_day(i).day for i in range(3)] == [1, 11, 21]
    assert periods.last_day(2) == date(2024, 2, 29)


def test_a_start_within_a_month_means_that_whole_month() -> None:
    periods = Periods(date(2023, 1, 15), "month", date(2023, 3, 1))

    assert periods.index_of(date(2023, 1, 3)) == 0
    assert periods.first_day(0) == date(2023, 1, 1)


def test_a_day_before_the_start_is_refused() -> None:
    periods = Periods(date(2023, 1, 1), "month", date(2023, 12, 31))

    with pytest.raises(GridError, match="2022-12-31 is before the time axis"):
        periods.index_of(date(2022, 12, 31))


def test_extending_never_shortens_nor_moves_an_index() -> None:
    periods = Periods(date(2023, 1, 1), "month", date(2023, 12, 31))

    longer = periods.extended_to(date(2024, 2, 1))

    assert (longer.count, longer.start) == (14, periods.start)
    assert periods.extended_to(date(2023, 5, 1)) == periods
    with pytest.raises(GridError, match="before the time axis"):
        periods.extended_to(date(2022, 1, 1))


def test_an_axis_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(GridError, match="before its start"):
        Periods(date(2023, 2, 1), "day", date(2023, 1, 1))


@pytest.mark.parametrize("index", [-1, 10**9])
def test_an_index_off_the_calendar_is_refused(index: int) -> None:
    with pytest.raises(GridError):
        Periods(date(2023, 1, 1), "day", date(2023, 1, 1)).first_day(index)


def test_an_unknown_length_is_refused() -> None:
    with pytest.raises(GridError, match="'week'"):
        Periods(date(2023, 1, 1), "week", date(2023, 1, 1))  # type: ignore[arg-type]
