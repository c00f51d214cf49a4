"""A contestant in a separate process, and the cost of its work.

That process imports this module too: it must import nothing heavy, which would count as memory
of the contestant.
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
    """Cost of making the tiles of a task."""

    cpu: float
    """CPU seconds of the contestant's process and of those it started."""

    wall: float
    peak_mb: float
    """Peak memory of the largest process so far."""


class Runner:
    """A contestant in a separate process."""

    def __init__(self, contestant: Contestant) -> None:
        context = mp.get_context("spawn")
        self.contestant = contestant
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), daemon=False)
        self._process.start()
        theirs.close()

    def make(self, work: Callable[[Task], None], task: Task) -> Cost:
        """Make the tiles.

        Raises:
            RuntimeError: the contestant failed.
        """
        task.folder.mkdir(parents=True, exist_ok=True)
        with PeakWatch(self._process.pid or 0) as watch:
            self._pipe.send((work, task))
            try:
                cpu, wall = self._pipe.recv()
            except EOFError as error:
                message = f"{self.contestant.name} failed; its output is above"
                raise RuntimeError(message) from error
        return Cost(cpu=cpu, wall=wall, peak_mb=watch.peak_mb)

    def end(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()


def serve(pipe: Connection) -> None:
    """Run tasks until the pipe closes, and send the cost of each."""
    while True:
        try:
            work, task = pipe.recv()
        except EOFError:
            return
        worked, started = cpu_seconds(), time.perf_counter()
        work(task)
        pipe.send((cpu_seconds() - worked, time.perf_counter() - started))


def cpu_seconds() -> float:
    """CPU seconds of this process and of those it started, running or ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ended = sum(each.ru_utime + each.ru_stime for each in both)
    return ended + sum(map(cpu_seconds_of, descendants(os.getpid())))
