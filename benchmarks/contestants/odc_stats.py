"""odc-stats: its plugin, loader, Dask runner and COG writer, in a separate Python installation."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path

from benchmarks.contestants.arrays import read_ndvi
from benchmarks.contestants.task import AbsentError, Contestant, Task

PYTHON = "SPATIAL_ASSETS_BENCH_ODC_STATS"
"""Environment variable with the path of a Python that has odc-stats."""

VERSION = "from importlib.metadata import version; print('odc-stats', version('odc-stats'))"


def python() -> str:
    """Path of the Python that has odc-stats.

    Raises:
        AbsentError: the variable is not set.
    """
    found = os.environ.get(PYTHON)
    if not found:
        raise AbsentError(f"${PYTHON} names no Python that has odc-stats; `make bench` makes one")
    return found


def odc_stats_version() -> str:
    """Name and version, e.g. `odc-stats 1.9.7`."""
    return run_of([python(), "-c", VERSION])


def run_of(command: list[str]) -> str:
    """Run a program of that Python and return its output.

    Raises:
        AbsentError: it cannot be run.
    """
    try:
        done = subprocess.run(
            command, env=environment(), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise AbsentError(f"{command[0]} has no odc-stats: {error}") from error
    return done.stdout.strip()


def environment() -> dict[str, str]:
    """Our environment without the path of our modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@functools.cache
def process() -> subprocess.Popen[str]:
    """Process of odc-stats, which runs as long as the process of the contestant."""
    script = Path(__file__).with_name("odc_stats_process.py")
    return subprocess.Popen(
        [python(), script],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def work(task: Task) -> None:
    """Write the masked reflectance, index and observations of each tile.

    Raises:
        RuntimeError: odc-stats failed.
    """
    request = {
        "scenes": [str(scene) for scene in task.scenes],
        "tiles": [
            {"key": tile.key, "size": tile.size, "transform": tile.transform[:6]}
            for tile in task.tiles
        ],
        "folder": str(task.folder),
    }
    running = process()
    if running.stdin is None or running.stdout is None:
        raise RuntimeError("odc-stats cannot be spoken to")
    running.stdin.write(json.dumps(request) + "\n")
    running.stdin.flush()
    if running.stdout.readline().strip() != "done":
        raise RuntimeError("odc-stats failed; its output is above")


CONTESTANT = Contestant(
    name="odc-stats",
    work=work,
    ndvi=read_ndvi,
    stores="reflectance, NDVI and observations",
    settings=(
        "A plugin after its documented NDVI example, its own loader, local Dask and COG writer "
        "with its defaults but one thread; no database and no queue, which only add to it."
    ),
    program=odc_stats_version,
)
