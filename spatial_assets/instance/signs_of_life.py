"""Signs of life of a run: something in its log every few seconds, for as long as its process lives.

The launcher of `run_launcher.py` reads them from another machine. A code server alone cannot tell:
after its code was reloaded, it does not know the runs that it started before.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

logger = logging.getLogger(__name__)

SIGN_SECONDS = 15.0
"""Longest silence of a living run; also the time after which it learns that it was ended."""

SIGNS_TAG = "spatial_assets/signs_of_life"
"""Tag of a run that shows signs of life: the seconds between two."""


class SignsOfLife:
    """Thread that writes a line into the log of a run whenever the run itself was silent.

    It also ends a run that was declared dead or was cancelled by force, because somebody else may
    do its work by now: the run is interrupted as by Ctrl-C, and releases its leases.
    """

    def __init__(
        self,
        *,
        say: Callable[[str], None],
        is_over: Callable[[], bool],
        end: Callable[[], None],
        interval: float = SIGN_SECONDS,
    ) -> None:
        self._say = say
        self._is_over = is_over
        self._end = end
        self._interval = interval
        self._spoke = self._began = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="signs-of-life", daemon=True)

    def note(self) -> None:
        """Note that the run has just written an event by itself."""
        self._spoke = self._began = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[SignsOfLife]:
        """Show signs of life during the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            self._thread.join(self._interval)

    def _watch(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        # Half of the interval, so that no silence is longer than one and a half of them.
        while not self._stopped.wait(self._interval / 2):
            try:
                if self._is_over():
                    logger.warning("this run was ended elsewhere: its work stops here")
                    self._end()
                    return
                now = time.monotonic()
                if now - self._spoke >= self._interval / 2:
                    self._spoke = now
                    self._say(f"Working; the last result was {now - self._began:.0f} s ago")
            except SQLAlchemyError as error:
                logger.warning("no sign of life could be stored: %s", error)


@contextmanager
def showing_signs_of_life(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
) -> Iterator[SignsOfLife]:
    """Show signs of life while a step works; nothing is shown to an instance in memory."""
    instance, run_id = context.instance, context.run.run_id
    is_main = threading.current_thread() is threading.main_thread()

    def is_over() -> bool:
        run = instance.get_run_by_id(run_id)
        return is_main and (run is None or run.is_finished)

    def end() -> None:
        os.kill(os.getpid(), signal.SIGINT)  # Dagster turns it into an interrupt of the step

    signs = SignsOfLife(say=context.log.info, is_over=is_over, end=end)
    if instance.is_ephemeral:
        yield signs
        return
    instance.add_run_tags(run_id, {SIGNS_TAG: f"{SIGN_SECONDS:g}"})
    with signs.shown():
        yield signs
