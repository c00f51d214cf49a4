"""Where the work runs, when it runs in a Dask cluster: the engine, by the address of a scheduler.

The driver holds no more than what is in flight: two jobs a worker. Workers may come and go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TypeVar
from uuid import uuid4

from spatial_assets.errors import ClusterError
from spatial_assets.pipeline.dask_cluster import Cluster, connected
from spatial_assets.pipeline.dask_flight import Flight, Patience
from spatial_assets.pipeline.dask_work import Ground, Orders, Parcel, software_here
from spatial_assets.pipeline.engine import Results
from spatial_assets.stores import layout
from spatial_assets.stores.objects import ObjectStore

Job = TypeVar("Job")
Result = TypeVar("Result")


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

    patience: Patience = field(default_factory=Patience)

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
                flight: Flight[Job, Result] = Flight(cluster, orders, self.patience)
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

    def _orders(self, work: Callable[[Job], Result], ground: Ground, cluster: Cluster) -> Orders:
        """What each worker is told before its first job."""
        return Orders(
            run=uuid4().hex[:12],
            work=Parcel.of(work),
            software=software_here(),
            ground=ground,
            gdal_cache_mb=self.gdal_cache_mb,
            retries=1 / max(sum((cluster.workers() or {}).values()), 1),
        )

    @contextmanager
    def _probed(self) -> Iterator[Ground]:
        """An object in the store for workers to find, as long as the block lasts."""
        path, content = layout.probe(uuid4().hex), os.urandom(32)
        self.store.put(path, content)
        try:
            yield Ground(store=self.store, probe=path, content=content, folders=self.folders)
        finally:
            self.store.delete(path)
