"""Cancellation of the work of this process, checked before each write of an object.

A driver on another machine may die, or reassign a tile to another worker, while this process still
computes it. A later write could then mix with the results of the other worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spatial_assets.errors import StoreError


class Cancellation:
    """Check before each write, for the whole process including its helper threads."""

    def __init__(self) -> None:
        self._is_active: Callable[[], bool] | None = None

    @contextmanager
    def checked_by(self, is_active: Callable[[], bool]) -> Iterator[None]:
        """Refuse writes in this block once `is_active()` returns False."""
        self._is_active = is_active
        try:
            yield
        finally:
            self._is_active = None

    def refuse_if_cancelled(self, uri: str) -> None:
        """Refuse to write an object after cancellation.

        Raises:
            StoreError: the work was cancelled.
        """
        if self._is_active is not None and not self._is_active():
            message = f"{uri} is not written: the driver gave this work up, or is gone"
            raise StoreError(message)


cancellation = Cancellation()
"""Cancellation of this process."""
