"""Reading only: the pixels of each scene below each tile, by rasterio and by the product."""

from __future__ import annotations

import numpy as np
import rasterio
import rasterio.warp
import rasterio.windows
from numpy.typing import NDArray

from benchmarks.contestants.task import CRS, AbsentError, Contestant, Task, Tile
from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.source_access import source_access
from spatial_assets.catalog.rasters.inspect import inspect_scene
from spatial_assets.catalog.rasters.prefetch import prefetching
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.pipeline.tile.raw_tile import read_raw, remote_windows
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.project import Project, load_project


def theirs(task: Task) -> None:
    """Open, read the window, close: rasterio's first example."""
    for tile in task.tiles:
        for scene in task.scenes:
            for band in ("red", "nir", "scl"):
                with rasterio.open(scene / f"{band}.tif") as source:
                    bounds = rasterio.warp.transform_bounds(CRS, source.crs, *tile.bounds)
                    window = rasterio.windows.from_bounds(*bounds, source.transform)
                    source.read(1, window=window.round_offsets().round_lengths())


def ours(task: Task) -> None:
    """Inspect the scenes, then read as the first stage does."""
    project = load_project(task.project, env={})
    access = source_access(project)
    scenes = records(project)
    for tile in task.tiles:
        box = project.pixel_grid.geobox(project.partitioning.tile(tile.key).window)
        with prefetching(remote_windows(scenes, box, project.sensor.clear), access):
            for scene in scenes:
                read_raw(scene, box, access=access, clear=project.sensor.clear)


def records(project: Project) -> list[SceneRecord]:
    """Inspect the scenes of a project."""
    found = ((scene, inspect_scene(scene, project)) for scene in find_scenes(project).scenes)
    return [SceneRecord.of(scene, facts) for scene, facts in found if isinstance(facts, SceneFacts)]


def ndvi(task: Task, tile: Tile) -> NDArray[np.int16]:
    """Raise, because this contestant makes no index.

    Raises:
        AbsentError: always; `task` and `tile` are there for the common signature.
    """
    message = f"tile {tile.key} was only read: there is nothing in {task.folder}"
    raise AbsentError(message)


THEIRS = Contestant(
    name="rasterio, windows only",
    work=theirs,
    ndvi=ndvi,
    stores="nothing",
    settings="All of GDAL's defaults.",
    packages=("rasterio",),
)
OURS = Contestant(
    name="our reader, windows only",
    work=ours,
    ndvi=ndvi,
    stores="nothing",
    settings="As installed; looking into the scenes included.",
)
