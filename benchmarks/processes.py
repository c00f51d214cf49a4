"""CPU time and memory of a tree of processes, read from Linux."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

INTERVAL = 0.05
"""Seconds between two polls; use in the last moments of a process may be missed."""


class PeakWatch:
    """Peak memory of the descendants of a process, polled by a thread during the block.

    `getrusage` cannot be used: a process inherits the peak of the one that started it.
    """

    def __init__(self, pid: int, *, itself: bool = True) -> None:
        """Watch `pid` and its descendants, or only the descendants."""
        self.peak_mb = 0.0
        self._pid = pid
        self._itself = itself
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        below = list(descendants(self._pid))
        watched = [self._pid, *below] if self._itself else below
        self.peak_mb = max([self.peak_mb, *(peak_mb(pid) for pid in watched)])


def descendants(pid: int) -> Iterator[int]:
    """Ids of all running descendants of a process."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(each) for each in task.read_text().split()]
        except OSError:  # ended meanwhile
            continue
        for child in children:
            yield child
            yield from descendants(child)


def peak_mb(pid: int) -> float:
    """Peak memory of a process so far; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0]) / 1024 if found else 0.0


def cpu_seconds_of(pid: int) -> float:
    """CPU time of a process and of its ended children; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(each) for each in fields[11:15]) / os.sysconf("SC_CLK_TCK")
