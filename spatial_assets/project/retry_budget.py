"""How many more retries the processes of one run may make, together.

A server in trouble gets worse if all who wait for it ask again and again. So every retry takes
from a common budget, and every answer gives a little back: what fails now and then is retried for
as long as a run lasts, while an outage costs a fixed number of requests, and then one a question.
"""

from __future__ import annotations

import logging
import multiprocessing
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

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
