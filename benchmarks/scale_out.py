"""Scaling: real tiles on more workers, and 100,000 simulated tiles on a Dask cluster.

`python -m benchmarks.scale_out` measures at full size and stores the rows as
results/scale_out.json, from which `python -m benchmarks.scale` writes docs/scale.md.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import results, tile_costs
from benchmarks.clusters import CpuMeter, cluster, cpu_seconds, resident_mb
from benchmarks.projects import write_project
from benchmarks.rows import Row, row
from benchmarks.scenes import WIDE_BBOX, Granules
from spatial_assets.pipeline.engines.dask_engine import ClusterEngine
from spatial_assets.pipeline.engines.engine import Engine, ProcessEngine
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.project import Project, load_project
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database

CACHE_MB = 256
WARM_UP_TILES = 4
"""Tiles that the workers of a cluster make before the measurement."""

BLOCK = 10
"""Number of parts of the simulated tiles; the last is compared with the first."""

TASK_BYTES, RESULT_BYTES = 15_000, 42_000
"""Pickled sizes of a tile of four scenes, as in the tests."""


def rows(folder: Path, scenes: Path, *, tiles: int, simulated: int, workers: int = 4) -> list[Row]:
    """Measure everything."""
    return [
        *strong_scaling(folder, scenes, tiles),
        *many_tiles(folder, simulated, workers),
        *tile_costs.rows(folder),
    ]


def strong_scaling(folder: Path, scenes: Path, tiles: int) -> list[Row]:
    """Compare the same tiles on more and more workers; each has made an unmeasured tile before."""
    found = {}
    for workers in (1, 2):
        engine = ProcessEngine(workers=workers, gdal_cache_mb=CACHE_MB)
        found[f"local {workers}"] = timed(folder / f"local{workers}", scenes, tiles, engine)
    for workers in (2, 4):
        with cluster(workers) as joined_by:
            place = folder / f"cluster{workers}"
            store = open_store(str(place / "data"))
            joined = ClusterEngine(address=joined_by.address, store=store, gdal_cache_mb=CACHE_MB)
            found[f"cluster {workers}"] = timed(place, scenes, tiles, joined)
    last = load_project(folder / "cluster4", env={})
    return [
        *tile_costs.read(scenes),
        *tile_costs.stored(last, tiles + WARM_UP_TILES),
        *of_scaling(f"{tiles} tiles of 2,048 pixels, 3 scenes", found),
    ]


def of_scaling(of: str, found: Mapping[str, tuple[float, float]]) -> list[Row]:
    """Rows that compare pairs of engines."""
    pairs = (
        ("2 local workers, against 1", "local 2", "local 1"),
        ("2 workers of a cluster, against 2 local ones", "cluster 2", "local 2"),
        ("4 workers of a cluster on 2 cores, against 2", "cluster 4", "cluster 2"),
    )
    units = ("CPU seconds a tile, all processes", "seconds a tile, wall")
    return [
        row(f"{of}: {what}", found[ours][clock], found[theirs][clock], most=None, unit=unit)
        for what, ours, theirs in pairs
        for clock, unit in enumerate(units)
    ]


def timed(folder: Path, scenes: Path, tiles: int, engine: Engine) -> tuple[float, float]:
    """CPU and wall seconds a tile, after a first tile for each worker."""
    project = write_project(folder, bbox=WIDE_BBOX, scenes=scenes, zoom=14)
    keys = project.partitioning.keys[8 : 8 + tiles + WARM_UP_TILES]
    if isinstance(engine, ClusterEngine):  # local workers are started again for each run
        list(made(project, keys[-WARM_UP_TILES:], engine))
    meter = CpuMeter()
    for _ in made(project, keys[:tiles], engine):
        meter.update()
    cpu, wall = meter.read()
    print(f"  {folder.name}: {cpu / tiles:.2f} CPU s, {wall / tiles:.2f} s a tile", flush=True)
    return cpu / tiles, wall / tiles


def made(project: Project, keys: tuple[str, ...], engine: Engine) -> Iterator[str]:
    """Make tiles; yield each when it is done."""
    with open_database(project.database_url) as database:
        pipeline = TilePipeline(
            project=project,
            store=open_store(project.storage_url),
            database=database,
            engine=engine,
            clock=lambda: dt.datetime.now(dt.UTC),
            owner="benchmark",
        )
        for outcome in pipeline.run(keys, stages=pipeline.chain.stages):
            if outcome.state not in {State.MATERIALIZED, State.UNCHANGED}:
                raise RuntimeError(f"{outcome.tile}: {outcome.state}: {outcome.bad_stage}")
            yield outcome.tile


@dataclass(frozen=True)
class Simulated:
    """A tile without work, whose pickle has the size of a real one."""

    label: str
    luggage: bytes


def simulate(tile: Simulated) -> bytes:
    """Return as many bytes as the result of a real tile."""
    return (tile.luggage * 3)[:RESULT_BYTES]


@dataclass(frozen=True)
class Block:
    """CPU cost of some simulated tiles in milliseconds a tile, and the memory held then."""

    driver: float
    scheduler: float
    wall: float
    driver_mb: float
    scheduler_mb: float


def many_tiles(folder: Path, count: int, workers: int) -> list[Row]:
    """Send tiles without work through a real cluster, to measure the driver and the scheduler."""
    with cluster(workers) as running:
        store = open_store(str(folder / "simulated"))
        engine = ClusterEngine(address=running.address, store=store, gdal_cache_mb=CACHE_MB)
        blocks = measured_blocks(engine, count, running.scheduler)
    first, last = blocks[0], blocks[-1]
    size = count // BLOCK
    what = f"{count:,} simulated tiles, {workers} workers, the last {size:,} against the first"
    unit = "ms CPU a tile"
    return [
        row(f"{what}: driver", last.driver, first.driver, most=1.3, unit=unit),
        row(f"{what}: scheduler", last.scheduler, first.scheduler, most=1.3, unit=unit),
        row(f"{what}: all", last.wall, first.wall, most=None, unit="ms a tile, wall"),
        row(f"{what}: memory of the driver", last.driver_mb, first.driver_mb, most=1.3, unit="MB"),
        row(
            f"{what}: memory of the scheduler",
            last.scheduler_mb,
            first.scheduler_mb,
            most=None,
            unit="MB",
        ),
    ]


def measured_blocks(engine: ClusterEngine, count: int, scheduler: int) -> list[Block]:
    """Run the tiles and read all clocks after each tenth of them."""
    luggage = os.urandom(TASK_BYTES)
    tiles = (Simulated(f"tile{number}", luggage) for number in range(count))
    size = count // BLOCK
    blocks = []
    clock = clocks(scheduler)
    for done, (tile, _) in enumerate(engine.run(simulate, tiles), start=1):
        if done % size:
            continue
        now = clocks(scheduler)
        driver, other, wall = (
            (after - before) / size * 1000 for after, before in zip(now, clock, strict=True)
        )
        held = resident_mb(os.getpid()), resident_mb(scheduler)
        blocks.append(Block(driver, other, wall, *held))
        print(f"  {tile.label}: {blocks[-1]}", flush=True)
        clock = clocks(scheduler)
    return blocks


def clocks(scheduler: int) -> tuple[float, float, float]:
    """CPU seconds of this process and of the scheduler, and wall time."""
    return time.process_time(), cpu_seconds(scheduler), time.perf_counter()


def main(tiles: int = 24, simulated: int = 100_000) -> None:
    """Measure and store the rows."""
    started, load = results.now(), results.load()
    with tempfile.TemporaryDirectory(prefix="spatial-assets-bench-") as scratch:
        scenes = Path(scratch) / "scenes"
        Granules(days=3, band_metres=10).make(scenes)
        found = rows(Path(scratch), scenes, tiles=tiles, simulated=simulated)
    versions = results.versions(["distributed", "rasterio"])
    loads = {"before": load, "after": results.load()}
    document = results.document(
        found, size="scale_out", started=started, load=loads, versions=versions
    )
    print(results.write(document))


if __name__ == "__main__":
    from benchmarks import scale_out  # noqa: PLW0406 - so that workers find `simulate` by its name

    scale_out.main(*map(int, sys.argv[1:]))
