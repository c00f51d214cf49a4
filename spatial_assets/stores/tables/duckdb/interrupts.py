"""Interrupts that wait until a statement is done.

DuckDB lets a signal end the statement that it executes, and then keeps the file open for ever: this
process would wait for itself. So a signal waits for the end of the transaction.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

DEFERRED_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Deliver SIGINT and SIGTERM at the end of this block, if they have handlers.

    Python delivers signals to the main thread only, so nothing is deferred in others.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[tuple[int, FrameType | None]] = []
    handlers: dict[signal.Signals, Any] = {}

    def defer(number: int, frame: FrameType | None) -> None:
        received.append((number, frame))

    try:
        for each in DEFERRED_SIGNALS:
            handler = signal.getsignal(each)
            if callable(handler):
                handlers[each] = handler
                signal.signal(each, defer)
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        for number, frame in received[:1]:
            handlers[signal.Signals(number)](number, frame)
