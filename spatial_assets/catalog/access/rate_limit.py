"""How many requests a host gets at a time: more while it keeps up, half when it does not."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

MAX_REQUESTS = (
    16  # requests of one process: what fills a line of a gigabit with pieces of a megabyte
)
INITIAL_REQUESTS = 6.0
SLOW_DOWN_STATUSES = frozenset({429, 503})
"""Statuses by which a server says that it is asked too much."""


class HostLimiter:
    """The requests of this process to one host."""

    def __init__(self) -> None:
        self._turns = threading.Condition()
        self._asking = 0
        self._settling = 0
        self.allowed = INITIAL_REQUESTS
        """Requests at a time, the part of one that the next answers will complete included."""

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Wait until one more request is allowed, and make it within the block."""
        with self._turns:
            self._turns.wait_for(lambda: self._asking < int(self.allowed))
            self._asking += 1
        try:
            yield
        finally:
            with self._turns:
                self._asking -= 1
                self._turns.notify_all()

    def record(self, status: int) -> None:
        """Note what an answer says of how much may be asked.

        Of the requests that are under way together, one that is refused halves the number.
        """
        with self._turns:
            self._settling = max(0, self._settling - 1)
            if status not in SLOW_DOWN_STATUSES:
                self.allowed = min(MAX_REQUESTS, self.allowed + 1 / self.allowed)
            elif not self._settling:
                self.allowed, self._settling = max(1.0, self.allowed / 2), self._asking
                logger.info("asked too much: %d requests at a time from here on", self.allowed)


def limiter_of(url: str) -> HostLimiter:
    """The crowd before the host of a URL."""
    return _limiter(urlsplit(url).netloc)


@lru_cache(maxsize=256)
def _limiter(_host: str) -> HostLimiter:
    return HostLimiter()
