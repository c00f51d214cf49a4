"""Clusters that cannot do the work: each is refused, or waited for, with a clear message."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from spatial_assets.errors import ClusterError
from spatial_assets.pipeline.engines.dask_cluster import connected
from spatial_assets.pipeline.engines.dask_engine import ClusterEngine
from spatial_assets.pipeline.engines.dask_worker import RunSpec
from spatial_assets.stores.objects.location import locate
from spatial_assets.stores.objects.store import open_store
from spatial_assets_tests.pipeline.engines.cluster_engines import SHORT, engine_at
from spatial_assets_tests.pipeline.engines.worker_jobs import MachineLocalStore, square_unless_13
from spatial_assets_tests.servers.dask import Scheduler, scheduler, worker
from spatial_assets_tests.servers.process import free_port

pytestmark = pytest.mark.servers


def test_an_address_without_a_scheduler_is_named(tmp_path: Path, cluster: Scheduler) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    nowhere = replace(engine_at(cluster, tmp_path, SHORT), address=address)

    with pytest.raises(ClusterError, match=f"no Dask scheduler answers at {address}"):
        next(nowhere.run(square_unless_13, [1]))


def test_a_cluster_without_workers_is_waited_for_and_then_refused(
    empty_cluster: Scheduler, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    started = time.monotonic()

    with pytest.raises(ClusterError, match=r"has no worker; start some with `dask worker tcp://"):
        next(engine_at(empty_cluster, tmp_path, SHORT).run(square_unless_13, [1]))

    assert time.monotonic() - started >= SHORT.workers
    assert "waiting for 2 s at most" in caplog.text


def test_a_client_that_closed_with_its_scheduler_takes_no_job_and_has_no_answer(
    empty_cluster: Scheduler,
) -> None:
    with connected(empty_cluster.address, within=10.0) as cluster:
        cluster.client.close()

        cluster.cancel([])
        with pytest.raises(ClusterError, match="another run continues with it"):
            cluster.submit(RunSpec.__new__(RunSpec), 1, key="a", preferred=())


def test_workers_that_come_late_are_used(empty_cluster: Scheduler, tmp_path: Path) -> None:
    results = engine_at(empty_cluster, tmp_path).run(square_unless_13, range(20, 30))

    with worker(empty_cluster.address, "--nthreads", "1", "--no-nanny"):
        found = dict(results)

    assert found == {n: n * n for n in range(20, 30)}


def test_a_scheduler_that_comes_back_is_given_again_what_was_in_flight(tmp_path: Path) -> None:
    port = free_port()
    plain = ("--nthreads", "1", "--no-nanny")
    with scheduler(port) as first, worker(first.address, *plain):
        results = engine_at(first, tmp_path).run(square_unless_13, range(20, 60))
        found = [next(results)]
        first.kill()

    with scheduler(port) as second, worker(second.address, *plain):
        found += results

    assert sorted(found) == [(n, n * n) for n in range(20, 60)]


def test_workers_of_another_version_are_refused(empty_cluster: Scheduler, tmp_path: Path) -> None:
    metadata = tmp_path / "image" / "spatial_assets-9.9.9.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: spatial-assets\nVersion: 9.9.9"
    )
    other = {"PYTHONPATH": f"{metadata.parent}"}
    engine = engine_at(empty_cluster, tmp_path)

    said = r"worker tcp://.* has spatial-assets 9\.9\.9 instead"
    with (
        worker(empty_cluster.address, "--nthreads", "1", "--no-nanny", environment=other),
        pytest.raises(ClusterError, match=said),
    ):
        next(engine.run(square_unless_13, [1]))


def test_a_worker_that_joins_late_is_examined_too(empty_cluster: Scheduler, tmp_path: Path) -> None:
    engine = engine_at(empty_cluster, tmp_path)
    with ExitStack() as stack:
        stack.enter_context(worker(empty_cluster.address, "--nthreads", "1", "--no-nanny"))
        results = engine.run(square_unless_13, iter(range(20, 10**9)))
        next(results)
        stack.enter_context(worker(empty_cluster.address, "--nthreads", "3", "--no-nanny"))

        with pytest.raises(ClusterError, match="has 3 threads, and a tile takes a process"):
            for _ in results:
                pass


def test_workers_that_see_another_folder_are_refused(engine: ClusterEngine) -> None:
    elsewhere = MachineLocalStore(locate(engine.store.url), {})

    with pytest.raises(
        ClusterError, match=r"does not see what the driver writes to .*; mount that folder"
    ):
        next(replace(engine, store=elsewhere).run(square_unless_13, [1]))


def test_workers_that_do_not_see_the_scenes_are_refused(engine: ClusterEngine) -> None:
    with pytest.raises(ClusterError, match="does not see /no/such/scenes, which holds the scenes"):
        next(replace(engine, folders=("/no/such/scenes",)).run(square_unless_13, [1]))


def test_workers_have_the_keys_of_the_store_from_their_own_environment_or_not_at_all(
    empty_cluster: Scheduler, s3_bucket: str, s3_environment: dict[str, str], tmp_path: Path
) -> None:
    store = open_store(f"s3://{s3_bucket}/product")
    engine = replace(engine_at(empty_cluster, tmp_path), store=store)
    without = {**dict.fromkeys(s3_environment, ""), "SPATIAL_ASSETS_TIMEOUT": "1"}
    plain = ("--nthreads", "1", "--no-nanny")

    with worker(empty_cluster.address, *plain, environment=s3_environment):
        assert list(engine.run(square_unless_13, [3])) == [(3, 9)]
    with (
        worker(empty_cluster.address, *plain, environment=without),
        pytest.raises(ClusterError, match="cannot read the store; its own environment has the"),
    ):
        next(engine.run(square_unless_13, [3]))
