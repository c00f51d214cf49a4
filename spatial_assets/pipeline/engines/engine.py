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
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from spatial_assets.retries import retry_budget

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized


Job = TypeVar("Job")
Result = TypeVar("Result")

PATIENCE = 60.0
"""Seconds that workers without a job may take to leave; tens of milliseconds are usual."""

KILL_INTERVAL = 1.0
"""Seconds between two attempts to kill the workers of a pool; one more may just have started."""

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
                close_pool(in_flight.pool, at_once=bool(in_flight.lost) or not is_drained)
            suspects = in_flight.lost
            if not suspects:
                return
            for job in suspects:
                yield job, self._alone(work, job)

    def _alone(self, work: Callable[[Job], Result], job: Job) -> Result | WorkerDied:
        """Run one job in a pool of its own."""
        alone = _PoolJobs(self._pool(workers=1), work)
        try:
            for _, result in alone.drain(iter([job]), limit=1):
                return result
        finally:
            close_pool(alone.pool, at_once=bool(alone.lost))
        return WorkerDied(alone.death)

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
        self.death = ""
        """Python's words for the death of the pool, if it broke."""

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
            done, _ = wait(self._futures, timeout=PATIENCE, return_when=FIRST_COMPLETED)
            if not done and not manager_of(self.pool).is_alive():
                self.death, broken = "the thread that manages the workers ended", True
            for future in done:
                job = self._futures.pop(future)
                if isinstance(death := future.exception(), BrokenProcessPool):
                    self.lost.append(job)
                    self.death, broken = str(death), True
                else:
                    yield job, future.result()
        self.lost.extend(self._futures.values())

    def _submit(self, job: Job) -> bool:
        """Submit one job; return False if the pool broke before it accepted the job."""
        try:
            self._futures[self.pool.submit(self.work, job)] = job
        except (BrokenProcessPool, OSError) as death:
            # OSError: the pool closes its pipes after a death that it has not reported yet
            self.lost.append(job)
            self.death = str(death)
            return False
        return True


def close_pool(pool: ProcessPoolExecutor, *, at_once: bool, patience: float = PATIENCE) -> None:
    """End the workers of a pool, and wait for them no longer than they may take.

    Python itself waits without a limit: for workers that leave after their last job, after a death
    for those it terminated, and for the thread that writes jobs into their pipe. A worker that
    hangs while it leaves, one that `submit` started while the pool broke (seen with Python 3.11),
    or a long job for which no reader is left (before Python 3.12) would be waited for forever.

    Args:
        pool: from which all results that anybody wants have been taken.
        at_once: kill the workers, which are not needed any more.
        patience: seconds until workers that should leave by themselves are killed.
    """
    manager = manager_of(pool)
    if manager is None:  # no job was submitted
        pool.shutdown()
        return
    workers = manager.processes
    if not at_once:
        pool.shutdown(wait=False, cancel_futures=True)
        manager.join(patience)
    while manager.is_alive():
        for worker in list(workers.values()):
            worker.kill()
        manager.join(KILL_INTERVAL)
        if manager.is_alive():  # the end of the read side ends the write of a long job
            with contextlib.suppress(OSError):  # newer versions close it themselves
                manager.call_queue._reader.close()  # noqa: SLF001
    pool.shutdown(cancel_futures=True)


def manager_of(pool: ProcessPoolExecutor) -> Any:  # noqa: ANN401 - private to Python
    """Return the thread that manages the workers of a pool, or None before the first job.

    Python 3.14 has methods to end workers; until then there are only private attributes.
    """
    return pool._executor_manager_thread  # noqa: SLF001


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
