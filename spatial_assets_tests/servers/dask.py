"""Real Dask schedulers and workers, started by the commands that users run.

Fixtures: one cluster of two workers for all tests that do not change it, and one without workers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from spatial_assets_tests.servers.process import (
    REPOSITORY,
    ServerCommand,
    accepts_connections,
    free_port,
    running,
)

DASK = Path(sys.executable).with_name("dask")
QUIET = {
    "PYTHONPATH": str(REPOSITORY),
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    "DASK_DISTRIBUTED__ADMIN__LOG_FORMAT": "%(levelname)s %(message)s",
}
_numbers = count()


@dataclass(frozen=True)
class Scheduler:
    """A scheduler that runs."""

    address: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Kill the scheduler, as if its machine were gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def scheduler(port: int | None = None) -> Iterator[Scheduler]:
    """A scheduler without workers, at a port of its own or a given one."""
    port = port or free_port()
    command = ServerCommand(
        name=f"dask-scheduler-{os.getpid()}-{next(_numbers)}",
        arguments=[
            *(DASK, "scheduler", "--host", "127.0.0.1", "--port", str(port)),
            *("--dashboard-address", "127.0.0.1:0"),
        ],
        environment=QUIET,
    )
    with running(command, lambda: accepts_connections(port), timeout=60) as process:
        yield Scheduler(f"tcp://127.0.0.1:{port}", process)


@contextmanager
def worker(
    address: str,
    *options: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of one process and one thread, which its nanny starts again when it dies."""
    command = ServerCommand(
        name=f"dask-worker-{os.getpid()}-{next(_numbers)}",
        arguments=[
            *(DASK, "worker", address, "--host", "127.0.0.1", "--no-dashboard"),
            *(options or ("--nthreads", "1", "--memory-limit", "4GiB")),
        ],
        environment={**QUIET, **(environment or {})},
    )
    log = command.log
    with running(command, lambda: "Starting established" in log.read_text(), timeout=60) as process:
        yield process


@pytest.fixture(scope="session")
def cluster() -> Iterator[Scheduler]:
    """A scheduler with two workers, restarted when they die."""
    with ExitStack() as stack:
        started = stack.enter_context(scheduler())
        for _ in range(2):
            stack.enter_context(worker(started.address))
        yield started


@pytest.fixture
def empty_cluster() -> Iterator[Scheduler]:
    """A scheduler without workers."""
    with scheduler() as started:
        yield started
