"""Limit of concurrent requests to a host: raised while the host keeps up, else halved."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

MAX_REQUESTS = 16  # of one process: enough to fill a gigabit link with chunks of a megabyte
INITIAL_REQUESTS = 6.0
SLOW_DOWN_STATUSES = frozenset({429, 503})
"""Statuses of a server that gets too many requests."""


class HostLimiter:
    """Limiter of the requests of this process to one host."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._in_flight = 0
        self._answers_before_next_halving = 0
        self.allowed = INITIAL_REQUESTS
        """Concurrent requests that are allowed, rounded down; answers add fractions of one."""

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Wait until one more request is allowed; the block makes it."""
        with self._condition:
            self._condition.wait_for(lambda: self._in_flight < int(self.allowed))
            self._in_flight += 1
        try:
            yield
        finally:
            with self._condition:
                self._in_flight -= 1
                self._condition.notify_all()

    def record(self, status: int) -> None:
        """Adjust the limit to the status of an answer.

        Of the requests that are under way together, only the first refused one halves the limit.
        """
        with self._condition:
            self._answers_before_next_halving = max(0, self._answers_before_next_halving - 1)
            if status not in SLOW_DOWN_STATUSES:
                self.allowed = min(MAX_REQUESTS, self.allowed + 1 / self.allowed)
            elif not self._answers_before_next_halving:
                self.allowed = max(1.0, self.allowed / 2)
                self._answers_before_next_halving = self._in_flight
                logger.info("too many requests: limited to %d at a time", self.allowed)


def limiter_of(url: str) -> HostLimiter:
    """Return the limiter of a URL's host."""
    return _limiter(urlsplit(url).netloc)


@lru_cache(maxsize=256)
def _limiter(_host: str) -> HostLimiter:
    return HostLimiter()
