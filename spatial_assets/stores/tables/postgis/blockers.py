"""Sessions of a server that hold the lock which a statement waits for, as a message names them.

PostgreSQL forgets the wait when the lock times out, so another connection asks while it lasts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import psycopg

from spatial_assets.project.secrets import mask_secrets
from spatial_assets.stores.tables.postgis.connection import PromptConnection

logger = logging.getLogger(__name__)

MAX_QUERY_CHARACTERS = 120
"""Characters of a query that a message shows."""

UNKNOWN_BLOCKERS = "a session that could not be named (see pg_stat_activity and pg_locks)"

_BLOCKERS = """
SELECT blocking.pid, usename, application_name, state, xact_start, query
FROM unnest(pg_blocking_pids(%s)) AS blocking (pid)
LEFT JOIN pg_stat_activity AS session ON session.pid = blocking.pid
"""


@dataclass(frozen=True, kw_only=True)
class Blocker:
    """A session that holds a lock, or stands before us in the queue for it."""

    pid: int
    """Number of its server process; 0 for a prepared transaction, which has none."""

    user: str | None
    application: str | None
    state: str | None
    """State as PostgreSQL names it, e.g. "idle in transaction"."""

    since: datetime | None
    """Begin of its transaction."""

    query: str | None
    """Its present query, or the last one."""

    def __str__(self) -> str:
        if not self.pid:
            return "a prepared transaction (see pg_prepared_xacts)"
        since = f" since {self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        query = " ".join(mask_secrets(self.query or "not visible to this user").split())
        if len(query) > MAX_QUERY_CHARACTERS:
            query = f"{query[: MAX_QUERY_CHARACTERS - 3]}..."
        return (
            f"pid {self.pid} (user {self.user or 'unknown'}, application "
            f"{mask_secrets(self.application or 'unnamed')}, {self.state or 'state not visible'}"
            f"{since}, query: {query})"
        )


def listed(blockers: Sequence[Blocker]) -> str:
    """Return the sessions as one part of a sentence."""
    return " and ".join(map(str, blockers)) or UNKNOWN_BLOCKERS


class LockWatch:
    """The sessions that a transaction waited for, asked for on a connection of its own."""

    def __init__(self, connect: Callable[[], PromptConnection], interval: float) -> None:
        """Watch transactions.

        Args:
            connect: opens a connection; called only if a transaction lasts longer than `interval`.
            interval: seconds between two questions.
        """
        self._connect = connect
        self._interval = interval
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self.blockers: tuple[Blocker, ...] = ()
        """Sessions that were found last."""

    def __enter__(self) -> Self:
        self._is_over.clear()
        self._thread = None
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    @contextmanager
    def watching(self, pid: int) -> Iterator[None]:
        """Ask during this block, which never waits for the answer.

        Args:
            pid: server process of the transaction.
        """
        self._thread = threading.Thread(
            target=self._ask, args=(pid,), name="lock-watch", daemon=True
        )
        self._thread.start()
        try:
            yield
        finally:
            self._is_over.set()

    def _ask(self, pid: int) -> None:
        if self._is_over.wait(self._interval):
            return
        try:
            with self._connect() as connection:
                connection.autocommit = True
                while True:
                    found = blockers_of(connection, pid)
                    self.blockers = found or self.blockers
                    if self._is_over.wait(self._interval):
                        return
        except psycopg.Error as error:
            logger.warning("cannot ask who holds the lock: %s", mask_secrets(str(error)))


def blockers_of(connection: PromptConnection, pid: int) -> tuple[Blocker, ...]:
    """Return the sessions that the server process `pid` waits for; () if it does not wait."""
    rows = connection.execute(_BLOCKERS, [pid]).fetchall()
    return tuple(
        Blocker(
            pid=int(str(found)),
            user=_text(user),
            application=_text(application),
            state=_text(state),
            since=since if isinstance(since, datetime) else None,
            query=_text(query),
        )
        for found, user, application, state, since, query in rows
    )


def _text(value: object) -> str | None:
    return str(value) if value else None
