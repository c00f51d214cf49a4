"""A connection to PostGIS whose server must answer in time.

The server's own statement_timeout says nothing where the line is silent: without this a driver
would wait for a lost answer for ever.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg

Result = TypeVar("Result")
Turns = Generator[Any, Any, Result]
"""psycopg's conversation with a server: what it waits for, and each tenth of a second nothing."""


class PromptConnection(psycopg.Connection[tuple[object, ...]]):
    """Closes itself when the server does not answer; what was asked may have been done."""

    answer_within = 60.0
    """Seconds without an answer."""

    @classmethod
    def answering_within(cls, seconds: float) -> type[PromptConnection]:
        """The class of connections that wait so long from their first moment."""
        return type(cls.__name__, (cls,), {"answer_within": seconds})

    @contextmanager
    def hurried(self, seconds: float) -> Iterator[None]:
        """Wait only so long in this block."""
        usual, self.answer_within = self.answer_within, seconds
        try:
            yield
        finally:
            self.answer_within = usual

    def wait(self, gen: Turns[Result], *options: Any, **named: Any) -> Result:  # noqa: ANN401 - psycopg's
        """Go through with a conversation.

        Raises:
            psycopg.OperationalError: there was no answer in time.
        """
        return super().wait(self._in_time(gen), *options, **named)

    def _in_time(self, turns: Turns[Result]) -> Turns[Result]:
        deadline = time.monotonic() + self.answer_within
        try:
            wanted = next(turns)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self.pgconn.finish()
                    message = f"the server did not answer within {self.answer_within:g} s"
                    raise psycopg.OperationalError(message)
                wanted = turns.send(ready)
        except StopIteration as ended:
            result: Result = ended.value
            return result
