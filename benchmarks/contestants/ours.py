"""The product: the whole chain with all stages stored, in one process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants.task import Contestant, Task, Tile
from benchmarks.direct_run import run_directly
from spatial_assets.pipeline.engines.engine import limit_process
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import load_project
from spatial_assets.stores.cube.cube import read_window
from spatial_assets.stores.objects.store import open_store


def work(task: Task) -> None:
    """Make the tiles; fail if one is not newly materialized."""
    walk(task, State.MATERIALIZED)


def rerun(task: Task) -> None:
    """Run the tiles again; fail if one is not found unchanged."""
    walk(task, State.UNCHANGED)


def walk(task: Task, expected: State) -> None:
    """Run the tiles in this process."""
    project = load_project(task.project, env={})
    limit_process(project.compute.gdal_cache_mb)  # like a worker of the product
    run_directly(project, [tile.key for tile in task.tiles], expected=expected)


def ndvi(task: Task, tile: Tile) -> NDArray[np.int16]:
    """Read the median index from the cube."""
    project = load_project(task.project, env={})
    window = project.partitioning.tile(tile.key).window
    values, _ = read_window(open_store(project.storage_url), "ndvi", period=0, window=window)
    return values


CONTESTANT = Contestant(
    name="spatial_assets",
    work=work,
    ndvi=ndvi,
    stores="raw windows, reflectance, NDVI and observations, with previews, manifests and rows",
    settings="As installed: checks on, DuckDB, a folder as storage.",
    packages=("spatial-assets", "numba", "rasterio", "numcodecs"),
)

UNCHANGED = Contestant(
    name="spatial_assets, nothing changed",
    work=rerun,
    ndvi=ndvi,
    stores="nothing new",
    settings="The same tiles again.",
)
