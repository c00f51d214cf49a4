"""Trying again what may pass: how long to wait, how often, and when to stop.

What may pass is for the caller to say. Waiting is jittered, so that two that collided do not
collide again in step.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from spatial_assets.project.retry_budget import RetryBudget

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Waits that double from `first` to `largest` until they add up to `patience`; seconds."""

    first: float
    largest: float
    patience: float
    at_most: float = math.inf
    """From the first try on, after which there is no further one however short the waits were."""

    def waits(self, jitter: Callable[[], float] = random.random) -> Iterator[float]:
        """Seconds to wait before each further try, each between half of itself and itself."""
        left, step = self.patience, self.first
        while left > 0:
            wait = min(step * (0.5 + jitter() / 2), left)
            left -= wait
            step = min(step * 2, self.largest)
            yield wait


def retried(
    work: Callable[[], Result],
    may_pass: Callable[[Exception], bool],
    *,
    backoff: Backoff,
    kinds: tuple[type[Exception], ...],
    budget: RetryBudget | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Do `work`, again while it fails in a way that may pass.

    Args:
        work: what to do; it must be harmless to do twice.
        may_pass: whether an error may be gone the next time.
        backoff: how long to wait, and until when.
        kinds: errors that are looked at; others pass through.
        budget: what each further try takes from, and each answer gives to; None: nothing.
        sleep: what waits.

    Raises:
        Exception: the last error, as it was.
    """
    started = time.monotonic()
    waits = backoff.waits()
    while True:
        try:
            result = work()
        except kinds as error:
            wait = next(waits, None)
            late = time.monotonic() - started > backoff.at_most
            if wait is None or late or not may_pass(error):
                raise
            if budget is not None and not budget.take():
                raise
        else:
            if budget is not None:
                budget.earn()
            return result
        sleep(wait)
