"""Sparse local file with some parts of a remote object, shared by all processes of a machine.

One file holds the object's bytes at their own positions, then one byte a page that says whether the
page is present, then a trailer that identifies the object. So a process that has the file open has
all three of the same object, even if another file has taken its name since. A page counts as
present only after its bytes were written: a process killed on the way leaves nothing wrong. As a
power cut could lose the bytes and keep the mark, a file is trusted only until the machine restarts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SPARSE_SUFFIX = ".sparse"
PARTIAL_SUFFIX = ".part"
PAGE_BYTES = 1 << 14  # 1 % of a block of a megapixel
MAX_GAP_PAGES = 4  # absent pages between two runs that cost less than another request
MAX_RUN_BYTES = 8 << 20  # fetched again if a connection breaks
MEMORY_BYTES = 32 << 20  # of a file in memory; a thread has a dozen of them
TRAILER_BYTES = 1 << 14  # more than the largest headers of an answer
PRESENT = b"\x01"
ABSENT = b"\x00"
_SECOND_USE_SECONDS = 60.0  # after which a file that is read counts as used again
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

ByteSpan = tuple[int, int]
"""First byte, and the one after the last."""


class SparseFile:
    """An open sparse file; every thread that fetches or waits has one of its own."""

    def __init__(self, handle: int, *, size: int, etag: str | None) -> None:
        self._handle = handle
        self._is_in_memory = False
        self.size = size
        """Size of the object in bytes."""

        self.etag = etag
        """Etag of the object, if the server sent one."""

    @classmethod
    def open(cls, path: Path) -> SparseFile | None:
        """Open the file at `path`; None: there is none, or it is from before the last restart."""
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        found = cls(handle, size=0, etag=None)
        if found._read_trailer():
            return found
        found.close()
        path.unlink(missing_ok=True)
        return None

    @classmethod
    def create(cls, path: Path, *, size: int, etag: str | None, first: bytes) -> SparseFile:
        """Create a file that begins with `first`, or open the one that another process created.

        Raises:
            OSError: the folder cannot be written.
        """
        handle, name = tempfile.mkstemp(suffix=PARTIAL_SUFFIX, dir=path.parent)
        created = cls(handle, size=size, etag=etag)
        try:
            trailer = json.dumps({"size": size, "etag": etag, "boot": boot_id()}).encode()
            os.pwrite(handle, trailer.ljust(TRAILER_BYTES), created._length - TRAILER_BYTES)
            created.write(0, first)
            created.mark_present((0, len(first)))
            with contextlib.suppress(FileExistsError):
                os.link(name, path)
                return created
        except BaseException:
            created.close()
            raise
        finally:
            Path(name).unlink()
        created.close()
        return cls.open(path) or cls.create(path, size=size, etag=etag, first=first)

    @classmethod
    def in_memory(cls, *, size: int, etag: str | None, first: bytes) -> SparseFile:
        """Create a file of this process that begins with `first`, where no folder can be written.

        It counts as removed once it holds more than `MEMORY_BYTES`, so that it is replaced.
        """
        created = cls(_memory_handle(), size=size, etag=etag)
        created._is_in_memory = True
        os.ftruncate(created._handle, created._length)
        created.write(0, first)
        created.mark_present((0, len(first)))
        return created

    def absent(self, spans: Iterable[ByteSpan]) -> list[ByteSpan]:
        """Return the absent parts of `spans`: whole pages, with near ones joined, in order."""
        needed = np.zeros(self._pages, dtype=np.bool_)
        for start, stop in spans:
            needed[start // PAGE_BYTES : -(-min(stop, self.size) // PAGE_BYTES)] = True
        is_absent = self._map() == 0
        needed &= is_absent
        runs = [
            (a * PAGE_BYTES, min(b * PAGE_BYTES, self.size))
            for a, b in _joined(_runs(needed), is_absent)
        ]
        return [piece for run in runs for piece in _split(run)]

    def has(self, start: int, stop: int) -> bool:
        """Return True if all bytes of a span are present."""
        first, last = start // PAGE_BYTES, -(-min(stop, self.size) // PAGE_BYTES)
        if last <= first:
            return True
        return ABSENT not in os.pread(self._handle, last - first, self._map_start + first)

    def write(self, start: int, data: bytes) -> None:
        """Write bytes of the object; they count once they are marked."""
        os.pwrite(self._handle, data, start)

    def mark_present(self, span: ByteSpan) -> None:
        """Count the pages that lie in `span` as present."""
        start, stop = span
        first = -(-start // PAGE_BYTES)
        last = self._pages if stop >= self.size else stop // PAGE_BYTES
        os.pwrite(self._handle, PRESENT * (last - first), self._map_start + first)

    def mark_absent(self, spans: Iterable[ByteSpan]) -> None:
        """Have the pages of `spans` fetched again."""
        for start, stop in spans:
            first, last = start // PAGE_BYTES, -(-min(stop, self.size) // PAGE_BYTES)
            os.pwrite(self._handle, ABSENT * (last - first), self._map_start + first)

    def read(self, start: int, stop: int) -> bytes:
        """Read bytes of the object."""
        return os.pread(self._handle, max(0, min(stop, self.size) - start), start)

    @contextlib.contextmanager
    def fetching(self) -> Iterator[None]:
        """Let one thread of the machine fetch at a time, so that no page is fetched twice."""
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    @property
    def is_removed(self) -> bool:
        """True if the file must be opened again; an open file stays readable until it is closed."""
        facts = os.fstat(self._handle)
        if self._is_in_memory:
            return disk_bytes(facts) > MEMORY_BYTES
        return facts.st_nlink == 0

    def touch(self) -> None:
        """Count the file as just used."""
        if time.time() - os.fstat(self._handle).st_mtime > _SECOND_USE_SECONDS:
            os.utime(self._handle)

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __del__(self) -> None:
        """Close the file, together with the dataset that read it."""
        self.close()

    def _read_trailer(self) -> bool:
        """Read size and etag from the trailer; False: the file cannot be trusted."""
        length = os.fstat(self._handle).st_size
        try:
            trailer = json.loads(
                os.pread(self._handle, TRAILER_BYTES, max(0, length - TRAILER_BYTES))
            )
            self.size, self.etag = int(trailer["size"]), trailer["etag"]
            return bool(trailer["boot"] == boot_id() and length == self._length)
        except (ValueError, KeyError, TypeError):
            return False

    @property
    def _pages(self) -> int:
        return -(-self.size // PAGE_BYTES)

    def _map(self) -> NDArray[np.uint8]:
        return np.frombuffer(os.pread(self._handle, self._pages, self._map_start), dtype=np.uint8)

    @property
    def _map_start(self) -> int:
        return self._pages * PAGE_BYTES

    @property
    def _length(self) -> int:
        return self._map_start + self._pages + TRAILER_BYTES


def _memory_handle() -> int:
    """Return a file in memory or, where the system has none, one without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("spatial-assets", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def disk_bytes(facts: os.stat_result) -> int:
    """Return the disk space that a sparse file takes, in bytes."""
    return facts.st_blocks * 512


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Return an id of this start of the machine."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return f"{round((time.time() - time.monotonic()) / 600)}"  # to ten minutes: clocks are set


def _runs(needed: NDArray[np.bool_]) -> list[ByteSpan]:
    """Return (first, one after last) of each run of True."""
    edges = np.flatnonzero(np.diff(needed, prepend=False, append=False))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _joined(runs: list[ByteSpan], is_absent: NDArray[np.bool_]) -> list[ByteSpan]:
    """Join runs with few absent pages between them."""
    joined: list[ByteSpan] = []
    for first, last in runs:
        before = joined[-1][1] if joined else -1
        if joined and first - before <= MAX_GAP_PAGES and is_absent[before:first].all():
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _split(run: ByteSpan) -> list[ByteSpan]:
    """Split a run into parts of bounded and similar length."""
    start, stop = run
    count = -(-(stop - start) // MAX_RUN_BYTES)
    length = -(-(stop - start) // count // PAGE_BYTES) * PAGE_BYTES
    return [(at, min(at + length, stop)) for at in range(start, stop, length)]
