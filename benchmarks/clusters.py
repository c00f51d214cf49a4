"""A Dask cluster on this machine, started by the usual commands, and its CPU time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import descendants

DASK = Path(sys.executable).with_name("dask")
STARTING = 60.0
MEGABYTE = 2**20
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Running:
    """A running cluster."""

    address: str
    scheduler: int
    """Process id of the scheduler."""


@contextmanager
def cluster(workers: int) -> Iterator[Running]:
    """Run a scheduler and worker processes; all of them have connected when the block starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    here = ("--host", "127.0.0.1")
    started = [start("scheduler", *here, "--port", str(port), "--no-dashboard")]
    try:
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
        started += [start("worker", address, *here, *options) for _ in range(workers)]
        wait_for(address, workers)
        yield Running(address, started[0].pid)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def start(kind: str, *options: str) -> subprocess.Popen[bytes]:
    """Start the scheduler or a worker."""
    return subprocess.Popen(
        [DASK, kind, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wait_for(address: str, workers: int) -> None:
    """Wait until all workers have connected."""
    from distributed import Client  # noqa: PLC0415

    with Client(address, timeout=STARTING, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=STARTING)


def resident_mb(pid: int) -> float:
    """Resident memory of a process; 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


class CpuMeter:
    """CPU seconds of this process and its descendants since the meter was created.

    A process that has ended counts with its value at the last call of `update`.
    """

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self.update()
        self._start = sum(self._seen.values())
        self._wall = time.perf_counter()

    def update(self) -> None:
        """Read the CPU time of all processes."""
        for pid in [os.getpid(), *descendants(os.getpid())]:
            self._seen[pid] = max(cpu_seconds(pid), self._seen.get(pid, 0.0))

    def read(self) -> tuple[float, float]:
        """CPU and wall seconds so far."""
        self.update()
        return sum(self._seen.values()) - self._start, time.perf_counter() - self._wall
