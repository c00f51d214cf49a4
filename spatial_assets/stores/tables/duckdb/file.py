"""The file of a DuckDB database, which one process at a time may open for writing.

The file is attached to an in-memory database for a transaction and then detached, or kept attached
for the next one while no other process requests it. Attached rather than opened, because the
extension must be loaded before DuckDB replays the log of a killed writer.

Threads of this process take turns by a lock of our own; processes, by DuckDB's lock on the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import logging
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from spatial_assets.errors import DatabaseError
from spatial_assets.retries import Backoff, with_retries
from spatial_assets.stores.tables.duckdb.interrupts import deferred_interrupts

logger = logging.getLogger(__name__)

EXTENSION = "duckdb_extension_spatial"
STORAGE = "STORAGE_VERSION 'v1.5.0'"  # the oldest that stores the CRS of a column
LOCKED_ERRORS = ("Could not set lock", "Conflicting lock", "Unique file handle conflict")
SETTINGS = {
    # Nothing is downloaded silently: the extension comes as a package, or not at all.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # A missing table is an error, even if a Python variable has its name.
    "python_enable_replacements": "false",
    # Tables here are small beside pixels; above this DuckDB spills to a folder beside the file.
    "memory_limit": "1GB",
    # The cores are for pixels, and a tile's few rows cost half when no threads are woken for them.
    "threads": "1",
}
IDLE_SECONDS = 2.0
"""Time without a transaction after which a kept file is detached, for programs that request
nothing, such as DuckDB's own."""

REQUEST_POLL_SECONDS = 0.02
"""Interval between checks whether another process requests a kept file."""

MAX_ATTACH_WAIT_SECONDS = 0.05
"""Longest wait between attempts to attach a file that another process has locked."""

RUN_WAIT_SECONDS = 3600.0
"""Longest wait of a run for a file that another program, such as a notebook, has open."""

NOTICE_SECONDS = 15.0
"""Interval between log records that name the process which holds the file."""

IN_MEMORY = ":memory:"
"""Database that is read if there is no file."""


