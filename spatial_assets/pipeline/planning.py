"""What a tile will cost, known before it starts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from spatial_assets.geo.grid import Tile
from spatial_assets.pipeline.failures import TooLargeError
from spatial_assets.pipeline.task import TileTask
from spatial_assets.project import Project

BASE_MB = 180
"""A worker with numpy, rasterio, zarr and shapely loaded, before its first pixel."""

BYTES_PER_PIXEL = 48
"""Per pixel of the tile: coordinates (2 x 8), two bands of float32 and masks, one int16 result,
one encoded copy. Measured with 2,048-pixel tiles, rounded up."""

BYTES_PER_LAYER_BAND = 2
"""Reprojected reflectance is int16."""


@dataclass(frozen=True)
class MemoryNeed:
    """What a worker needs for one tile, in megabytes."""

    pixels: int
    layers: int
    """Scenes of the fullest period."""

    bands: int
    total_mb: int

    def arithmetic(self) -> str:
        """The sum, for people."""
        return (
            f"{BASE_MB} MB for the process + {self.pixels:,} pixels x ({BYTES_PER_PIXEL} B + "
            f"{self.layers} scenes of one period x {self.bands} bands x "
            f"{BYTES_PER_LAYER_BAND} B) = {self.total_mb:,} MB"
        )


def memory_need(project: Project, task: TileTask) -> MemoryNeed:
    """Estimate a worker's peak for `task`, from its window and its fullest period."""
    per_period = Counter(task.periods.index_of(scene.solar_day) for scene in task.scenes)
    return need_of(project, task.tile, layers=max(per_period.values(), default=1))


def need_of(project: Project, tile: Tile, *, layers: int) -> MemoryNeed:
    """Estimate a worker's peak for a tile of whose fullest period there are `layers` scenes."""
    window = tile.window
    pixels = window.width * window.height
    bands = len(project.bands)
    per_pixel = BYTES_PER_PIXEL + layers * bands * BYTES_PER_LAYER_BAND
    total = BASE_MB + (pixels * per_pixel >> 20)
    return MemoryNeed(pixels, layers, bands, total)


def refuse_what_cannot_fit(project: Project, task: TileTask) -> None:
    """Refuse a tile before it starts rather than let the system kill its worker.

    Raises:
        TooLargeError: with the arithmetic and the ways out.
    """
    need = memory_need(project, task)
    limit = project.compute.for_tile(task.tile.key).memory_mb
    if need.total_mb > limit:
        message = (
            f"tile {task.tile.key} needs about {need.arithmetic()}, and [compute] memory_mb = "
            f"{limit}; take a finer [grid] level, raise memory_mb, or give the tile a profile"
        )
        raise TooLargeError(message)
