"""Jobs in local processes: bounded work in flight, and a dead process fails no other job."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from subprocess import PIPE

import pytest

from chaos.worker_deaths import LONG_JOB, SHORT_JOB, survive
from spatial_assets.pipeline.engines.engine import (
    InlineEngine,
    ProcessEngine,
    WorkerDied,
    close_pool,
)
from spatial_assets_tests.fixtures.failing_engines import (
    pid_and_gdal_cache,
    slow_square,
    stay_at_exit,
)
from spatial_assets_tests.servers.process import REPOSITORY

TWO = ProcessEngine(workers=2, gdal_cache_mb=77)


def test_results_come_with_their_jobs() -> None:
    assert dict(TWO.run(slow_square, range(8))) == {n: n * n for n in range(8)}
    assert list(InlineEngine().run(slow_square, [3, 1])) == [(3, 9), (1, 1)]


def test_a_job_that_kills_its_process_is_given_up_and_no_other() -> None:
    found = dict(TWO.run(slow_square, [1, 13, 2, 3, 4, 5, 6, 7]))

    assert isinstance(found.pop(13), WorkerDied)
    assert found == {n: n * n for n in (1, 2, 3, 4, 5, 6, 7)}


def test_no_death_of_a_worker_is_waited_for_without_end() -> None:
    """A worker dies while another one starts, and while a long job is written to it.

    `python -m chaos.worker_deaths` has 200 deaths under load.
    """
    assert survive(22, job_bytes=SHORT_JOB) == 0
    assert survive(3, job_bytes=LONG_JOB) == 0


def test_the_workers_of_a_broken_pool_end_at_once() -> None:
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver"))
    naps = [pool.submit(time.sleep, 600) for _ in range(2)]

    close_pool(pool, at_once=True)

    assert all(isinstance(nap.exception(), BrokenProcessPool) for nap in naps)


def test_a_worker_that_does_not_leave_is_killed() -> None:
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver"))
    process = pool.submit(stay_at_exit).result()

    close_pool(pool, at_once=False, patience=0.5)

    assert not Path(f"/proc/{process}").exists()


def test_jobs_are_taken_as_they_are_needed() -> None:
    asked: list[int] = []

    def jobs() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    results = TWO.run(slow_square, jobs())
    for _ in range(5):
        next(results)

    assert len(asked) <= 5 + 2 * TWO.workers
    results.close()


def test_closing_early_leaves_no_process_behind() -> None:
    results = TWO.run(slow_square, range(100))
    next(results)
    results.close()

    with pytest.raises(StopIteration):
        next(results)


def test_workers_are_processes_of_their_own_with_the_cache_they_were_given() -> None:
    found = [
        each
        for _, each in TWO.run(pid_and_gdal_cache, range(6))
        if not isinstance(each, WorkerDied)
    ]

    assert len({process for process, _ in found}) <= TWO.workers
    assert {cache for _, cache in found} == {"77"}


DRIVER = """
import sys
from chaos.worker_deaths import LONG_JOB, SHORT_JOB, survive
from spatial_assets.pipeline.engines.engine import ProcessEngine
from spatial_assets_tests.fixtures.failing_engines import pid_and_gdal_cache
engine = ProcessEngine(workers=2, gdal_cache_mb=64)
for _, (process, _) in engine.run(pid_and_gdal_cache, range(1000)):
    print(process, flush=True)
    sys.stdin.readline()
"""


def test_workers_do_not_outlive_a_driver_that_is_killed() -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=PIPE, stdout=PIPE, text=True, cwd=REPOSITORY
    )
    assert driver.stdin is not None
    assert driver.stdout is not None
    worker = Path("/proc") / driver.stdout.readline().strip()
    assert worker.exists()

    driver.kill()
    driver.wait()

    # the end of their output: nobody is left who could write to it
    assert all(line.strip().isdigit() for line in driver.stdout)
    deadline = time.monotonic() + 10
    while worker.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    driver.stdin.close()
    driver.stdout.close()
