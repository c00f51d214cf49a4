"""Whether what this process is at work on is still wanted: asked before each write of an object.

A driver on another machine may die, or hand a tile to another worker, while this process is still
making it. What it wrote after that could land in the work of somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spatial_assets.errors import StoreError


class Cancellation:
    """Stands between a process and its writes; of the whole process, helper threads included."""

    def __init__(self) -> None:
        self._is_wanted: Callable[[], bool] | None = None

    @contextmanager
    def checked_by(self, is_wanted: Callable[[], bool]) -> Iterator[None]:
        """Write nothing in this block from when `is_wanted()` no longer holds."""
        self._is_wanted = is_wanted
        try:
            yield
        finally:
            self._is_wanted = None

    def refuse_if_cancelled(self, uri: str) -> None:
        """Refuse to write an object that nobody wants from this process any more.

        Raises:
            StoreError: the work was given up.
        """
        if self._is_wanted is not None and not self._is_wanted():
            message = f"{uri} is not written: the driver gave this work up, or is gone"
            raise StoreError(message)


cancellation = Cancellation()
"""Of this process."""
