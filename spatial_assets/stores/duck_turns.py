"""Whose turn it is with a DuckDB file: among the threads of this process, and among processes.

What is done in a turn belongs in `duck_file`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from spatial_assets.errors import DatabaseError


class Keeper(Protocol):
    """Who may keep a file beyond its turn."""

    def let_go(self) -> None:
        """Give the file up; called by whoever has the turn."""


@dataclass(eq=False)
class Turn:
    """Whose turn it is among the threads of this process.

    A file opened twice by one process loses its lock when either is closed (POSIX), and DuckDB
    looks into the file before it notices. So threads wait here instead.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    keeper: Keeper | None = None
    """Who had it last, and may have kept it."""

    def passes_to(self, file: Keeper) -> None:
        """Take the file from another object that kept it."""
        if self.keeper is not None and self.keeper is not file:
            self.keeper.let_go()
        self.keeper = file


_turns: dict[Path, Turn] = {}
_turns_lock = threading.Lock()


def _turn(path: Path) -> Turn:
    with _turns_lock:
        return _turns.setdefault(path, Turn())


@contextmanager
def turn_of(path: Path, patience: float) -> Iterator[Turn]:
    """Let one thread of this process at a time have the file."""
    turn = _turn(path)
    if not turn.lock.acquire(timeout=patience):
        raise DatabaseError(f"duckdb:///{path}: another thread held it for {patience:g} s")
    try:
        yield turn
    finally:
        turn.lock.release()


@contextmanager
def turn_if_free(path: Path) -> Iterator[bool]:
    """Whether the turn is had in this block: not while another thread has it."""
    lock = _turn(path).lock
    is_ours = lock.acquire(blocking=False)
    try:
        yield is_ours
    finally:
        if is_ours:
            lock.release()


@contextmanager
def asking_for(path: Path) -> Iterator[None]:
    """Let whoever keeps the file know in this block that it is wanted.

    By a shared lock on its folder: it leaves no file behind, and a process that is killed asks no
    more. Where folders have no locks nobody is heard, and so nobody keeps a file.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield
    finally:
        os.close(folder)


def is_asked_for(path: Path) -> bool | None:
    """Whether another process asks for the file; None: that cannot be told."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(folder)
    return False