class DuckFile:
    """A DuckDB file as used by one object of this process; several objects take turns."""

    def __init__(self, path: Path, lock_timeout: float) -> None:
        self._path = path
        self._lock_timeout = lock_timeout
        self._memory: duckdb.DuckDBPyConnection | None = None
        self._attached: str | None = None
        self._keepers = 0
        self._used = 0.0

    @contextmanager
    def attached(self, *, write: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """Attach the file as the schema `store`; roll back and detach if anything fails.

        Raises:
            DatabaseError: another thread did not release the file in time.
            duckdb.Error: another process did not release the file in time.
        """
        with locked(self._path, self._lock_timeout) as lock:
            connection, is_done = self._instance(), False
            try:
                with deferred_interrupts():
                    lock.transfer_to(self)
                if self._attached is None:
                    self._attach(connection, write=write)
                with deferred_interrupts():
                    yield connection
                    if not self._may_be_kept():
                        self.detach()
                    self._used = time.monotonic()
                    is_done = True
            finally:
                if not is_done:
                    # Closing rolls back and releases the file, whatever state it is in.
                    self._drop()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the file attached between transactions of this block while nobody requests it."""
        is_over = threading.Event()
        watcher = threading.Thread(
            target=self._watch, args=(is_over,), name="duckdb-file", daemon=True
        )
        with locked(self._path, self._lock_timeout):
            self._keepers += 1
        watcher.start()
        try:
            yield
        finally:
            is_over.set()
            watcher.join()
            with locked(self._path, self._lock_timeout):
                self._keepers -= 1
                if not self._keepers:
                    with deferred_interrupts():
                        self.detach()

    def spatial_version(self) -> str:
        """Versions of DuckDB and of its spatial extension."""
        with locked(self._path, self._lock_timeout):
            found = self._instance().execute(
                "SELECT extension_version FROM duckdb_extensions() WHERE extension_name = 'spatial'"
            )
            version = found.fetchone()
        return f"DuckDB {duckdb.__version__}, spatial {version[0] if version else 'missing'}"

    def close(self) -> None:
        """Close the in-memory database, and with it the file."""
        with locked(self._path, self._lock_timeout):
            self._drop()

    def detach(self) -> None:
        """Detach the file, which writes its log into it; the caller holds the lock."""
        if self._attached is None or self._memory is None:
            return
        try:
            self._memory.execute("USE memory")
            self._memory.execute("DETACH store")
            self._attached = None
        except duckdb.Error:
            self._drop()
            raise

    def _drop(self) -> None:
        self._attached = None
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _may_be_kept(self) -> bool:
        return (
            self._keepers > 0 and self._attached != IN_MEMORY and is_requested(self._path) is False
        )

    def _watch(self, is_over: threading.Event) -> None:
        """Detach the file between transactions when it is requested elsewhere, or idle."""
        while not is_over.wait(REQUEST_POLL_SECONDS):
            with locked_if_free(self._path) as is_ours:
                is_idle = time.monotonic() - self._used > IDLE_SECONDS
                if is_ours and self._attached and (is_idle or not self._may_be_kept()):
                    try:
                        self.detach()
                    except duckdb.Error as error:
                        # Commits are in the file's log; the next transaction meets the same error.
                        logger.warning(
                            "duckdb:///%s was not detached cleanly: %s", self._path, error
                        )

    def _attach(self, connection: duckdb.DuckDBPyConnection, *, write: bool) -> None:
        """Attach the file as the current database; the first writer creates it."""
        if write:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        target = str(self._path) if write or self._path.exists() else IN_MEMORY
        mode = STORAGE if write or self._keepers or target == IN_MEMORY else "READ_ONLY"
        command = f"ATTACH {literal(target)} AS store ({mode})"
        if is_requested(self._path):
            # A process that has just given way would be back before those that wait retry.
            time.sleep(MAX_ATTACH_WAIT_SECONDS * (1 + random.random()))  # noqa: S311 - jitter only
        try:
            self._attach_now(connection, command)
        except duckdb.Error as error:
            if not is_locked_elsewhere(error):
                raise
            self._attach_when_released(connection, command)
        self._attached = target

    def _attach_now(self, connection: duckdb.DuckDBPyConnection, command: str) -> None:
        with deferred_interrupts():
            connection.execute(command)
            connection.execute("USE store")

    def _attach_when_released(self, connection: duckdb.DuckDBPyConnection, command: str) -> None:
        """Wait until other processes release the file, and name the one that holds it.

        A run waits for long: its pixels are stored, and only the rows are missing.
        """
        wait = max(self._lock_timeout, RUN_WAIT_SECONDS) if self._keepers else self._lock_timeout
        notice = HolderNotice(self._path)

        def attach() -> None:
            try:
                self._attach_now(connection, command)
            except duckdb.Error as error:
                if is_locked_elsewhere(error):
                    notice.log_if_due(error)
                raise

        with requesting(self._path):
            with_retries(
                attach,
                backoff=Backoff(
                    first=0.005, largest=MAX_ATTACH_WAIT_SECONDS, total=wait, time_limit=wait
                ),
                errors=(duckdb.Error,),
                may_pass=is_locked_elsewhere,
            )

    def _instance(self) -> duckdb.DuckDBPyConnection:
        """In-memory database with the extension loaded; kept, as that takes 110 ms."""
        if self._memory is None:
            config: dict[str, str | bool | int | float | list[str]] = dict(SETTINGS)
            config["temp_directory"] = f"{self._path}.tmp"
            memory = duckdb.connect(":memory:", config=config)
            # In a program without a file (`python -c`) DuckDB draws a bar after two seconds, which
            # loading the extension may take.
            memory.execute("SET enable_progress_bar = false")
            memory.execute(f"LOAD {literal(str(extension_file()))}")
            self._memory = memory
        return self._memory


def extension_file() -> Path:
    """Find the spatial extension for exactly this version of DuckDB, in its package.

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
    """Quote a string for LOAD and ATTACH, which take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def is_locked_elsewhere(error: Exception) -> bool:
    """Return True if another process has the file open, or this one has it open twice."""
    return any(sign in str(error) for sign in LOCKED_ERRORS)


def holder_of(error: Exception) -> str:
    """Name the process that holds the file, from DuckDB's error and the process table."""
    found = re.search(r"PID (\d+)", str(error))
    if found is None:
        is_own = "file handle conflict" in str(error)
        return f"this process ({os.getpid()})" if is_own else "another process"
    try:
        words = Path(f"/proc/{found[1]}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return f"process {found[1]}"
    # Program and script only: other arguments may hold a secret.
    names = [Path(os.fsdecode(word)).name for word in words[:2] if word and word[:1] != b"-"]
    return f"process {found[1]} ({' '.join(names)})"


@dataclass
class HolderNotice:
    """Log records, at intervals, of a wait for another process."""

    path: Path
    _last: float = field(default_factory=time.monotonic)

    def log_if_due(self, error: Exception) -> None:
        """Log the holder; not at once, since the turn of another run is short."""
        if time.monotonic() - self._last >= NOTICE_SECONDS:
            self._last = time.monotonic()
            logger.warning(
                "waiting for %s, which holds duckdb:///%s: close it there, or use PostGIS to share",
                holder_of(error),
                self.path,
            )


@dataclass(eq=False)
class ThreadLock:
    """Lock on one file among the threads of this process.

    A file opened twice by one process loses its lock when either handle is closed (POSIX), and
    DuckDB reads the file before it notices. So threads wait here instead.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    last_user: DuckFile | None = None
    """Last user of the file, which may have kept it attached."""

    def transfer_to(self, file: DuckFile) -> None:
        """Detach the file from another object that kept it."""
        if self.last_user is not None and self.last_user is not file:
            self.last_user.detach()
        self.last_user = file


_thread_locks: dict[Path, ThreadLock] = {}
_thread_locks_guard = threading.Lock()


def _thread_lock(path: Path) -> ThreadLock:
    with _thread_locks_guard:
        return _thread_locks.setdefault(path, ThreadLock())


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[ThreadLock]:
    """Hold the file against the other threads of this process."""
    thread_lock = _thread_lock(path)
    if not thread_lock.lock.acquire(timeout=timeout):
        raise DatabaseError(f"duckdb:///{path}: another thread held it for {timeout:g} s")
    try:
        yield thread_lock
    finally:
        thread_lock.lock.release()


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the file in this block, and yield True, unless another thread holds it."""
    lock = _thread_lock(path).lock
    is_ours = lock.acquire(blocking=False)
    try:
        yield is_ours
    finally:
        if is_ours:
            lock.release()


@contextmanager
def requesting(path: Path) -> Iterator[None]:
    """Request the file, in this block, from the process that keeps it.

    By a shared lock on its folder: it leaves no file behind, and ends with a killed process. Where
    folders cannot be locked, no request is seen, and so no process keeps a file.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield
    finally:
        os.close(folder)


def is_requested(path: Path) -> bool | None:
    """Return True if another process requests the file, None if that is unknown."""
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
