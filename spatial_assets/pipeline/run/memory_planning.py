"""Memory that a tile needs, estimated before it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from spatial_assets.geo import numba_loader
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.pipeline.failures import TooLargeError
from spatial_assets.pipeline.stages import REPROJECTED_RASTER
from spatial_assets.pipeline.tile.raw_tile import HELD_BYTES
from spatial_assets.pipeline.tile.task import TileTask
from spatial_assets.project import Project

# Measured as the peak of a worker's resident memory over tiles of 2,048 pixels, with 1 to 12
# scenes whose pixels are 0.3 to 1.3 of the target's, with and without boundaries.

BASE_MB = 210
"""A worker with numpy, rasterio, zarr and shapely loaded, before its first pixel."""

COMPILER_MB = 140
"""Additional memory of the compiled loops, which large tiles use."""

WORK_BYTES = 24
"""Bytes per pixel of the tile while a scene is warped or a period composed: masks, results and two
encoded copies; float32 values exist only in blocks."""

STATISTICS_BYTES = 96
"""Bytes per pixel of the tile while statistics are made: value, coverage, area and their products
as float64, where boundaries cover all of it."""

SCENE_COPIES = 2
"""Copies of the largest scene while it is read: its pixels, with masks or an encoded copy."""

LAYER_BYTES = 2
"""Bytes per pixel and band of a reprojected scene: int16."""

SOURCE_RATIO = 1.5
"""Pixels of a scene for each pixel of the tile, if its files are unknown."""


@dataclass(frozen=True)
class MemoryNeed:
    """Memory that a worker needs for one tile, in megabytes."""

    process_mb: int
    """Memory of a worker before its first pixel."""

    pixels: int
    layers: int
    """Number of scenes in the fullest period."""

    bands: int
    cache_mb: int
    """GDAL's block cache."""

    work_mb: int
    """Pixels of scenes, layers and results that exist at the same time."""

    total_mb: int

    def arithmetic(self) -> str:
        """Return the sum as text for the user."""
        return (
            f"{self.process_mb} MB for the process + {self.cache_mb:,} MB of GDAL cache + "
            f"{self.work_mb:,} MB for {self.pixels:,} pixels with {self.layers} scenes of one "
            f"period x {self.bands} bands = {self.total_mb:,} MB"
        )


def memory_need(project: Project, task: TileTask) -> MemoryNeed:
    """Estimate a worker's peak for `task`, from its window, its scenes and its fullest period."""
    days = [scene.solar_day for scene in (*task.scenes, *task.kept)]
    per_period = Counter(task.periods.index_of(day) for day in days)
    layers = max(per_period.values(), default=0) or len(task.manifest.units(REPROJECTED_RASTER))
    return need_of(project, task.tile, layers=max(layers, 1), raw_bytes=task.raw_bytes)


def need_of(
    project: Project, tile: Tile, *, layers: int, raw_bytes: Sequence[int] | None = None
) -> MemoryNeed:
    """Estimate a worker's peak for a tile.

    Args:
        project: its bands, boundaries and limits.
        tile: the tile.
        layers: scenes of the fullest period.
        raw_bytes: bytes to read of each scene; None: estimated from the pixels of the tile.
    """
    pixels, bands = tile.window.width * tile.window.height, len(project.bands)
    if raw_bytes is None:
        raw_bytes = [int(pixels * SOURCE_RATIO) * (2 * bands + 1)] * layers
    compute = project.compute.for_tile(tile.key)
    cached = min(compute.gdal_cache_mb << 20, sum(raw_bytes))
    held = _held(raw_bytes)
    composing = pixels * WORK_BYTES + max(held, layers * pixels * bands * LAYER_BYTES)
    reading = SCENE_COPIES * max(raw_bytes, default=0)
    summing = pixels * STATISTICS_BYTES if project.boundaries else 0
    cache_mb, work_mb = cached >> 20, max(composing + reading, summing) >> 20
    process_mb = BASE_MB + (COMPILER_MB if pixels >= numba_loader.MIN_COMPILED_PIXELS else 0)
    total = process_mb + cache_mb + work_mb
    return MemoryNeed(process_mb, pixels, layers, bands, cache_mb, work_mb, total)


def _held(raw_bytes: Sequence[int]) -> int:
    """Return the bytes of the scenes that are kept between reading and reprojecting."""
    held = 0
    for size in raw_bytes:
        if held + size <= HELD_BYTES:
            held += size
    return held


def require_memory(project: Project, task: TileTask) -> None:
    """Refuse a tile that does not fit in memory, before the system would kill its worker.

    Raises:
        TooLargeError: with the arithmetic and the remedies.
    """
    need = memory_need(project, task)
    limit = project.compute.for_tile(task.tile.key).memory_mb
    if need.total_mb > limit:
        message = (
            f"tile {task.tile.key} needs about {need.arithmetic()}, and [compute] memory_mb = "
            f"{limit}; choose a finer [grid] level, raise memory_mb, or give the tile a profile"
        )
        raise TooLargeError(message)
