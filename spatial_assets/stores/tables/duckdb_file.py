"""The file of a DuckDB database, and who has it: one process at a time may write it.

It is attached to a database in memory for a transaction and then let go of, or kept for the next
one for as long as nobody else asks. Attaching, rather than opening, because the extension must be
loaded before the log of a killed writer is read.

Whose turn it is with a DuckDB file: among the threads of this process, and among processes.

What is done in a turn belongs in `duck_file`.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import duckdb

from spatial_assets.errors import DatabaseError
from spatial_assets.retries import Backoff, with_retries

logger = logging.getLogger(__name__)

EXTENSION = "duckdb_extension_spatial"
STORAGE = "STORAGE_VERSION 'v1.5.0'"  # the oldest that keeps the reference system of a column
HELD_BY_OTHERS = ("Could not set lock", "Conflicting lock", "Unique file handle conflict")
SETTINGS = {
    # Nothing is fetched behind our back: the extension comes as a package, or not at all.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # A table that is not there is an error, even if a Python variable has its name.
    "python_enable_replacements": "false",
    # Tables here are small beside pixels; past this DuckDB spills to a folder beside the file.
    "memory_limit": "1GB",
    # The cores are for pixels, and a tile's few rows cost half when no threads are woken for them.
    "threads": "1",
}
KEPT_IDLE = 2.0
"""Seconds without a transaction after which a kept file is let go of: programs that do not ask,
such as DuckDB's own, may have it."""

LOOK = 0.02
"""Seconds between looks whether another process asks for a kept file."""

AGAIN = 0.05
"""Seconds, at most, between tries to have a file that another process holds."""

IN_MEMORY = ":memory:"
"""What is read where there is no file."""


class DuckFile:
    """A DuckDB file as one object of this process has it; of several, one at a time."""

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._memory: duckdb.DuckDBPyConnection | None = None
        self._attached: str | None = None
        self._keepers = 0
        self._used = 0.0

    @contextmanager
    def attached(self, *, write: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """The file as the schema `store`; dropped with all that was begun if anything fails.

        Raises:
            DatabaseError: another thread has it, and kept it.
            duckdb.Error: another process has it, and kept it.
        """
        with turn_of(self._path, self._patience) as turn:
            turn.passes_to(self)
            connection, is_done = self._instance(), False
            try:
                if self._attached is None:
                    self._attach(connection, write=write)
                yield connection
                if not self._may_be_kept():
                    self.let_go()
                self._used = time.monotonic()
                is_done = True
            finally:
                if not is_done:
                    # Closing rolls back and lets go of the file, whatever state it is in.
                    self._drop()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the file between the transactions of this block while nobody else asks for it."""
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(over,), name="duckdb-file", daemon=True)
        with turn_of(self._path, self._patience):
            self._keepers += 1
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()
            with turn_of(self._path, self._patience):
                self._keepers -= 1
                if not self._keepers:
                    self.let_go()

    def spatial_version(self) -> str:
        """Versions of DuckDB and of its spatial extension."""
        with turn_of(self._path, self._patience):
            found = self._instance().execute(
                "SELECT extension_version FROM duckdb_extensions() WHERE extension_name = 'spatial'"
            )
            version = found.fetchone()
        return f"DuckDB {duckdb.__version__}, spatial {version[0] if version else 'missing'}"

    def close(self) -> None:
        """Let go of the database in memory, and of the file with it."""
        with turn_of(self._path, self._patience):
            self._drop()

    def let_go(self) -> None:
        """Detach the file, which brings its log into it; whoever calls has the turn."""
        if self._attached is None or self._memory is None:
            return
        try:
            self._memory.execute("USE memory")
            self._memory.execute("DETACH store")
            self._attached = None
        except duckdb.Error:
            self._drop()
            raise

    def _let_go_quietly(self) -> None:
        try:
            self.let_go()
        except duckdb.Error as error:
            # What was committed is in its log; the next transaction meets the same trouble.
            logger.warning("duckdb:///%s was let go of with trouble: %s", self._path, error)

    def _drop(self) -> None:
        self._attached = None
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _may_be_kept(self) -> bool:
        return (
            self._keepers > 0 and self._attached != IN_MEMORY and is_asked_for(self._path) is False
        )

    def _watch(self, over: threading.Event) -> None:
        """Between transactions, let go of what others ask for, and of what is not used."""
        while not over.wait(LOOK):
            with turn_if_free(self._path) as is_ours:
                is_idle = time.monotonic() - self._used > KEPT_IDLE
                if is_ours and self._attached and (is_idle or not self._may_be_kept()):
                    self._let_go_quietly()

    def _attach(self, connection: duckdb.DuckDBPyConnection, *, write: bool) -> None:
        """Attach the file as the database in use; the first that writes makes it."""
        if write:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        place = str(self._path) if write or self._path.exists() else IN_MEMORY
        mode = STORAGE if write or self._keepers or place == IN_MEMORY else "READ_ONLY"
        command = f"ATTACH {literal(place)} AS store ({mode})"
        if is_asked_for(self._path):
            # Whoever has just given way would be back before those who wait look again.
            time.sleep(AGAIN * (1 + random.random()))  # noqa: S311 - jitter guards nothing
        try:
            connection.execute(command)
        except duckdb.Error as error:
            if not is_held_by_others(error):
                raise
            self._wait_for(connection, command)
        self._attached = place
        connection.execute("USE store")

    def _wait_for(self, connection: duckdb.DuckDBPyConnection, command: str) -> None:
        with asking_for(self._path):
            with_retries(
                lambda: connection.execute(command),
                backoff=Backoff(first=0.005, largest=AGAIN, total=self._patience),
                errors=(duckdb.Error,),
                may_pass=is_held_by_others,
            )

    def _instance(self) -> duckdb.DuckDBPyConnection:
        """A database in memory with the extension loaded; 110 ms, so it is kept."""
        if self._memory is None:
            config: dict[str, str | bool | int | float | list[str]] = dict(SETTINGS)
            config["temp_directory"] = f"{self._path}.tmp"
            memory = duckdb.connect(":memory:", config=config)
            memory.execute(f"LOAD {literal(str(extension_file()))}")
            self._memory = memory
        return self._memory


def extension_file() -> Path:
    """The spatial extension for this very version of DuckDB, from its package.

    Raises:
        DatabaseError: there is none.
    """
    package = importlib.util.find_spec(EXTENSION)
    for folder in (package.submodule_search_locations if package else None) or ():
        for found in Path(folder).rglob("spatial.duckdb_extension"):
            if found.parent.name == f"v{duckdb.__version__}":
                return found
    raise DatabaseError(
        f"DuckDB {duckdb.__version__} has no spatial extension here; install the pair "
        f"duckdb=={duckdb.__version__} duckdb-extension-spatial=={duckdb.__version__}"
    )


def literal(text: str) -> str:
    """A string where DuckDB takes no parameter: in LOAD and ATTACH."""
    return "'" + text.replace("'", "''") + "'"


def is_held_by_others(error: Exception) -> bool:
    """Whether the file is open elsewhere."""
    return any(sign in str(error) for sign in HELD_BY_OTHERS)


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
