"""`python -m chaos.worker_deaths 200`: kills that many workers under load; ends, or it failed.

A pool of processes has several places to wait for ever after a death, and which of them is met
depends on the version of Python and on the load of the machine.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from spatial_assets.pipeline.engines.engine import ProcessEngine, WorkerDied

SHORT_JOB, LONG_JOB = 10, 3_000_000
"""Bytes of a job: a pipe of Linux takes 65,536 without a reader, so a long one can block."""

LONG_SHARE = 8
"""One death of so many has long jobs."""

MOST_SECONDS_PER_DEATH = 15.0
"""With the load of this command and several times as much beside it."""


def square_or_die(job: tuple[int, bytes]) -> int:
    """Return the square of the job's number; number 1 kills its worker."""
    if job[0] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return job[0] ** 2


def survive(deaths: int, *, job_bytes: int) -> int:
    """Run jobs of which the first kills its worker, so many times; return the wrong results."""
    wrong = 0
    for _ in range(deaths):
        jobs = [(number, bytes(job_bytes)) for number in (1, 2, 3)]
        engine = ProcessEngine(workers=2, gdal_cache_mb=64)
        found = {job[0]: result for job, result in engine.run(square_or_die, jobs)}
        is_right = isinstance(found.pop(1, None), WorkerDied) and found == {2: 4, 3: 9}
        wrong += not is_right
    return wrong


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Load the machine with processes that always have something to do."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for loop in running:
            loop.kill()
            loop.wait()


def main() -> int:
    """Kill the workers and return 0 if every run ended with the right results."""
    parser = argparse.ArgumentParser(prog="python -m chaos.worker_deaths", description=__doc__)
    parser.add_argument("deaths", type=int, nargs="?", default=200)
    parser.add_argument("--load", type=int, default=6, help="busy processes beside it")
    given = parser.parse_args()
    faulthandler.dump_traceback_later(given.deaths * MOST_SECONDS_PER_DEATH, exit=True)
    began = time.monotonic()
    with busy(given.load):
        long = given.deaths // LONG_SHARE
        wrong = survive(given.deaths - long, job_bytes=SHORT_JOB)
        wrong += survive(long, job_bytes=LONG_JOB)
    print(
        f"{given.deaths} deaths on Python {sys.version.split()[0]}: "
        f"{wrong} wrong results, {time.monotonic() - began:.0f} s"
    )
    return 0 if wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
