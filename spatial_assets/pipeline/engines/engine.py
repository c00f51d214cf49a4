"""Engines of one machine: this process, or local processes with bounded work in flight.

An engine takes jobs and returns results in the order in which they end. It knows nothing of
tiles; failures.py decides what a failed job means. The engine of many machines is in dask_engine.
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

IN_FLIGHT_PER_WORKER = 2  # one runs and one waits: no worker is idle, and few results wait

LARGE_ARRAY_BYTES = 4 << 20

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h

PRELOADED = ["spatial_assets.pipeline.tile.walk"]
"""Imported once by the fork server, so that each worker starts with numpy and rasterio loaded."""


@dataclass(frozen=True)
class WorkerDied:
    """Result of a job whose workers died, also with no other job: most often out of memory."""

    detail: str


Results: TypeAlias = Generator[tuple[Job, Result | WorkerDied], None, None]
"""(job, result) pairs; closing early cancels jobs that have not started, and waits for the rest."""


class Engine(Protocol):
    """Runs `work` over jobs somewhere, streaming each result as it ends."""

    @property
    def workers(self) -> int:
        """Number of jobs that run concurrently; 0: one, in this process."""

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

        A worker that dies breaks the whole pool: every job in flight is then run again alone,
        so that only the job that kills its worker is given up. A consumer that stops early, as
        after an interrupt, ends the workers at once: nobody needs their results.
        """
        queue = iter(jobs)
        while True:
            in_flight, is_drained = _PoolJobs(self._pool(), work), False
            try:
                yield from in_flight.drain(queue, limit=self.workers * IN_FLIGHT_PER_WORKER)
                is_drained = True
            finally:
                if in_flight.lost or not is_drained:
                    kill_workers(in_flight.pool)
                in_flight.pool.shutdown(cancel_futures=True)
            suspects = in_flight.lost
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
        """Create a pool of fork-server processes, which do not inherit threads of the parent."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        return ProcessPoolExecutor(
            workers or self.workers,
            mp_context=context,
            initializer=prepare_process,
            initargs=(self.gdal_cache_mb, dict(os.environ), retry_budget.shared),
        )


class _PoolJobs(Generic[Job, Result]):
    """The jobs in flight in one pool, until the queue is empty or the pool breaks."""

    def __init__(self, pool: ProcessPoolExecutor, work: Callable[[Job], Result]) -> None:
        self.pool = pool
        self.work = work
        self.lost: list[Job] = []
        self._futures: dict[Future[Result], Job] = {}

    def drain(self, queue: Iterator[Job], limit: int) -> Iterator[tuple[Job, Result]]:
        """Submit jobs and yield their results as they end; stop early if the pool breaks."""
        broken = False
        while not broken:
            for job in islice(queue, limit - len(self._futures)):
                if not self._submit(job):
                    broken = True
                    break
            if not self._futures:
                return
            done, _ = wait(self._futures, return_when=FIRST_COMPLETED)
            for future in done:
                job = self._futures.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    self.lost.append(job)
                    broken = True
                else:
                    yield job, future.result()
        self.lost.extend(self._futures.values())

    def _submit(self, job: Job) -> bool:
        """Submit one job; return False if the pool broke before it accepted the job."""
        try:
            self._futures[self.pool.submit(self.work, job)] = job
        except (BrokenProcessPool, OSError):
            # OSError: the pool closes its pipes after a death that it has not reported yet
            self.lost.append(job)
            return False
        return True


def kill_workers(pool: ProcessPoolExecutor) -> None:
    """End the workers of a pool that broke.

    A broken pool terminates the workers that it has, and waits for all. One that `submit` starts
    at that moment is not terminated, and the wait would never end (seen with Python 3.11).
    """
    # Python 3.14 has a method for it; until then there is only the private table of processes.
    for worker in list((pool._processes or {}).values()):  # noqa: SLF001
        worker.kill()


def prepare_process(
    gdal_cache_mb: int,
    environment: Mapping[str, str] | None = None,
    retries: Synchronized[float] | None = None,
) -> None:
    """Set the environment of a worker, its GDAL cache, and one thread per library.

    The worker ends with its driver: otherwise it would wait for work forever, and could write a
    tile that another driver has taken over.

    Args:
        gdal_cache_mb: GDAL cache of this process.
        environment: that of the driver; the fork server has that of the time it was started.
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
    """Give this process its GDAL cache and one thread, and return freed memory at once."""
    os.environ["GDAL_CACHEMAX"] = str(gdal_cache_mb)  # GDAL reads a bare number below 100,000 as MB
    for library in ("OMP", "OPENBLAS", "MKL", "BLOSC"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    _return_freed_memory()


def _return_freed_memory() -> None:
    """Make glibc return a large array to the system when it is freed.

    By default glibc raises the size from which it does so to 32 MB, and the gaps between the
    arrays of a tile then make up a tenth of the peak. Other C libraries need no setting.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_ARRAY_BYTES)


def _die_with(sentinel: int) -> None:
    """End this process at once when the process of `sentinel` has ended."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
