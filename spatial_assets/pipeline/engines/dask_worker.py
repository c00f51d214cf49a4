"""What happens in a worker of a Dask cluster: it is fitted out once a run, and then does jobs.

A worker needs the object store and its own environment: no database, no Dagster, and no
credential comes with a job. Nothing here imports Dask before it runs in a worker.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial_assets.errors import ClusterError, SpatialAssetsError
from spatial_assets.pipeline.engines.engine import limit_process
from spatial_assets.retries import retry_budget
from spatial_assets.stores.objects.cancellation import cancellation
from spatial_assets.stores.objects.store import ObjectStore

if TYPE_CHECKING:
    from distributed import Worker


PACKAGES = ("spatial-assets", "numpy", "numba", "rasterio", "pyproj", "shapely", "zarr", "obstore")
"""What decides bytes: a cluster with two versions of one would make two products."""

KEPT = 4
"""Runs that a process stays fitted out for; most serve one driver at a time."""


@dataclass(frozen=True)
class Pickled:
    """Something packed for the way; neither a log nor a dashboard shows what is in it."""

    data: bytes

    @classmethod
    def of(cls, content: object) -> Pickled:
        """Pack something picklable."""
        return cls(pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL))

    def open(self) -> Any:  # noqa: ANN401 - what was packed
        """What is in it."""
        return pickle.loads(self.data)  # noqa: S301 - from our own driver or worker

    def __repr__(self) -> str:
        return f"Pickled({len(self.data)} bytes)"


@dataclass(frozen=True, kw_only=True)
class WorkerRequirements:
    """What a worker must see to do the work of a driver."""

    store: ObjectStore
    probe: str
    """Path of an object that the driver put into the store."""

    content: bytes
    """Of that object."""

    folders: tuple[str, ...]
    """Local folders and files that jobs read."""

    def missed_by(self, worker: str) -> str | None:
        """What this process does not see of it, and what to do; None: it sees all."""
        try:
            found = self.store.find(self.probe)
        except SpatialAssetsError as error:
            return (
                f"worker {worker} cannot read the store; its own environment has the keys: {error}"
            )
        if found != self.content:
            return (
                f"worker {worker} does not see what the driver writes to {self.store.url}; let all "
                "machines mount that folder in the same place, or set [storage] url to an S3 bucket"
            )
        absent = [folder for folder in self.folders if not Path(folder).exists()]
        if absent:
            return (
                f"worker {worker} does not see {', '.join(absent)}, which the scenes are in; mount "
                "it there too, or give [scenes] catalog as a URL"
            )
        return None


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What a worker is told of a run: what to work with, on what ground, in which limits.

    They ride along with each job, some 3 kB, and are unpacked once a process. Kept in the cluster
    they would be fetched from another worker, and one that has just died costs half a minute.
    """

    run: str
    work: Pickled
    software: Mapping[str, str]
    """Of the driver."""

    ground: WorkerRequirements
    gdal_cache_mb: int
    retries: float
    """Share of the run's retries that one process has."""

    def __repr__(self) -> str:
        return f"RunSpec({self.run})"


def software_here() -> dict[str, str]:
    """What decides the bytes that this process makes: name -> version."""
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """In what software differs, in words; empty: in nothing."""
    return ", ".join(
        f"{name} {theirs.get(name, 'none')} instead of {version_here}"
        for name, version_here in ours.items()
        if theirs.get(name, "none") != version_here
    )


def perform(orders: RunSpec, job: Pickled) -> Pickled:
    """Do one job; what it writes counts only while the driver waits for it.

    Raises:
        ClusterError: this worker cannot do the work of this driver.
    """
    from distributed import get_worker

    worker = get_worker()
    work = _fitted_out(orders, worker)
    with cancellation.checked_by(partial(_is_wanted, worker, worker.get_current_task())):
        return Pickled.of(work(job.open()))


_works: dict[str, Callable[[Any], object]] = {}
"""Run -> what to do with its jobs, in this process."""


def _fitted_out(orders: RunSpec, worker: Worker) -> Callable[[Any], object]:
    """The work of a run, for which this process is examined and prepared at its first job."""
    work = _works.get(orders.run)
    if work is None:
        _refuse_unfit(orders, worker)
        limit_process(orders.gdal_cache_mb)
        retry_budget.refill(orders.retries)
        while len(_works) >= KEPT:
            del _works[next(iter(_works))]
        work = _works[orders.run] = orders.work.open()
    return work


def _refuse_unfit(orders: RunSpec, worker: Worker) -> None:
    """Refuse to make what would not be what the driver would make.

    Raises:
        ClusterError: naming this worker and what to do.
    """
    name = f"{worker.address} (process {os.getpid()})"
    other = differing(orders.software, software_here())
    if other:
        message = f"worker {name} has {other}; run driver and workers from the same image"
        raise ClusterError(message)
    if worker.state.nthreads != 1:
        message = (
            f"worker {name} has {worker.state.nthreads} threads, and a tile takes a process: start "
            "it with --nthreads 1 (and --nworkers for as many as the machine has cores)"
        )
        raise ClusterError(message)
    missed = orders.ground.missed_by(name)
    if missed is not None:
        raise ClusterError(missed)


def _is_wanted(worker: Worker, key: object) -> bool:
    """Whether the scheduler still waits for this task from this worker."""
    task = worker.state.tasks.get(key)  # type: ignore[call-overload]
    is_on = worker.status.name in {"running", "paused", "closing_gracefully"}
    return is_on and task is not None and task.state in {"executing", "long-running"}
