"""Waits between attempts, and retries that all processes of a run share."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets import retries as module
from spatial_assets.pipeline.engines.engine import ProcessEngine
from spatial_assets.retries import RUN_RETRIES, Backoff, RetryBudget, retry_budget, with_retries


@pytest.fixture
def budget() -> RetryBudget:
    """One with three retries left."""
    found = RetryBudget()
    found.shared.value = 3
    return found


def test_a_budget_is_used_up_and_logged_once(
    budget: RetryBudget, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger=module.__name__):
        taken = [budget.take() for _ in range(6)]

    assert taken == [True] * 3 + [False] * 3
    assert len(caplog.messages) == 1


def test_two_answers_give_one_retry_back_and_no_more_than_there_were(budget: RetryBudget) -> None:
    for _ in range(3):
        budget.take()
    budget.refund()
    assert not budget.take()
    budget.refund()
    assert budget.take()

    for _ in range(round(3 * RUN_RETRIES)):
        budget.refund()

    assert budget.shared.value == RUN_RETRIES


def take_one(_: int) -> bool:
    return retry_budget.take()


def test_the_workers_of_a_run_take_from_one_budget() -> None:
    retry_budget.refill()
    retry_budget.shared.value = 7
    try:
        engine = ProcessEngine(workers=2, gdal_cache_mb=16)
        taken = [found for _, found in engine.run(take_one, range(20))]

        assert taken.count(True) == 7
        assert retry_budget.shared.value == 0
    finally:
        retry_budget.refill()


@given(
    st.floats(0.001, 1), st.floats(1, 10), st.floats(0.1, 100), st.floats(0, 1, exclude_max=True)
)
def test_waits_are_bounded_and_add_up_to_the_total(
    first: float, largest: float, patience: float, luck: float
) -> None:
    backoff = Backoff(first=first, largest=largest, total=patience, jitter=lambda: luck)

    waits = list(backoff.waits())

    assert sum(waits) == pytest.approx(patience)
    assert max(waits) <= largest
    assert all(wait >= 0 for wait in waits)


def test_work_is_retried_only_after_transient_errors() -> None:
    slept: list[float] = []
    outcomes: list[Exception | str] = [TimeoutError("busy"), TimeoutError("busy"), "done"]

    def work() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    backoff = Backoff(first=1, largest=2, total=10, sleep=slept.append)

    def again() -> str:
        return with_retries(
            work,
            backoff=backoff,
            errors=(OSError,),
            may_pass=lambda error: "busy" in str(error),
        )

    assert (again(), len(slept)) == ("done", 2)
    outcomes.append(TimeoutError("gone for good"))
    with pytest.raises(TimeoutError, match="for good"):
        again()
    outcomes.extend([TimeoutError("busy")] * 99)
    with pytest.raises(TimeoutError, match="busy"):
        again()
    assert sum(slept[2:]) == pytest.approx(10)
