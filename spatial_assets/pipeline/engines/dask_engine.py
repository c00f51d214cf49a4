"""Where the work runs, when it runs in a Dask cluster: the engine, by the address of a scheduler.

The driver holds no more than what is in flight: two jobs a worker. Workers may come and go.

Jobs in flight in a Dask cluster: how many, which are slow, and what is lost and sent again.

What a worker does is in dask_work.py, how Dask is asked in dask_cluster.py.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, count, islice
from queue import Empty, SimpleQueue
from statistics import median
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import uuid4

from spatial_assets.errors import ClusterError
from spatial_assets.pipeline.engines.dask_cluster import Cluster, connected
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

LOOK_EVERY = 1.0
"""Seconds between looks at who works in the cluster."""

SLOW = "%s has been with %s for %.0f s, where %.0f s is usual; the others go on"

ALONE = 2
"""Workers that may end while they do a job alone: the first may have been about to, anyway."""

BATCH = 64
"""Results fetched at a time: a few megabytes."""

RECENT = 200
"""Jobs that what is usual is taken from."""


@dataclass(frozen=True, kw_only=True)
class ClusterTimeouts:
    """How long what is waited for, in seconds."""

    scheduler: float = 30.0
    """For a connection, and for a new one where it breaks."""

    workers: float = 300.0
    """For the first worker, and for another one where all are gone: machines take so long."""

    slow: float = 600.0
    """That any job may take before it is spoken of, however fast the others are."""

    times: float = 10.0
    """And so many times what is usual. After as long again it is given to another worker."""

    recall: float = 2.0
    """For workers to hear that what they are at work on is given up."""


@dataclass(kw_only=True, eq=False)
class Flown(Generic[Job]):
    """A job in flight."""

    job: Job
    key: str
    since: float
    """On the monotonic clock."""

    is_told: bool = False
    """Whether its slowness was spoken of."""

    is_second: bool = False
    """Whether it was taken from a worker that was slow with it."""


class JobsInFlight(Generic[Job, Result]):
    """The jobs of one run in flight in a cluster."""

    def __init__(self, cluster: Cluster, orders: RunSpec, patience: ClusterTimeouts) -> None:
        self._cluster = cluster
        self._orders = orders
        self._patience = patience
        self._flying: dict[Future[Any], Flown[Job]] = {}
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()
        self._again: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._numbers = count()
        self._workers: dict[str, int] = {}
        self._looked = -math.inf
        self._has_more = True
        self._missing_since: float | None = None
        self._took: deque[float] = deque(maxlen=RECENT)

    def drain(self, queue: Iterator[Job]) -> Iterator[tuple[Job, Result | WorkerDied]]:
        """Send what is in `queue` and yield what ends, in that order.

        A job whose workers died is done once more when nothing else is in flight, by one worker:
        so only a job that kills its workers is given up.

        Raises:
            ClusterError: the cluster is gone, has had no worker for too long, or cannot do this.
        """
        while self._has_more or self._flying or self._again or self._suspects:
            self._look()
            if not self._suspects:
                self._fill(queue)
            elif not self._flying and not self._again and self._workers:
                yield from self._alone(self._suspects.popleft())
            yield from self._landed()

    def give_up(self) -> None:
        """Give up what is in flight: workers write nothing more for it."""
        flying, self._flying = list(self._flying), {}
        self._cluster.drop(flying)
        if flying and self._cluster.is_connected:
            time.sleep(self._patience.recall)

    def _fill(self, queue: Iterator[Job]) -> None:
        """Send as much as the workers of the moment can do with."""
        room = IN_FLIGHT_PER_WORKER * sum(self._workers.values()) - len(self._flying)
        while room > 0 and self._again:
            self._send(self._again.popleft())
            room -= 1
        while room > 0 and self._has_more:
            for job in islice(queue, 1):
                self._send(job)
                room -= 1
                break
            else:
                self._has_more = False

    def _send(self, job: Job, *, by: str | None = None, rather: Sequence[str] = ()) -> Future[Any]:
        """Send one job off: to whom Dask chooses, to `by`, or if possible to one of `rather`."""
        label = getattr(job, "label", "")  # what the dashboard shows the task as
        key = f"job-{next(self._numbers)}-{label}-{self._orders.run}"
        sent = self._cluster.send(self._orders, job, key=key, by=by, rather=rather)
        flown = Flown(job=job, key=key, since=time.monotonic(), is_second=bool(rather))
        self._watch(sent, flown)
        return sent

    def _watch(self, future: Future[Any], flown: Flown[Job]) -> None:
        self._flying[future] = flown
        future.add_done_callback(self._ended.put)

    def _landed(self) -> Iterator[tuple[Job, Result]]:
        """Yield what has ended by now, or within a moment."""
        batch = {each: self._flying.pop(each) for each in self._wait() if each in self._flying}
        stands = {future: future.status for future in batch}
        good = [future for future in batch if stands[future] == "finished"]
        results = self._cluster.collect(good) if good else []
        for future, flown in batch.items():
            if stands[future] == "error":
                self._blame(future, flown)
            elif stands[future] == "cancelled":
                self._again.append(flown.job)  # the connection broke, and with it went its tasks
            elif stands[future] != "finished" or results is None:
                self._watch(future, flown)  # its worker took the result along: it is made again
        now = time.monotonic()
        for future, result in zip(good, results or (), strict=False):
            self._took.append(now - batch[future].since)
            yield batch[future].job, result

    def _wait(self) -> list[Future[Any]]:
        """What has ended; waits a moment for the first."""
        found = []
        with suppress(Empty):
            found.append(self._ended.get(timeout=LOOK_EVERY if self._is_waiting else 0.0))
            while len(found) < BATCH:
                found.append(self._ended.get_nowait())
        return found

    @property
    def _is_waiting(self) -> bool:
        """Whether there is nothing to do before something ends, or somebody comes to work."""
        return bool(self._flying) or not self._workers

    def _blame(self, future: Future[Any], flown: Flown[Job]) -> None:
        """Find out what became of a job that gave no result: it is tried again, or nothing is.

        Raises:
            ClusterError: the cluster cannot do the work.
        """
        error = self._cluster.error_of(future)
        if error is not None:
            raise error
        logger.warning("workers died while they worked on %s; it is tried again alone", flown.key)
        self._suspects.append(flown.job)

    def _alone(self, job: Job) -> Iterator[tuple[Job, Result | WorkerDied]]:
        """Do a job with nothing else in flight, by one worker; and by another if that one ends."""
        for _ in range(ALONE):
            self._look(now_if_ever=True)
            worker = next(iter(self._workers), None)
            if worker is None:
                break
            sent = self._send(job, by=worker)
            while sent in self._flying and worker in self._workers:
                yield from self._landed()
                self._look()
            if sent not in self._flying and job not in self._suspects:
                return  # it has landed, or the connection broke and it is sent again
            self._flying.pop(sent, None)
            self._cluster.drop([sent])
            if job in self._suspects:
                self._suspects.remove(job)
        else:
            yield job, WorkerDied("every worker that worked on this ended, also with nothing else")
            return
        self._suspects.append(job)

    def _look(self, *, now_if_ever: bool = False) -> None:
        """See who works in the cluster, and who is slow.

        Raises:
            ClusterError: nobody does, and has not for too long.
        """
        now = time.monotonic()
        is_due = now_if_ever or now - self._looked >= LOOK_EVERY
        if not is_due and not self._cluster.is_lost:
            return
        self._looked = now
        found = None if self._cluster.is_lost else self._cluster.workers()
        if found:
            self._workers, self._missing_since = dict(found), None
            self._speak_of_the_slow(now)
            return
        trouble = self._cluster.trouble(found)
        if found is not None:
            self._workers = {}
        if self._missing_since is None:
            self._missing_since = now
            logger.warning("%s; waiting for %.0f s at most", trouble, self._patience.workers)
        if self._cluster.is_lost or now - self._missing_since >= self._patience.workers:
            raise ClusterError(
                f"{trouble}; what was in flight is not committed and stays as it was, and another "
                "run goes on with it"
            )

    def _speak_of_the_slow(self, now: float) -> None:
        """Name the workers that take far longer than is usual; in the end ask others instead."""
        usual = median(self._took) if self._took else 0.0
        limit = max(self._patience.slow, self._patience.times * usual)
        late = [
            (future, flown)
            for future, flown in self._flying.items()
            if now - flown.since > (2 * limit if flown.is_told else limit) and not flown.is_second
        ]
        where = self._cluster.whereabouts() if late else {}
        for future, flown in late:
            worker = where.get(flown.key)
            if not flown.is_told:
                flown.is_told = True
                logger.warning(SLOW, flown.key, worker or "no worker", now - flown.since, usual)
            elif worker is not None and len(self._workers) > 1:
                logger.warning("%s is taken from worker %s and given to another", flown.key, worker)
                del self._flying[future]
                self._cluster.drop([future])
                self._send(flown.job, rather=[each for each in self._workers if each != worker])


def _nothing(job: object) -> object:
    """The work of a worker that is only tried out."""
    return job


@dataclass(frozen=True, kw_only=True)
class ClusterEngine:
    """Runs jobs on the workers of a Dask scheduler, each a process with one thread."""

    address: str
    """tcp://host:port or tls://host:port of the scheduler."""

    store: ObjectStore
    """What workers read and write; they must see the same one."""

    gdal_cache_mb: int
    """Of each worker."""

    folders: tuple[str, ...] = ()
    """Local folders and files that jobs read, so that workers must see them too."""

    patience: ClusterTimeouts = field(default_factory=ClusterTimeouts)

    @property
    def workers(self) -> int:
        """Threads of the cluster as it is now, 1 where it has none yet.

        Raises:
            ClusterError: nobody answers at the address, or Dask is not installed.
        """
        with connected(self.address, within=self.patience.scheduler) as cluster:
            return max(sum((cluster.workers() or {}).values()), 1)

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        """Yield (job, result) as jobs end; at most two jobs a worker are in flight.

        A worker unpacks `work` once. A job whose worker dies is done by
        another; one that workers keep dying of is done alone, and given up if that one dies too.

        Raises:
            ClusterError: the cluster is away or lost, has no workers, or cannot do the work.
        """
        queue = iter(jobs)
        first = list(islice(queue, 1))
        if not first:
            return
        with connected(self.address, within=self.patience.scheduler) as cluster:
            cluster.refuse_other_software()
            with self._probed() as ground:
                orders = self._orders(work, ground, cluster)
                flight: JobsInFlight[Job, Result] = JobsInFlight(cluster, orders, self.patience)
                try:
                    yield from flight.drain(chain(first, queue))
                finally:
                    flight.give_up()

    def examine(self) -> str:
        """Have every worker look at its software and at the store; what the cluster is, in words.

        Raises:
            ClusterError: it is away, has no workers, or one of them cannot do the work.
        """
        with connected(self.address, within=self.patience.scheduler) as cluster:
            cluster.refuse_other_software()
            workers = list(cluster.workers() or ())
            if not workers:
                raise ClusterError(cluster.trouble({}))
            with self._probed() as ground:
                cluster.try_out(self._orders(_nothing, ground, cluster), workers)
            return f"{self.address}: {len(workers)} workers, all fit; {cluster.memory()}"

    def _orders(
        self, work: Callable[[Job], Result], ground: WorkerRequirements, cluster: Cluster
    ) -> RunSpec:
        """What each worker is told before its first job."""
        return RunSpec(
            run=uuid4().hex[:12],
            work=Pickled.of(work),
            software=software_here(),
            ground=ground,
            gdal_cache_mb=self.gdal_cache_mb,
            retries=1 / max(sum((cluster.workers() or {}).values()), 1),
        )

    @contextmanager
    def _probed(self) -> Iterator[WorkerRequirements]:
        """An object in the store for workers to find, as long as the block lasts."""
        path, content = layout.probe(uuid4().hex), os.urandom(32)
        self.store.put(path, content)
        try:
            yield WorkerRequirements(
                store=self.store, probe=path, content=content, folders=self.folders
            )
        finally:
            self.store.delete(path)
