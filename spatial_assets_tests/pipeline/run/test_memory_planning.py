"""Memory of a tile is planned before it starts: never too little, and less than twice the use."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import Transformer

from spatial_assets.pipeline.engines.engine import InlineEngine, Results
from spatial_assets.pipeline.run.memory_planning import memory_need, need_of
from spatial_assets.pipeline.tile.task import TileTask
from spatial_assets.pipeline.tile.walk import Walker
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.pipeline_runs import run_tiles
from spatial_assets_tests.fixtures.two_zone_project import (
    CLOUD,
    VEGETATION,
    Granule,
    write_granule,
    write_project,
)
from spatial_assets_tests.servers.process import REPOSITORY

Job = TypeVar("Job")
Result = TypeVar("Result")

TILE = "1202303"
"""2,048 pixels at zoom 10, around 14.1 degrees east and 46.1 north."""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak is read from /proc"
)


class Capture(InlineEngine):
    """Engine that inspects scenes and keeps the first tile's work for another process."""

    def __init__(self) -> None:
        self.work: object = None
        self.task: TileTask | None = None

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        for job in jobs:
            if isinstance(work, Walker) and isinstance(job, TileTask):
                self.work, self.task = work, job
                return
            yield job, work(job)


def large_project(folder: Path, *, scenes: int, pixel: float) -> Project:
    """One tile of 2,048 pixels under scenes that cover all of it."""
    project = write_project(
        folder / "project",
        folder / "catalog",
        area={"bbox": [13.5, 45.5, 14.5, 46.5]},
        grid={"pixel_zoom": 10, "chunk": 512, "shard": 2048, "level": 7},
        time={"start": "2023-08-01", "end": "2023-08-31"},
    )
    middle = project.partitioning.tile(TILE).footprint(project.pixel_grid).centroid
    to_zone = Transformer.from_crs("OGC:CRS84", 32633, always_xy=True)
    x, y = to_zone.transform(middle.x, middle.y)
    edge = int(226_000 / pixel)
    noise = np.random.default_rng(1).integers(300, 1500, (edge, edge), dtype=np.uint16)
    clear = np.where(noise > 600, VEGETATION, CLOUD).astype(np.uint8)
    pixels: dict[str, NDArray[Any]] = {
        "red": noise,
        "nir": (noise * 3).astype(np.uint16),
        "scl": clear,
    }
    first = Granule(
        id="s0",
        left=round(x) - edge * pixel / 2,
        top=round(y) + edge * pixel / 2,
        pixel=pixel,
        columns=edge,
        rows=edge,
    )
    for number in range(scenes):
        granule = replace(first, id=f"s{number}", day=f"2023-08-{number + 1:02}")
        write_granule(folder / "catalog", granule, pixels=pixels, compress=None)
    return project


@pytest.mark.parametrize(("scenes", "pixel"), [(3, 80.0), (1, 45.0)], ids=["bilinear", "average"])
def test_the_estimate_is_at_least_the_peak_and_at_most_twice_it(
    scenes: int, pixel: float, tmp_path: Path
) -> None:
    project = large_project(tmp_path, scenes=scenes, pixel=pixel)
    capture = Capture()
    run_tiles(project, keys=[TILE], engine=capture)
    assert capture.task is not None
    file = tmp_path / "task.pickle"
    file.write_bytes(pickle.dumps((capture.work, capture.task)))

    told = subprocess.run(
        [sys.executable, "-m", "spatial_assets_tests.pipeline.run.peak_memory", str(file)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    need = memory_need(project, capture.task)
    assert told[0] == "materialized"
    assert need.layers == scenes
    peak = int(told[1])
    print(f"{pixel} m, {scenes} scenes: peak {peak} MB, {need.arithmetic()}")  # noqa: T201 - with -s
    assert peak <= need.total_mb <= 2 * peak


def test_more_of_anything_needs_more(tmp_path: Path) -> None:
    project = write_project(tmp_path, tmp_path)
    tile = project.partitioning.tile(project.partitioning.keys[0])

    one = need_of(project, tile, layers=1)
    many = need_of(project, tile, layers=100)
    large = need_of(project, tile, layers=1, raw_bytes=[1 << 30])

    assert one.total_mb < many.total_mb
    assert one.total_mb < large.total_mb
    assert f"{one.total_mb:,} MB" in one.arithmetic()
