"""Trying again what may pass: how long to wait, how often, and when to stop.

What may pass is for the caller to say. Waiting is jittered, so that two that collided do not
collide again in step.

How many more retries the processes of one run may make, together.

A server in trouble gets worse if all who wait for it ask again and again. So every retry takes
from a common budget, and every answer gives a little back: what fails now and then is retried for
as long as a run lasts, while an outage costs a fixed number of requests, and then one a question.

How long a server may take to answer, where the machine or the line is not an ordinary one.
"""

from __future__ import annotations

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


logger = logging.getLogger(__name__)

RETRIES = 500.0
"""That a run starts with, and never has more of: some 30 workers through ten seconds without S3."""

LEAST = 15.0
"""Of a process that has a budget of its own, on another machine than its driver's."""

EARNED = 0.5
"""Retries that an answer gives back: up to a third of all requests may fail for good."""


class RetryBudget:
    """The budget of a run; the driver hands `shared` to its workers, who `adopt` it."""

    def __init__(self) -> None:
        self._said = False
        self._most = RETRIES

    @cached_property
    def shared(self) -> Synchronized[float]:
        """Retries that are left, in memory that processes share."""
        return multiprocessing.get_context("forkserver").Value("d", RETRIES)

    def adopt(self, shared: Synchronized[float]) -> None:
        """Take from the budget of the driver."""
        self.__dict__["shared"] = shared

    def refill(self, share: float = 1.0) -> None:
        """Begin a run, of whose retries this process may use a share."""
        self._said = False
        self._most = max(RETRIES * share, LEAST)
        with self.shared:
            self.shared.value = self._most

    def take(self) -> bool:
        """Whether one more retry may be made, which then counts."""
        with self.shared:
            if self.shared.value >= 1:
                self.shared.value -= 1
                return True
        if not self._said:
            self._said = True
            logger.warning(
                "this run has used up its %d retries: what fails is not asked again until "
                "servers answer better; look at S3 and the archives",
                self._most,
            )
        return False

    def earn(self) -> None:
        """Note an answer."""
        with self.shared:
            self.shared.value = min(self.shared.value + EARNED, self._most)


retry_budget = RetryBudget()
"""Of this process, and of the run that it works for."""

VARIABLE = "SPATIAL_ASSETS_TIMEOUT"
LONGEST = 3600.0


def answer_within(env: Mapping[str, str], *, default: float) -> float:
    """Seconds after which a request without an answer is given up, and made again.

    Raises:
        SettingsError: the variable is no number of seconds.
    """
    said = env.get(VARIABLE, "").strip()
    if not said:
        return default
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise SettingsError(
            f"${VARIABLE} is {said!r}; wanted seconds, more than 0 and at most {LONGEST:.0f}"
        )
    return seconds
