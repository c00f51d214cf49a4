"""What Dagster adds to a tile: beside our own pipeline, the usual shape, and Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.ranges import CACHE_MB, WORKERS, run_nothing, run_range
from benchmarks.rows import Row, row, wall
from benchmarks.scenes import BBOX, make_scenes
from benchmarks.tiny import run_plainly, tiny_project
from spatial_assets.pipeline.engine import ProcessEngine
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project, load_project

PREFECT = "SPATIAL_ASSETS_BENCH_PREFECT"
"""Names a Python that has Prefect; without it that row is left out."""

DAYS = 3
BIG = """
[area]
bbox = {bbox}
[grid]
pixel_zoom = {zoom}
chunk = 512
shard = 2048
[scenes]
catalog = "{scenes}"
sensor = "sentinel-2-l2a"
[time]
start = 2023-08-01
end = 2023-08-31
"""


def rows(*, scale: float = 1.0) -> list[Row]:
    """All of it.

    Args:
        scale: share of the tiles to take, for a machine that is short of time.
    """
    found: list[Row] = []
    for part, tiles in (
        (small_tiles, 1000),
        (big_tiles, 200),
        (one_run_a_partition, 50),
        (many_keys, 1000),
        (prefect_map, 400),
    ):
        with tempfile.TemporaryDirectory(prefix="spatial-assets-bench-") as scratch:
            found += part(Path(scratch), max(4, round(tiles * scale)))
    return found


def small_tiles(folder: Path, count: int) -> list[Row]:
    """A range run of tiles that cost next to nothing, against the pipeline by itself."""
    plain, ours = (tiny_project(folder / name, 2 * count) for name in ("plain", "dagster"))
    tiles = plain.partitioning.keys[:count]
    engine = ProcessEngine(workers=WORKERS, gdal_cache_mb=CACHE_MB)
    without = wall(lambda: run_plainly(plain, tiles, engine=engine)) / count * 1000
    through = wall(lambda: run_range(ours, tiles, folder / "home")) / count * 1000
    what = f"range run of {count:,} tiles of 256 pixels, against the pipeline alone"
    return [row(what, through, without, most=None, unit="ms a tile, wall")]


def big_tiles(folder: Path, count: int) -> list[Row]:
    """Tiles of 2,048 pixels through Dagster and without it, and both again when nothing changed."""
    make_scenes(folder / "scenes", DAYS)
    zoom = 13 if count <= 12 else 15  # noqa: PLR2004 - as many as the scenes have at 13
    text = BIG.format(bbox=list(BBOX), zoom=zoom, scenes=folder / "scenes")
    projects = []
    for name in ("plain", "dagster"):
        (folder / name).mkdir()
        (folder / name / "project.toml").write_text(text)
        projects.append(load_project(folder / name, env={}))
    plain, ours = projects
    tiles = plain.partitioning.keys[:count]
    engine = ProcessEngine(workers=WORKERS, gdal_cache_mb=CACHE_MB)
    without = wall(lambda: run_plainly(plain, tiles, engine=engine, expected=None))
    through = wall(lambda: run_range(ours, tiles, folder / "home"))
    again = wall(lambda: run_plainly(plain, tiles, engine=engine, expected=State.UNCHANGED))
    again_through = wall(lambda: run_range(ours, tiles, folder / "home"))
    of = f"{len(tiles)} tiles of 2,048 pixels, {DAYS} scenes, {WORKERS} workers"
    unit = "seconds, wall"
    return [
        row(
            f"through Dagster (SQLite), against our pipeline: {of}",
            through,
            without,
            most=1.2,
            unit=unit,
        ),
        row(f"nothing to do, against the first run: {of}", again, without, most=0.1, unit=unit),
        row(
            f"nothing to do through Dagster, against the first run: {of}",
            again_through,
            through,
            most=0.1,
            unit=unit,
        ),
    ]


def one_run_a_partition(folder: Path, count: int) -> list[Row]:
    """A run of a range, start-up included, against a run a partition; of those, some are timed."""
    sample = 3
    ours, theirs = (tiny_project(folder / name, 100) for name in ("ours", "theirs"))
    tiles = ours.partitioning.keys[:count]
    range_of = f"{tiles[0]}...{tiles[-1]}"
    stages = ",".join(chain_of(ours).stages)
    first = wall(
        lambda: command(ours, "spatial_assets.definitions", stages, "--partition-range", range_of)
    )

    def one_by_one() -> None:
        for tile in tiles[:sample]:
            command(theirs, "benchmarks.usual_shape", stages, "--partition", tile)

    each = wall(one_by_one)
    what = (
        f"{count} tiles in one run, against one run a partition ({sample} timed), start-up included"
    )
    return [row(what, first / count, each / sample, most=1 / 30, unit="seconds a tile, wall")]


def command(project: Project, module: str, stages: str, *which: str) -> None:
    """Run `dagster asset materialize` to its end.

    Raises:
        CalledProcessError: it failed.
    """
    home = project.root / "home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    subprocess.run(
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
        check=True,
    )


def many_keys(folder: Path, count: int) -> list[Row]:
    """The same tiles of a project of 100,000 keys and of one of 1,000, each read anew."""
    costs = {}
    for keys in (1_000, 99_856):  # a square, and within what one asset may have
        project = tiny_project(folder / str(keys), max(keys, count))
        home = folder / f"home{keys}"
        tiles = project.partitioning.keys[:count]
        anew = load_project(project.root, env={})
        costs[keys] = wall(partial(run_range, anew, tiles, home)) / count * 1000
    few, many = costs.values()
    what = f"run of {count:,} tiles through Dagster with 100,000 keys, against 1,000 keys"
    return [row(what, many, few, most=1.3, unit="ms a tile, wall")]


def prefect_map(folder: Path, count: int) -> list[Row]:
    """Tiles that do nothing: a range run of one asset, against Prefect's `.map`."""
    python = os.environ.get(PREFECT)
    if not python:
        print(f"Prefect: left out; ${PREFECT} names no Python that has it", flush=True)
        return []
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
        check=True,
    )
    mapped, noted = map(float, done.stdout.split("seconds", 1)[1].split()[:2])
    keys = [str(number) for number in range(count)]
    ours = wall(lambda: run_nothing(keys, folder / "home"))
    what, unit = f"{count} tiles that do nothing, against Prefect's .map", "ms a tile, wall"
    each = [seconds / count * 1000 for seconds in (ours, mapped, noted)]
    return [
        row(f"{what}, until all are noted", each[0], each[2], most=1.0, unit=unit),
        row(f"{what}, whose notes follow later", each[0], each[1], most=None, unit=unit),
    ]
