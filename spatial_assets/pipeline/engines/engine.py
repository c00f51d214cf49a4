"""Where the work runs: in local processes, with bounded work in flight. dask_engine.py: on many.

An engine takes jobs and gives back results in the order in which they end. It knows
nothing of tiles; what a job does when it goes wrong is in failures.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

from spatial_assets.retries import retry_budget

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized


Job = TypeVar("Job")
Result = TypeVar("Result")

IN_FLIGHT_PER_WORKER = 2  # one being worked on, one waiting: no worker idles, few results wait

LARGE_ARRAY_BYTES = 4 << 20

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h

PRELOADED = ["spatial_assets.pipeline.tile.walk"]
"""Imported once by the fork server, so that each worker starts with numpy and rasterio loaded."""


@dataclass(frozen=True)
class WorkerDied:
    """A job whose worker process ended without an answer, also alone: most often out of memory."""

    detail: str


Results: TypeAlias = Generator[tuple[Job, Result | WorkerDied], None, None]
"""Closing it early gives up what has not started, and waits for what has."""


class Engine(Protocol):
    """Runs `work` over jobs somewhere, streaming each result as it ends."""

    @property
    def workers(self) -> int:
        """Jobs that are worked on at a time; 0: one, in this very process."""

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        """Yield (job, result) in the order in which jobs end; `jobs` is read lazily."""
        ...


class InlineEngine:
    """Runs every job in this process, one after the other: for tests, notebooks and debuggers."""

    workers = 0

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        """Yield (job, result) in the order of `jobs`."""
        for job in jobs:
            yield job, work(job)


@dataclass(frozen=True, kw_only=True)
class ProcessEngine:
    """Runs jobs in local processes, each with its own GDAL cache and one thread."""

    workers: int
    gdal_cache_mb: int

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        """Yield (job, result) as jobs end; at most two jobs a worker are in flight.

        A worker that dies takes the whole pool down: every job in flight is then run once
        more, alone, so that only the job that kills its worker is given up.
        """
        queue = iter(jobs)
        while True:
            flight = _Flight(self._pool(), work)
            try:
                yield from flight.drain(queue, limit=self.workers * IN_FLIGHT_PER_WORKER)
            finally:
                flight.pool.shutdown(cancel_futures=True)
            suspects = flight.lost
            if not suspects:
                return
            for job in suspects:
                yield job, self._alone(work, job)

    def _alone(self, work: Callable[[Job], Result], job: Job) -> Result | WorkerDied:
        """Run one job in a pool of its own."""
        with self._pool(workers=1) as pool:
            try:
                return pool.submit(work, job).result()
            except BrokenProcessPool as error:
                return WorkerDied(str(error))

    def _pool(self, workers: int | None = None) -> ProcessPoolExecutor:
        """Make a pool of fork-server processes: threads of the parent are not inherited."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        return ProcessPoolExecutor(
            workers or self.workers,
            mp_context=context,
            initializer=prepare_process,
            initargs=(self.gdal_cache_mb, dict(os.environ), retry_budget.shared),
        )


class _Flight(Generic[Job, Result]):
    """The jobs in flight in one pool, until the queue is empty or the pool breaks."""

    def __init__(self, pool: ProcessPoolExecutor, work: Callable[[Job], Result]) -> None:
        self.pool = pool
        self.work = work
        self.lost: list[Job] = []
        self._flying: dict[Future[Result], Job] = {}

    def drain(self, queue: Iterator[Job], limit: int) -> Iterator[tuple[Job, Result]]:
        """Submit from `queue` and yield what ends; stop early if the pool breaks."""
        broken = False
        while not broken:
            for job in islice(queue, limit - len(self._flying)):
                if not self._submit(job):
                    broken = True
                    break
            if not self._flying:
                return
            done, _ = wait(self._flying, return_when=FIRST_COMPLETED)
            for future in done:
                job = self._flying.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    self.lost.append(job)
                    broken = True
                else:
                    yield job, future.result()
        self.lost.extend(self._flying.values())

    def _submit(self, job: Job) -> bool:
        """Send one job off; False when the pool broke before it could take it."""
        try:
            self._flying[self.pool.submit(self.work, job)] = job
        except (BrokenProcessPool, OSError):
            # OSError: the pool is closing its pipes over a death that it has not told of yet
            self.lost.append(job)
            return False
        return True


def prepare_process(
    gdal_cache_mb: int,
    environment: Mapping[str, str] | None = None,
    retries: Synchronized[float] | None = None,
) -> None:
    """Set what is fixed for the life of a worker: its variables, GDAL's cache and one thread each.

    And that life is no longer than the driver's: a worker without one would wait for work for
    ever, and until then write a tile that another driver takes over.

    Args:
        gdal_cache_mb: for this process.
        environment: of the driver, as the fork server has the one of the moment it was started.
        retries: the retry budget of the driver.
    """
    if retries is not None:
        retry_budget.adopt(retries)
    os.environ.update(environment or {})
    limit_process(gdal_cache_mb)
    driver = multiprocessing.parent_process()
    if driver is not None:
        threading.Thread(
            target=_die_with, args=(driver.sentinel,), name="driver-watch", daemon=True
        ).start()


def limit_process(gdal_cache_mb: int) -> None:
    """Give this process its GDAL cache and one thread, and let it hold no memory it has freed."""
    os.environ["GDAL_CACHEMAX"] = str(gdal_cache_mb)  # GDAL reads a bare number below 100,000 as MB
    for library in ("OMP", "OPENBLAS", "MKL", "BLOSC"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    _give_memory_back()


def _give_memory_back() -> None:
    """Have glibc hand a large array back to the system when it is freed.

    Left alone it raises the size from which it does so to 32 MB, and the holes between the arrays
    of a tile then make up a tenth of the peak. Elsewhere than on glibc there is nothing to set.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_ARRAY_BYTES)


def _die_with(sentinel: int) -> None:
    """End this process at once when the one behind `sentinel` has ended."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
