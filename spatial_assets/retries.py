"""Retries: the waits between attempts, the budget that a run's processes share, and timeouts.

A caller states which errors may pass and how long to keep trying; `with_retries` is the only loop
that waits and repeats failed work. Loops that poll for a change belong where the change is read.
"""

from __future__ import annotations

import itertools
import logging
import math
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from spatial_assets.errors import SettingsError

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TIMEOUT_VARIABLE = "SPATIAL_ASSETS_TIMEOUT"
MAX_TIMEOUT_SECONDS = 3600.0

RUN_RETRIES = 500.0
"""Retries of a run, at its start and at most: some 30 workers through ten seconds without S3."""

MIN_PROCESS_RETRIES = 15.0
"""Retries of a process on another machine than its driver's, which has a budget of its own."""

REFUND = 0.5
"""Retries that an answer gives back: up to a third of all requests may fail for good."""


def no_jitter() -> float:
    """Return the jitter of a constant wait, for a resource that is waited for in turn."""
    return 1.0


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Waits that double from `first` to `largest`, until one of the limits is reached; seconds."""

    first: float
    largest: float
    total: float = math.inf
    """Sum of all waits."""

    attempts: int | None = None
    """Number of attempts, the first included; None: not limited."""

    time_limit: float = math.inf
    """Time since the first attempt began, after which there is no further one."""

    jitter: Callable[[], float] = random.random
    """Random numbers from 0 to 1, so that two callers that collided do not collide again."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def waits(self) -> Iterator[float]:
        """Yield the wait before each further attempt: between half of a step and the step."""
        left, step = self.total, min(self.first, self.largest)
        for _ in itertools.count() if self.attempts is None else range(self.attempts - 1):
            if left <= 0:
                return
            wait = min(step * (0.5 + self.jitter() / 2), left)
            left -= wait
            step = min(step * 2, self.largest)
            yield wait


def with_retries(
    work: Callable[[], Result],
    *,
    backoff: Backoff,
    errors: tuple[type[Exception], ...],
    may_pass: Callable[[Exception], bool] = lambda _: True,
    retry_after: Callable[[Exception], float] = lambda _: 0.0,
    budget: RetryBudget | None = None,
) -> Result:
    """Return the result of `work`, repeated while it fails with an error that may pass.

    Args:
        work: a function that is safe to repeat.
        backoff: the waits, and the limits of attempts and time.
        errors: error types to retry; others propagate at once.
        may_pass: True if an error of these types may not occur the next time.
        retry_after: seconds that a server asked to wait; honoured up to `backoff.largest`.
        budget: takes one retry for each repetition, and gets a share back for each answer.

    Raises:
        Exception: the last error, unchanged.
    """
    started = backoff.clock()
    waits = backoff.waits()
    while True:
        try:
            result = work()
        except errors as error:
            wait = next(waits, None) if may_pass(error) else None
            if wait is None or backoff.clock() - started >= backoff.time_limit:
                raise
            if budget is not None and not budget.take():
                raise
            wait = max(wait, min(retry_after(error), backoff.largest))
        else:
            if budget is not None:
                budget.refund()
            return result
        backoff.sleep(wait)


class RetryBudget:
    """Number of retries that the processes of one run may still make, together.

    Repeated requests make an overloaded server worse. Every retry takes from the budget, and every
    answer gives a little back: occasional failures are retried for as long as a run lasts, while an
    outage costs a fixed number of requests, and then one for each request.

    The driver passes `shared` to its workers, which `adopt` it.
    """

    def __init__(self) -> None:
        self._has_warned = False
        self._limit = RUN_RETRIES

    @cached_property
    def shared(self) -> Synchronized[float]:
        """Remaining retries, in memory that processes share."""
        return multiprocessing.get_context("forkserver").Value("d", RUN_RETRIES)

    def adopt(self, shared: Synchronized[float]) -> None:
        """Take retries from the driver's budget."""
        self.__dict__["shared"] = shared

    def refill(self, share: float = 1.0) -> None:
        """Start a run, of whose retries this process may use a share."""
        self._has_warned = False
        self._limit = max(RUN_RETRIES * share, MIN_PROCESS_RETRIES)
        with self.shared:
            self.shared.value = self._limit

    def take(self) -> bool:
        """Return True, and count one retry, if the budget allows one more."""
        with self.shared:
            if self.shared.value >= 1:
                self.shared.value -= 1
                return True
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "this run has used its %d retries: failed requests are not repeated until "
                "servers answer more reliably; check S3 and the archives",
                self._limit,
            )
        return False

    def refund(self) -> None:
        """Give a share of a retry back after a successful request."""
        with self.shared:
            self.shared.value = min(self.shared.value + REFUND, self._limit)


retry_budget = RetryBudget()
"""Budget of this process, and of the run that it works for."""


def answer_timeout(env: Mapping[str, str], *, default: float) -> float:
    """Return the seconds after which a request without an answer is abandoned and repeated.

    The variable is for machines and connections that are slower than usual.

    Raises:
        SettingsError: the variable is not a valid number of seconds.
    """
    text = env.get(TIMEOUT_VARIABLE, "").strip()
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise SettingsError(
            f"${TIMEOUT_VARIABLE} is {text!r}; wanted seconds, more than 0 and at most "
            f"{MAX_TIMEOUT_SECONDS:.0f}"
        )
    return seconds
