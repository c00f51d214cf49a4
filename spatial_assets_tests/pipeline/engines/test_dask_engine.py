"""Jobs on real workers of a real scheduler: bounded, streamed, lost only by their own fault."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from spatial_assets.errors import ClusterError, StoreError
from spatial_assets.pipeline.engines.dask_cluster import connected
from spatial_assets.pipeline.engines.dask_engine import ClusterEngine, ClusterTimeouts
from spatial_assets.pipeline.engines.engine import WorkerDied
from spatial_assets.stores.objects.cancellation import cancellation
from spatial_assets_tests.pipeline.engines.worker_jobs import (
    SlowOnce,
    WaitThenWrite,
    pid_cache_and_variable,
    square_unless_13,
)
from spatial_assets_tests.servers.dask import Scheduler
from spatial_assets_tests.servers.process import REPOSITORY

pytestmark = pytest.mark.servers


def test_results_come_with_their_jobs(engine: ClusterEngine) -> None:
    assert engine.workers == 2
    assert dict(engine.run(square_unless_13, range(12))) == {n: n * n for n in range(12)}
    assert list(engine.run(square_unless_13, [])) == []


def test_jobs_are_taken_as_they_are_needed(engine: ClusterEngine) -> None:
    asked: list[int] = []

    def jobs() -> Iterator[int]:
        for number in range(20, 220):
            asked.append(number)
            yield number

    results = engine.run(square_unless_13, jobs())
    for done in range(1, 100):
        next(results)
        assert len(asked) <= done + 2 * 2 + 2  # two a worker, and what landed with this one
    results.close()


def test_workers_are_processes_with_the_cache_they_were_given_and_an_environment_of_their_own(
    engine: ClusterEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONLY_THE_DRIVER_HAS", "it")

    found = [
        each
        for _, each in engine.run(pid_cache_and_variable, range(20))
        if not isinstance(each, WorkerDied)
    ]

    assert len({process for process, _, _ in found}) == 2
    assert {(cache, said) for _, cache, said in found} == {("77", None)}


def test_a_job_that_kills_every_worker_is_given_up_and_no_other(engine: ClusterEngine) -> None:
    found = dict(engine.run(square_unless_13, [1, 13, 2, 3, 4, 5, 6, 7]))

    assert isinstance(found.pop(13), WorkerDied)
    assert found == {n: n * n for n in (1, 2, 3, 4, 5, 6, 7)}


def test_several_jobs_that_kill_workers_take_no_innocent_job_with_them(
    engine: ClusterEngine,
) -> None:
    found = list(engine.run(square_unless_13, [1, 13, 2, 13, 3, 4, 13, 5, 6, 7]))

    assert sum(isinstance(result, WorkerDied) for _, result in found) == 3
    assert {job: result for job, result in found if job != 13} == {
        n: n * n for n in (1, 2, 3, 4, 5, 6, 7)
    }


def test_a_worker_that_is_stuck_is_named_and_its_job_done_by_another(
    engine: ClusterEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = SlowOnce(victim=3, mark=tmp_path / "mark", seconds=8.0)
    impatient = replace(engine, timeouts=ClusterTimeouts(slow=0.7, slow_factor=0.0, cancel=0.0))
    started = time.monotonic()

    found = dict(impatient.run(stuck, range(40)))

    assert found == {n: n * n for n in range(40)}
    assert time.monotonic() - started < 8.0
    said = [each.getMessage() for each in caplog.records]
    assert any("has been with tcp://127.0.0.1:" in each for each in said)
    assert any("is taken from worker tcp://127.0.0.1:" in each for each in said)
    wait_for(tmp_path, "*.ended", 1)  # until then that worker is of no use to other tests


def test_workers_write_nothing_for_a_driver_that_stopped_asking(
    engine: ClusterEngine, tmp_path: Path
) -> None:
    results = engine.run(WaitThenWrite(engine.store, tmp_path), ["quick", "a", "b", "c", "d"])
    with letting_go(tmp_path):
        assert next(results) == ("quick", "quick")
        begun = wait_for(tmp_path, "*.begun", 1)

        results.close()

    wait_for(tmp_path, "*.ended", begun)
    assert list(engine.store.list()) == []


DRIVER = """
import sys
from pathlib import Path
from spatial_assets.pipeline.engines.dask_engine import ClusterEngine
from spatial_assets.stores.objects.store import open_store
from spatial_assets_tests.pipeline.engines.worker_jobs import WaitThenWrite
store = open_store(sys.argv[2])
engine = ClusterEngine(address=sys.argv[1], store=store, gdal_cache_mb=64)
list(engine.run(WaitThenWrite(store, Path(sys.argv[3])), ["a", "b", "c", "d"]))
"""


def test_workers_write_nothing_for_a_driver_that_was_killed(
    engine: ClusterEngine, tmp_path: Path
) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, engine.address, engine.store.url, str(tmp_path)],
        cwd=REPOSITORY,
    )
    with letting_go(tmp_path):
        try:
            begun = wait_for(tmp_path, "*.begun", 2)
        finally:
            driver.kill()
            driver.wait()
        time.sleep(0.5)  # the scheduler hears of it, and tells the workers; a lease lasts 90 s

    wait_for(tmp_path, "*.ended", begun)
    written = [info.path for info in engine.store.list()]
    assert not [path for path in written if path.startswith("late/")]


@contextmanager
def letting_go(folder: Path) -> Iterator[None]:
    """Let workers that wait go on at the end, whatever happens."""
    try:
        yield
    finally:
        (folder / "go").touch()


def wait_for(folder: Path, pattern: str, number: int) -> int:
    """Wait for so many files; returns how many there are."""
    deadline = time.monotonic() + 60
    while (found := len(list(folder.glob(pattern)))) < number:
        assert time.monotonic() < deadline, f"{found} of {number} {pattern}"
        time.sleep(0.02)
    return found


def test_what_is_recalled_is_not_written(engine: ClusterEngine) -> None:
    with (
        cancellation.checked_by(lambda: False),
        pytest.raises(StoreError, match="gave this work up"),
    ):
        engine.store.put("a", b"")
    with cancellation.checked_by(lambda: True):
        engine.store.put("b", b"")

    engine.store.put("c", b"")

    assert [info.path for info in engine.store.list()] == ["b", "c"]


def test_nothing_is_left_on_the_scheduler(engine: ClusterEngine, cluster: Scheduler) -> None:
    assert len(list(engine.run(square_unless_13, range(20, 40)))) == 20

    with connected(cluster.address, within=5.0) as asked:
        left = asked.client.run_on_scheduler(what_is_kept)

    assert left == 0
    assert list(engine.store.list()) == []


def what_is_kept(dask_scheduler: object) -> int:
    """Tasks that a scheduler remembers."""
    return len(dask_scheduler.tasks)  # type: ignore[attr-defined]


def test_without_dask_the_setting_says_what_to_install(
    engine: ClusterEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(ClusterError, match=r"pip install 'spatial-assets\[dask\]'"):
        next(engine.run(square_unless_13, [1]))
