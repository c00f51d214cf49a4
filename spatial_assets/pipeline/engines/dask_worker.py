"""Code that runs in a Dask worker: it is prepared once per run, and then does jobs.

A worker needs the object store and its own environment: no database, no Dagster, and no
credential comes with a job. Nothing here imports Dask before it runs in a worker.
"""

from __future__ import annotations

import asyncio
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


VERSIONED_PACKAGES = (
    *("spatial-assets", "numpy", "numba", "rasterio", "pyproj", "shapely", "zarr", "obstore"),
)
"""Packages that decide bytes: a cluster with two versions of one would make two products."""

MAX_PREPARED_RUNS = 4
"""Runs that a process stays prepared for; most processes serve one driver at a time."""


@dataclass(frozen=True)
class Pickled:
    """Pickled content, so that neither logs nor the dashboard show what is in it."""

    data: bytes

    @classmethod
    def of(cls, content: object) -> Pickled:
        """Pickle some content."""
        return cls(pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL))

    def load(self) -> Any:  # noqa: ANN401 - what was pickled
        """Return the content."""
        return pickle.loads(self.data)  # noqa: S301 - from our own driver or worker

    def __repr__(self) -> str:
        return f"Pickled({len(self.data)} bytes)"


@dataclass(frozen=True, kw_only=True)
class WorkerRequirements:
    """Files and objects that a worker must be able to read to do a driver's work."""

    store: ObjectStore
    probe: str
    """Path of an object that the driver put into the store."""

    content: bytes
    """Content of the probe."""

    folders: tuple[str, ...]
    """Local folders and files that jobs read."""

    def problem(self, worker: str) -> str | None:
        """Return what this process cannot read, and the remedy; None: it can read everything."""
        try:
            found = self.store.find(self.probe)
        except SpatialAssetsError as error:
            return (
                f"worker {worker} cannot read the store; its own environment has the keys: {error}"
            )
        if found != self.content:
            return (
                f"worker {worker} does not see what the driver writes to {self.store.url}; mount "
                "that folder at the same path on all machines, or set [storage] url to an S3 bucket"
            )
        absent = [folder for folder in self.folders if not Path(folder).exists()]
        if absent:
            return (
                f"worker {worker} does not see {', '.join(absent)}, which holds the scenes; mount "
                "it there too, or give [scenes] catalog as a URL"
            )
        return None


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """The work of a run, with the software, files and limits that it needs.

    It is sent with each job, some 3 kB, and unpickled once per process. Kept in the cluster it
    would be fetched from another worker, and one that has just died costs half a minute.
    """

    run: str
    work: Pickled
    software: Mapping[str, str]
    """Package versions of the driver."""

    requirements: WorkerRequirements
    gdal_cache_mb: int
    retry_share: float
    """Share of the run's retries that one process may use."""

    def __repr__(self) -> str:
        return f"RunSpec({self.run})"


def software_here() -> dict[str, str]:
    """Return the versions that decide the bytes this process makes: name -> version."""
    found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for package in VERSIONED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def version_differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Describe the versions that differ; empty if none does."""
    return ", ".join(
        f"{name} {theirs.get(name, 'none')} instead of {version_here}"
        for name, version_here in ours.items()
        if theirs.get(name, "none") != version_here
    )


def perform(spec: RunSpec, job: Pickled) -> Pickled:
    """Do one job; what it writes counts only while the driver waits for it.

    Raises:
        ClusterError: this worker cannot do the work of this driver.
    """
    from distributed import get_worker

    worker = get_worker()
    work = _prepared_work(spec, worker)
    with cancellation.checked_by(partial(_is_wanted, worker, worker.get_current_task())):
        return Pickled.of(work(job.load()))


_works: dict[str, Callable[[Any], object]] = {}
"""Run -> function that does its jobs, in this process."""


def _prepared_work(spec: RunSpec, worker: Worker) -> Callable[[Any], object]:
    """Return the work of a run; check and prepare this process at the first job of the run."""
    work = _works.get(spec.run)
    if work is None:
        refuse_unfit(spec, worker)
        limit_process(spec.gdal_cache_mb)
        retry_budget.refill(spec.retry_share)
        while len(_works) >= MAX_PREPARED_RUNS:
            del _works[next(iter(_works))]
        work = _works[spec.run] = spec.work.load()
    return work


async def check_worker(spec: RunSpec, dask_worker: Worker) -> None:
    """Check this worker without a job, and without keeping its event loop from other messages.

    Raises:
        ClusterError: this worker cannot do the work of this driver.
    """
    await asyncio.to_thread(refuse_unfit, spec, dask_worker)


def refuse_unfit(spec: RunSpec, worker: Worker) -> None:
    """Refuse a worker whose results could differ from the driver's.

    Raises:
        ClusterError: naming this worker and the remedy.
    """
    name = f"{worker.address} (process {os.getpid()})"
    differences = version_differences(spec.software, software_here())
    if differences:
        message = f"worker {name} has {differences}; run driver and workers from the same image"
        raise ClusterError(message)
    if worker.state.nthreads != 1:
        message = (
            f"worker {name} has {worker.state.nthreads} threads, and a tile takes a process: start "
            "it with --nthreads 1 (and --nworkers for as many as the machine has cores)"
        )
        raise ClusterError(message)
    problem = spec.requirements.problem(name)
    if problem is not None:
        raise ClusterError(problem)


def _is_wanted(worker: Worker, key: object) -> bool:
    """Return True while the scheduler waits for this task from this worker."""
    task = worker.state.tasks.get(key)  # type: ignore[call-overload]
    is_on = worker.status.name in {"running", "paused", "closing_gracefully"}
    return is_on and task is not None and task.state in {"executing", "long-running"}
