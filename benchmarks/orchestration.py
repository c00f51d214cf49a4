"""Overhead of Dagster per tile, compared with the pipeline alone, other assets and Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.direct_run import run_directly
from benchmarks.processes import PeakWatch
from benchmarks.projects import write_project
from benchmarks.ranges import CACHE_MB, WORKERS, run_nothing, run_range
from benchmarks.rows import Row, bound, row, wall
from benchmarks.scenes import WIDE_BBOX
from benchmarks.tiny_tiles import tiny_tiles_project
from spatial_assets.pipeline.engines.engine import ProcessEngine
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project, load_project

PREFECT = "SPATIAL_ASSETS_BENCH_PREFECT"
"""Environment variable with the path of a Python that has Prefect."""

ENGINE = ProcessEngine(workers=WORKERS, gdal_cache_mb=CACHE_MB)
MAX_WORKER_MB = 600.0
PROMISED_TILES = 200
"""With fewer tiles, start-up dominates and no target applies."""


def small_tiles(folder: Path, count: int) -> list[Row]:
    """Compare a range run of tiles of almost no cost with the pipeline alone."""
    plain, ours = (tiny_tiles_project(folder / name, 2 * count) for name in ("plain", "dagster"))
    tiles = plain.partitioning.keys[:count]
    without = wall(lambda: run_directly(plain, tiles, engine=ENGINE)) / count * 1000
    through = wall(lambda: run_range(ours, tiles, folder / "home")) / count * 1000
    what = f"range run of {count:,} tiles of 256 pixels through Dagster, against the pipeline alone"
    return [row(what, through, without, most=None, unit="ms a tile, wall")]


def big_tiles(folder: Path, scenes: Path, *, count: int, zoom: int) -> list[Row]:
    """Compare tiles of 2,048 pixels with and without Dagster, computed and unchanged.

    Args:
        folder: working folder.
        scenes: folder of granules.
        count: number of tiles; the granules have about 50 at zoom 14 and 225 at zoom 15.
        zoom: zoom of the pixels.

    Raises:
        RuntimeError: the scenes have fewer tiles.
    """
    warm, plain, ours = (
        write_project(folder / name, bbox=WIDE_BBOX, scenes=scenes, zoom=zoom)
        for name in ("warm", "plain", "dagster")
    )
    tiles = plain.partitioning.keys[:count]
    if len(tiles) < count:
        raise RuntimeError(f"the scenes have {len(tiles)} tiles at zoom {zoom}, not {count}")
    days = sum(each.is_dir() for each in scenes.iterdir())
    of = f"{count} tiles of 2,048 pixels, {days} scenes, {WORKERS} workers"
    run_directly(warm, tiles[:WORKERS], engine=ENGINE)  # loads libraries
    with PeakWatch(os.getpid(), itself=False) as workers:
        without = timed(f"{of}: made", partial(run_directly, plain, tiles, engine=ENGINE))
    unchanged = partial(run_directly, plain, tiles, engine=ENGINE, expected=State.UNCHANGED)
    again = timed(f"{of}: unchanged", unchanged)
    home = folder / "home"
    through = timed(f"{of}: made through Dagster", partial(run_range, ours, tiles, home))
    again_through = wall(lambda: run_range(ours, tiles, home))
    dagster, nothing = (1.2, 0.1) if count >= PROMISED_TILES else (None, None)
    lines = (
        ("through Dagster (SQLite), against our pipeline", through, without, dagster),
        ("unchanged re-run, against the first run", again, without, nothing),
        ("unchanged re-run through Dagster, against the first", again_through, through, nothing),
    )
    return [
        *(
            row(f"{what}: {of}", mine, other, most=most, unit="seconds, wall")
            for what, mine, other, most in lines
        ),
        bound(f"peak memory of a worker: {of}", workers.peak_mb, most=MAX_WORKER_MB, unit="MB"),
    ]


def timed(what: str, work: partial[None]) -> float:
    """Time `work` in wall seconds and print a line when it is done."""
    seconds = wall(work)
    print(f"  {what}: {seconds:.1f} s", flush=True)
    return seconds


def one_run_a_partition(folder: Path, count: int, sample: int) -> list[Row]:
    """Compare a range run, start-up included, with one run a partition, of which some are timed."""
    ours, theirs = (tiny_tiles_project(folder / name, 100) for name in ("ours", "theirs"))
    tiles = ours.partitioning.keys[:count]
    range_of = f"{tiles[0]}...{tiles[-1]}"
    stages = ",".join(chain_of(ours).stages)
    first = wall(
        lambda: command(ours, "spatial_assets.definitions", stages, "--partition-range", range_of)
    )

    def one_by_one() -> None:
        for tile in tiles[:sample]:
            command(theirs, "benchmarks.asset_per_stage", stages, "--partition", tile)

    each = wall(one_by_one)
    what = (
        f"{count} tiles in one run, against one run per partition ({sample} timed), "
        "start-up included"
    )
    return [row(what, first / count, each / sample, most=1 / 30, unit="seconds a tile, wall")]


def command(project: Project, module: str, stages: str, *which: str) -> None:
    """Run `dagster asset materialize`.

    Raises:
        RuntimeError: it failed.
    """
    home = project.root / "home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("dagster"),
            *("asset", "materialize", "-m", module, "--select", stages, *which),
        ],
        env={
            **os.environ,
            "DAGSTER_HOME": str(home),
            "SPATIAL_ASSETS_PROJECT": str(project.root),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"dagster asset materialize -m {module} failed:\n{done.stderr[-4000:]}")


def many_keys(folder: Path, count: int) -> list[Row]:
    """Compare the same tiles in a project of 100,000 keys and of 1,000, each loaded again."""
    costs = {}
    for keys in (32**2, 316**2):  # square numbers, within the limit of one asset
        project = tiny_tiles_project(folder / str(keys), max(keys, count))
        home = folder / f"home{keys}"
        tiles = project.partitioning.keys[:count]
        anew = load_project(project.root, env={})
        costs[keys] = wall(partial(run_range, anew, tiles, home)) / len(tiles) * 1000
    few, many = costs.values()
    what = f"run of {count:,} tiles through Dagster with 100,000 keys, against 1,000 keys"
    return [row(what, many, few, most=1.3, unit="ms a tile, wall")]


def prefect_map(folder: Path, count: int) -> list[Row]:
    """Compare a range run of one asset whose tiles do nothing with Prefect's `.map`.

    Raises:
        RuntimeError: no Python with Prefect is configured.
    """
    python = os.environ.get(PREFECT)
    if not python:
        raise RuntimeError(f"${PREFECT} names no Python that has Prefect; `make bench` makes one")
    done = subprocess.run(
        [python, Path(__file__).with_name("prefect_flow.py"), str(count)],
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the flow of Prefect failed:\n{done.stderr[-4000:]}")
    mapped, noted = map(float, done.stdout.split("seconds", 1)[1].split()[:2])
    keys = [str(number) for number in range(count)]
    ours = wall(lambda: run_nothing(keys, folder / "home"))
    what, unit = f"{count} tiles that do nothing, against Prefect's .map", "ms a tile, wall"
    each = [seconds / count * 1000 for seconds in (ours, mapped, noted)]
    return [
        row(f"{what}, until all are noted", each[0], each[2], most=1.0, unit=unit),
        row(f"{what}, whose notes follow later", each[0], each[1], most=None, unit=unit),
    ]
