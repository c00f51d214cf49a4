"""Engines that harm: what is found wrong in production and cannot be waited for in a test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from spatial_assets.pipeline.engines.engine import ProcessEngine, Results
from spatial_assets.pipeline.tile.task import TileTask

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Deadly(Generic[Job, Result]):
    """Work whose process is killed when it comes to a certain tile."""

    work: Callable[[Job], Result]
    victim: str
    """Key of the tile."""

    once: Path | None
    """A file that remembers that it happened; None: it happens every time."""

    def __call__(self, job: Job) -> Result:
        if isinstance(job, TileTask) and job.tile.key == self.victim:
            self._strike()
        return self.work(job)

    def _strike(self) -> None:
        if self.once is not None:
            if self.once.exists():
                return
            self.once.touch()
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class DeadlyEngine:
    """Local processes, one of which is killed at `victim`, as the system does to a big one."""

    victim: str
    once: Path | None = None
    workers: int = 2

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        engine = ProcessEngine(workers=self.workers, gdal_cache_mb=64)
        yield from engine.run(Deadly(work, self.victim, self.once), jobs)


def slow_square(number: int) -> int:
    """Work that may die: at 13 always."""
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def surroundings(_: int) -> tuple[int, str]:
    """Who a worker is: its process and its GDAL cache."""
    return os.getpid(), os.environ["GDAL_CACHEMAX"]
