"""Dagster's event log, kept open while a run writes to it.

Nothing else is done to it: who writes what, and when, is Dagster's own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import dagster as dg

INDEX = "index"
"""The file of Dagster's SQLite storage that holds the asset events of all runs."""


@contextmanager
def event_log_open(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Keep the files of an event log in SQLite open; any other storage needs no such thing.

    Dagster opens and closes them three to six times an event, and who closes a file as the last
    one moves its whole write-ahead log into it, with a wait for the disk: a third of what an event
    costs. While somebody else has it open, closing is nothing. No lock is held in between.
    """
    path_of = getattr(instance.event_log_storage, "path_for_shard", None)
    paths = [] if path_of is None else [path_of(shard) for shard in (INDEX, run_id)]
    with ExitStack() as files:
        for path in paths:
            file = files.enter_context(closing(sqlite3.connect(path)))
            file.execute("select 1 from sqlite_master").fetchall()  # opens the write-ahead log
        yield
