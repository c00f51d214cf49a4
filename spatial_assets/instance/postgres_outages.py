"""Outages of the PostgreSQL server that holds Dagster's records: what is written waits for it.

A run writes several events a tile. Dagster tries to connect for some seconds, never repeats a
statement, and then the run dies, though its work and its store are well.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from spatial_assets.instance.dagster_internals import DagsterPostgresException
from spatial_assets.retries import Backoff, with_retries

Result = TypeVar("Result")
Storage = TypeVar("Storage")

logger = logging.getLogger(__name__)

WAIT_SECONDS = 300.0
"""Time that a storage waits for its server. A restart takes seconds and a failover a minute or two;
after five minutes somebody has to look, and a run that ends is started again."""

WEBSERVER_WAIT_SECONDS = 5.0
"""The same in a webserver, where a person waits and may reload the page."""

LARGEST_PAUSE = 5.0
"""Longest time between two attempts in seconds: so late an outage is known to be over."""

ENDING = {"57P01", "57P02", "57P03", "53300"}
"""SQLSTATEs of a server that shuts down, that crashed, that starts, and that has no free slot:
https://www.postgresql.org/docs/current/errcodes-appendix.html."""

ERRORS = (DBAPIError, DagsterPostgresException)


def is_lost_connection(error: Exception) -> bool:
    """Return True if an error is of the connection, not of the statement."""
    if isinstance(error, DagsterPostgresException):
        return True  # raised after some attempts to connect, and for nothing else
    if not isinstance(error, DBAPIError):
        return False
    code = getattr(error.orig, "pgcode", None)
    if code is None:
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return code in ENDING or code.startswith("08")


def waiting_for_server(work: Callable[[], Result], *, seconds: float = WAIT_SECONDS) -> Result:
    """Return the result of `work`, repeated while the connection to the server is lost.

    Args:
        work: what to do; it may have been done already when the connection was lost.
        seconds: time after which the last error is raised.
    """
    lost_at: list[float] = []

    def may_pass(error: Exception) -> bool:
        if not is_lost_connection(error):
            return False
        if not lost_at:
            lost_at.append(time.monotonic())
            logger.warning(
                "the PostgreSQL server of Dagster's records does not answer; waiting up to %.0f s "
                "for it: %s",
                seconds,
                str(error).partition("\n")[0],
            )
        return True

    backoff = Backoff(first=0.2, largest=LARGEST_PAUSE, time_limit=seconds)
    result = with_retries(work, backoff=backoff, errors=ERRORS, may_pass=may_pass)
    if lost_at:
        waited = time.monotonic() - lost_at[0]
        logger.warning(
            "the PostgreSQL server of Dagster's records answers again after %.1f s", waited
        )
    return result


def waits_for_server(*, besides: Collection[str] = ()) -> Callable[[type[Storage]], type[Storage]]:
    """Return a decorator of a storage whose methods wait for its server.

    They are those that Dagster's storages promise to have, each of which may be repeated: it reads,
    or it sets something to a value.

    Args:
        besides: methods for which that is not so.
    """

    def decorate(storage: type[Storage]) -> type[Storage]:
        for name, method in inspect.getmembers(storage, inspect.isfunction):
            if name in besides or name not in _promised(storage):
                continue
            if inspect.isgeneratorfunction(inspect.unwrap(method)):
                continue
            setattr(storage, name, _waiting(method))
        return storage

    return decorate


WITHOUT_SERVER = {
    "config_type",
    "dispose",
    "end_watch",
    "optimize_for_webserver",
    "register_instance",
    "watch",
}
"""Methods that need no answer of a server, or that must not wait for one."""


def _promised(storage: type) -> set[str]:
    """Return the public methods of Dagster's abstract storage."""
    abstract = next(
        each for each in storage.__mro__ if inspect.isabstract(each) and _is_storage(each)
    )
    return {name for name in dir(abstract) if not name.startswith("_")} - WITHOUT_SERVER


def _is_storage(each: type) -> bool:
    return each.__name__ in {"EventLogStorage", "RunStorage", "ScheduleStorage"}


def _waiting(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def waiting(self: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - any method's
        return waiting_for_server(
            lambda: method(self, *arguments, **named), seconds=self.wait_seconds
        )

    return waiting
