"""A contestant in a process of its own, and what its work took.

Imported by that process too: nothing heavy belongs here, or it would be counted as the
contestant's memory.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.contestants.task import Contestant, Task
from benchmarks.processes import PeakWatch, cpu_seconds_of, descendants


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What making the tiles of a task took."""

    cpu: float
    """Seconds of the contestant's process and of those it started."""

    wall: float
    peak_mb: float
    """Of the largest process so far."""


class Runner:
    """A contestant in a process of its own."""

    def __init__(self, contestant: Contestant) -> None:
        context = mp.get_context("spawn")
        self.contestant = contestant
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), daemon=False)
        self._process.start()
        theirs.close()

    def make(self, work: Callable[[Task], None], task: Task) -> Cost:
        """Have the tiles made.

        Raises:
            RuntimeError: the contestant failed.
        """
        task.folder.mkdir(parents=True, exist_ok=True)
        with PeakWatch(self._process.pid or 0) as watch:
            self._pipe.send((work, task))
            try:
                cpu, wall = self._pipe.recv()
            except EOFError as error:
                message = f"{self.contestant.name} failed; what it said is above"
                raise RuntimeError(message) from error
        return Cost(cpu=cpu, wall=wall, peak_mb=watch.peak_mb)

    def end(self) -> None:
        """Let the process go."""
        self._pipe.close()
        self._process.join()


def serve(pipe: Connection) -> None:
    """Make what is asked for until nobody asks any more; told is what it took."""
    while True:
        try:
            work, task = pipe.recv()
        except EOFError:
            return
        worked, started = cpu_seconds(), time.perf_counter()
        work(task)
        pipe.send((cpu_seconds() - worked, time.perf_counter() - started))


def cpu_seconds() -> float:
    """Of this process, and of those it started, whether they have ended or not."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ended = sum(each.ru_utime + each.ru_stime for each in both)
    return ended + sum(map(cpu_seconds_of, descendants(os.getpid())))
