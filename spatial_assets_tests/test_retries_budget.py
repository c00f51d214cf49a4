"""Retries that all processes of a run share."""

from __future__ import annotations

import logging

import pytest

from spatial_assets import retries as module
from spatial_assets.pipeline.engines.engine import ProcessEngine
from spatial_assets.retries import RUN_RETRIES, RetryBudget, retry_budget


@pytest.fixture
def budget() -> RetryBudget:
    """One with three retries left."""
    found = RetryBudget()
    found.shared.value = 3
    return found


def test_a_budget_is_used_up_and_says_so_once(
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
