"""A real project on a real cluster: the same bytes and rows as without one, even if workers die."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from spatial_assets.errors import ClusterError
from spatial_assets.pipeline.engines.dask_cluster import connected
from spatial_assets.pipeline.engines.dask_engine import ClusterEngine
from spatial_assets.pipeline.engines.engine import Results
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project, load_project
from spatial_assets_tests.fixtures.failing_engines import KillsItsWorker
from spatial_assets_tests.fixtures.pipeline_runs import (
    failure_of,
    pixels,
    rows,
    run_tiles,
    states,
    store_of,
)
from spatial_assets_tests.fixtures.two_zone_project import write_project
from spatial_assets_tests.pipeline.engines.cluster_engines import SHORT
from spatial_assets_tests.servers.dask import Scheduler, worker

pytestmark = pytest.mark.servers

Job = TypeVar("Job")
Result = TypeVar("Result")


@pytest.fixture(scope="module")
def local(shared_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All tiles of the shared catalogue, computed without a cluster."""
    project = write_project(tmp_path_factory.mktemp("local"), shared_catalog)
    assert states(run_tiles(project)) == {State.MATERIALIZED}
    return project


@pytest.fixture
def project(shared_catalog: Path, tmp_path: Path) -> Project:
    """The same, not made yet."""
    return write_project(tmp_path / "clustered", shared_catalog)


def on(cluster: Scheduler, project: Project) -> ClusterEngine:
    return ClusterEngine(address=cluster.address, store=store_of(project), gdal_cache_mb=64)


@dataclass(frozen=True, kw_only=True)
class KilledWorkerCluster:
    """A cluster whose worker is killed at a tile: once, or each worker that computes it."""

    engine: ClusterEngine
    victim: str
    once: Path | None
    workers: int = 2

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        yield from self.engine.run(KillsItsWorker(work, self.victim, self.once), jobs)


def test_a_cluster_makes_the_same_bytes_and_rows(
    project: Project, local: Project, cluster: Scheduler
) -> None:
    engine = on(cluster, project)

    assert states(run_tiles(project, engine=engine)) == {State.MATERIALIZED}
    assert states(run_tiles(project, engine=engine)) == {State.UNCHANGED}

    assert pixels(project) == pixels(local)
    told = [
        sorted((str(row["tile"]), row["valid_fraction"], row["fingerprint"]) for row in found)
        for found in (rows(project, "tile_index"), rows(local, "tile_index"))
    ]
    assert told[0] == told[1]


def test_a_worker_that_is_killed_in_a_tile_costs_nothing(
    project: Project, local: Project, cluster: Scheduler, tmp_path: Path
) -> None:
    victim, once = project.partitioning.keys[1], tmp_path / "killed"
    deadly = KilledWorkerCluster(engine=on(cluster, project), victim=victim, once=once)

    assert states(run_tiles(project, engine=deadly)) == {State.MATERIALIZED}

    assert once.exists()
    assert pixels(project) == pixels(local)


def test_a_tile_that_kills_its_workers_is_the_only_one_that_fails(
    project: Project, cluster: Scheduler
) -> None:
    victim = project.partitioning.keys[1]
    deadly = KilledWorkerCluster(engine=on(cluster, project), victim=victim, once=None)

    found = dict(run_tiles(project, engine=deadly))

    reason, message = failure_of(found.pop(victim))
    assert (reason, "memory_mb" in message) == ("worker_died", True)
    assert states(found) == {State.MATERIALIZED}
    assert states(run_tiles(project)) >= {State.MATERIALIZED}  # nobody holds it any more


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """A cluster whose scheduler is killed as soon as a tile has come back."""

    engine: ClusterEngine
    cluster: Scheduler
    workers: int = 1

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        for job, result in self.engine.run(work, jobs):
            yield job, result
            if hasattr(job, "tile"):
                self.cluster.kill()


def test_after_the_scheduler_is_lost_a_run_goes_on_where_it_was(
    project: Project, local: Project, empty_cluster: Scheduler
) -> None:
    engine = replace(on(empty_cluster, project), timeouts=SHORT)
    interrupted = Interrupted(engine=engine, cluster=empty_cluster)
    with (
        worker(empty_cluster.address, "--nthreads", "1", "--no-nanny"),
        pytest.raises(ClusterError, match="is gone; what was in flight is not committed"),
    ):
        run_tiles(project, engine=interrupted)

    again = run_tiles(project)  # no patience: the leases are let go of

    assert states(again) == {State.UNCHANGED, State.MATERIALIZED}
    assert pixels(project) == pixels(local)


PLANTED = "hunter2-of-the-driver"


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A cluster whose scheduler is searched while tiles are in flight."""

    engine: ClusterEngine
    found: list[bytes]
    workers: int = 2

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        for job, result in self.engine.run(work, jobs):
            with connected(self.engine.address, within=5.0) as cluster:
                self.found.append(cluster.client.run_on_scheduler(everything))
            yield job, result


def everything(dask_scheduler: object) -> bytes:
    """Tasks, events and plugins of a scheduler, as bytes to search in."""
    tasks = dask_scheduler.tasks.values()  # type: ignore[attr-defined]
    held = [(task.key, task.run_spec, task.annotations) for task in tasks]
    events = repr(dask_scheduler.get_events())  # type: ignore[attr-defined]
    return pickle.dumps([held, events])


def test_no_secret_of_the_driver_comes_to_the_scheduler(
    shared_catalog: Path, cluster: Scheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLANTED)
    write_project(tmp_path / "secret", shared_catalog)
    url = f"duckdb:///data/{PLANTED}.duckdb"
    project = load_project(tmp_path / "secret", {"SPATIAL_ASSETS_DATABASE_URL": url})
    searched = Searched(engine=on(cluster, project), found=[])

    assert states(run_tiles(project, engine=searched)) == {State.MATERIALIZED}

    held = b"".join(searched.found)
    assert str(shared_catalog).encode() in held
    assert project.partitioning.keys[-1].encode() in held
    assert PLANTED.encode() not in held
