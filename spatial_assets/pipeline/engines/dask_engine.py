"""The engine of a Dask cluster, by the address of its scheduler; workers may come and go.

The driver holds no more than what is in flight: two jobs a worker. Dask itself moves queued jobs
from busy workers to idle ones, and repeats a job whose worker died, as often as its
`allowed-failures` says: the scheduler reads that from its own configuration.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count, islice
from statistics import median
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import uuid4

from spatial_assets.errors import ClusterError
from spatial_assets.pipeline.engines.dask_cluster import LOST_WORK, Cluster, connected
from spatial_assets.pipeline.engines.dask_worker import (
    Pickled,
    RunSpec,
    WorkerRequirements,
    software_here,
)
from spatial_assets.pipeline.engines.engine import IN_FLIGHT_PER_WORKER, Results, WorkerDied
from spatial_assets.stores import layout
from spatial_assets.stores.objects.store import ObjectStore

if TYPE_CHECKING:
    from distributed import Future


Job = TypeVar("Job")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

CLUSTER_POLL_SECONDS = 1.0
"""Interval between requests for the workers of the cluster."""

RESULT_BATCH = 64
"""Results fetched at a time: a few megabytes."""

TIMED_JOBS = 200
"""Number of recent jobs whose median is the usual duration."""


@dataclass(frozen=True, kw_only=True)
class ClusterTimeouts:
    """Time limits of a cluster, in seconds."""

    connect: float = 30.0
    """Timeout of a connection, and of a new one where it breaks."""

    workers: float = 300.0
    """Wait for a first worker, or for another where all are gone: machines take so long."""

    slow: float = 600.0
    """Duration from which any job is slow, however fast the others are."""

    slow_factor: float = 10.0
    """Multiple of the usual duration that a slow job also exceeds."""

    cancel: float = 2.0
    """Wait for workers to learn that their jobs are cancelled."""


@dataclass(kw_only=True, eq=False)
class JobInFlight(Generic[Job]):
    """A job that was sent to the cluster."""

    job: Job
    key: str
    sent_at: float
    """Time on the monotonic clock."""

    is_reported: bool = False
    """True after a warning that the job is slow."""

    is_moved: bool = False
    """True if the job was taken from a worker that was slow with it."""


class JobsInFlight(Generic[Job, Result]):
    """The jobs of one run that are in flight in a cluster."""

    def __init__(self, cluster: Cluster, spec: RunSpec, timeouts: ClusterTimeouts) -> None:
        self._cluster = cluster
        self._spec = spec
        self._timeouts = timeouts
        self._futures: dict[Future[Any], JobInFlight[Job]] = {}
        self._cancelled: deque[Job] = deque()
        self._suspects: list[Job] = []
        self._numbers = count()
        self._workers: dict[str, int] = {}
        self._polled_at = -math.inf
        self._missing_since: float | None = None
        self._durations: deque[float] = deque(maxlen=TIMED_JOBS)

    def drain(self, jobs: Iterator[Job]) -> Iterator[tuple[Job, Result | WorkerDied]]:
        """Send jobs, and yield results as they end.

        Dask blames a worker's death on every job that it had, also on those that only waited. So
        a job that it gave up is repeated at the end, with nothing else in flight.

        Raises:
            ClusterError: the cluster is gone, has had no worker for too long, or cannot do this.
        """
        yield from self._drain(jobs)
        suspects, self._suspects = self._suspects, []
        for job in suspects:
            yield from self._drain(iter([job]))
            if self._suspects:
                self._suspects.clear()
                yield job, WorkerDied("every worker of this job died, also with no other job")

    def cancel(self) -> None:
        """Cancel what is in flight: workers write nothing more for it."""
        futures, self._futures = list(self._futures), {}
        self._cluster.cancel(futures)
        if futures and self._cluster.is_connected:
            time.sleep(self._timeouts.cancel)

    def _drain(self, jobs: Iterator[Job]) -> Iterator[tuple[Job, Result]]:
        has_more = True
        while has_more or self._futures or self._cancelled:
            self._poll_cluster()
            free_slots = IN_FLIGHT_PER_WORKER * sum(self._workers.values()) - len(self._futures)
            while free_slots > 0 and self._cancelled:
                self._send(self._cancelled.popleft())
                free_slots -= 1
            before = len(self._futures)
            for job in islice(jobs, max(free_slots, 0)):
                self._send(job)
            has_more = has_more and len(self._futures) - before >= free_slots
            yield from self._results()

    def _send(self, job: Job, *, preferred: Sequence[str] = ()) -> None:
        """Send one job, if possible to one of the preferred workers."""
        label = getattr(job, "label", "")  # the name of the task on the dashboard
        key = f"job-{next(self._numbers)}-{label}-{self._spec.run}"
        future = self._cluster.submit(self._spec, job, key=key, preferred=preferred)
        self._futures[future] = JobInFlight(
            job=job, key=key, sent_at=time.monotonic(), is_moved=bool(preferred)
        )

    def _results(self) -> Iterator[tuple[Job, Result]]:
        """Yield results that are there, or come within a moment.

        Raises:
            ClusterError: the cluster cannot do the work.
        """
        if not self._futures:
            if not self._workers:
                time.sleep(CLUSTER_POLL_SECONDS)
            return
        ended = self._cluster.ended(self._futures, within=CLUSTER_POLL_SECONDS)[:RESULT_BATCH]
        status = {future: future.status for future in ended}
        for future in ended:
            if status[future] == "error":
                self._note_error(future)
            elif status[future] == "cancelled":  # the connection broke, and its tasks are gone
                self._cancelled.append(self._futures.pop(future).job)
        finished = [future for future in ended if status[future] == "finished"]
        results = self._cluster.collect(finished) if finished else None
        now = time.monotonic()
        # Without an answer a result was lost with its worker: Dask computes it again.
        for future, result in zip(finished, results or (), strict=False):
            done = self._futures.pop(future)
            self._durations.append(now - done.sent_at)
            yield done.job, result

    def _note_error(self, future: Future[Any]) -> None:
        error = self._cluster.error_of(future)
        if error is not None:
            raise error
        failed = self._futures.pop(future)
        logger.warning("workers died while they had %s; it is repeated alone", failed.key)
        self._suspects.append(failed.job)

    def _poll_cluster(self) -> None:
        """Update the workers of the cluster, and find slow jobs.

        Raises:
            ClusterError: there is no worker, and has not been for too long.
        """
        now = time.monotonic()
        if now - self._polled_at < CLUSTER_POLL_SECONDS and not self._cluster.is_lost:
            return
        self._polled_at = now
        workers = None if self._cluster.is_lost else self._cluster.workers()
        if workers:
            self._workers, self._missing_since = dict(workers), None
            self._move_slow_jobs(now)
            return
        outage = self._cluster.outage(workers)
        if workers is not None:
            self._workers = {}
        if self._missing_since is None:
            self._missing_since = now
            logger.warning("%s; waiting for %.0f s at most", outage, self._timeouts.workers)
        if self._cluster.is_lost or now - self._missing_since >= self._timeouts.workers:
            raise ClusterError(f"{outage}; {LOST_WORK}")

    def _move_slow_jobs(self, now: float) -> None:
        """Report jobs that take far longer than usual, and give them to another worker in the end.

        Dask steals jobs that wait at a slow worker, but never one that runs.
        """
        usual = median(self._durations) if self._durations else 0.0
        limit = max(self._timeouts.slow, self._timeouts.slow_factor * usual)
        slow = [
            (future, each)
            for future, each in self._futures.items()
            if now - each.sent_at > (2 * limit if each.is_reported else limit) and not each.is_moved
        ]
        worker_by_task = self._cluster.worker_by_task() if slow else {}
        for future, each in slow:
            worker = worker_by_task.get(each.key)
            if not each.is_reported:
                each.is_reported = True
                logger.warning(
                    "%s has been with %s for %.0f s, where %.0f s is usual; the others continue",
                    *(each.key, worker or "no worker", now - each.sent_at, usual),
                )
            elif worker is not None and len(self._workers) > 1:
                logger.warning("%s is taken from worker %s and given to another", each.key, worker)
                del self._futures[future]
                self._cluster.cancel([future])
                self._send(each.job, preferred=[name for name in self._workers if name != worker])


@dataclass(frozen=True, kw_only=True)
class ClusterEngine:
    """Runs jobs on the workers of a Dask scheduler, each a process with one thread."""

    address: str
    """Address of the scheduler: tcp://host:port or tls://host:port."""

    store: ObjectStore
    """Store that workers read and write; they must see the same one."""

    gdal_cache_mb: int
    """GDAL cache of each worker."""

    folders: tuple[str, ...] = ()
    """Local folders and files that jobs read, so that workers must see them too."""

    timeouts: ClusterTimeouts = field(default_factory=ClusterTimeouts)

    @property
    def workers(self) -> int:
        """Number of threads of the cluster as it is now, 1 where it has none yet.

        Raises:
            ClusterError: no scheduler answers at the address, or Dask is not installed.
        """
        with connected(self.address, within=self.timeouts.connect) as cluster:
            return _threads(cluster)

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        """Yield (job, result) as jobs end; at most two jobs a worker are in flight.

        A worker unpickles `work` once. A job whose worker dies is done by another; one that
        workers keep dying of is repeated alone, and given up if those die too.

        Raises:
            ClusterError: the cluster is away or lost, has no workers, or cannot do the work.
        """
        queue = iter(jobs)
        first = list(islice(queue, 1))
        if not first:
            return
        with connected(self.address, within=self.timeouts.connect) as cluster:
            cluster.refuse_other_software()
            with self._run_spec(work, cluster) as spec:
                in_flight: JobsInFlight[Job, Result] = JobsInFlight(cluster, spec, self.timeouts)
                try:
                    yield from in_flight.drain(chain(first, queue))
                finally:
                    in_flight.cancel()

    def examine(self) -> str:
        """Check the software and the store of every worker; return a description of the cluster.

        Raises:
            ClusterError: it is away, has no workers, or one of them cannot do the work.
        """
        with connected(self.address, within=self.timeouts.connect) as cluster:
            cluster.refuse_other_software()
            workers = cluster.workers()
            if not workers:
                raise ClusterError(cluster.outage({}))
            with self._run_spec(None, cluster) as spec:
                cluster.check_workers(spec)
            return f"{self.address}: {len(workers)} workers, all fit; {cluster.memory()}"

    @contextmanager
    def _run_spec(self, work: object, cluster: Cluster) -> Iterator[RunSpec]:
        """Describe the work to workers; keep a probe in the store for the block."""
        path, content = layout.probe(uuid4().hex), os.urandom(32)
        self.store.put(path, content)
        try:
            yield RunSpec(
                run=uuid4().hex[:12],
                work=Pickled.of(work),
                software=software_here(),
                requirements=WorkerRequirements(
                    store=self.store, probe=path, content=content, folders=self.folders
                ),
                gdal_cache_mb=self.gdal_cache_mb,
                retry_share=1 / _threads(cluster),
            )
        finally:
            self.store.delete(path)


def _threads(cluster: Cluster) -> int:
    """Return the number of threads of a cluster, at least 1."""
    return max(sum((cluster.workers() or {}).values()), 1)
