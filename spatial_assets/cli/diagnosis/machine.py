"""Checks of memory and disk against the needs of the project, with the arithmetic."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from spatial_assets.cli.diagnosis.finding import Finding, failed, passed
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.project import Project
from spatial_assets.project.urls import is_url

MEGABYTE = 2**20

PROCESS_MB = 300  # Python with numpy, rasterio and zarr loaded
# A warp holds two float64 coordinates, and per band and class band a float32 value, its source
# and a mask; rounded up, since buffers of GDAL and codecs are not counted.
COORDINATE_BYTES = 32
BAND_BYTES = 16

PERIOD_BYTES = 4  # per pixel of one index: an int16 value and a uint16 count, uncompressed
MIN_FREE_MB = 256  # below this a database, log or cache fills the disk before pixels do


def memory(project: Project, available_mb: int | None = None) -> Finding:
    """Check that the largest tile fits a worker and all workers fit the machine."""
    compute = project.compute
    available_mb = machine_memory_mb() if available_mb is None else available_mb
    largest, need_mb = max(
        ((tile, tile_mb(project, tile)) for tile in project.partitioning.tiles.values()),
        key=lambda pair: pair[1] - compute.for_tile(pair[0].key).memory_mb,
    )
    allowed_mb = compute.for_tile(largest.key).memory_mb
    window = largest.window
    here = 0 if compute.dask else compute.workers  # a cluster has its own memory
    together_mb = here * compute.memory_mb
    detail = (
        f"tile {largest.key} of {window.width} x {window.height} pixels needs about {need_mb} of "
        f"{allowed_mb} MB; {here} workers x {compute.memory_mb} MB = {together_mb} MB "
        f"of {available_mb} MB"
    )
    if need_mb > allowed_mb:
        remedy = "raise [compute] memory_mb (or a profile's), or choose a finer [grid] level"
        return failed("memory", detail, remedy=remedy)
    if together_mb > available_mb:
        return failed("memory", detail, remedy="lower [compute] workers or memory_mb")
    return passed("memory", detail)


def tile_mb(project: Project, tile: Tile) -> int:
    """Return the approximate megabytes that a worker needs for a tile."""
    bands = len(project.bands) + (project.sensor.class_band is not None)
    pixels = tile.window.width * tile.window.height
    working = pixels * (COORDINATE_BYTES + bands * BAND_BYTES)
    cache_mb = project.compute.for_tile(tile.key).gdal_cache_mb
    return PROCESS_MB + cache_mb + -(-working // MEGABYTE)


def machine_memory_mb() -> int:
    """Return the memory that this process may use: the machine's, or the limit of its container."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
    return (min(machine, int(text)) if text.isdigit() else machine) // MEGABYTE


def disk(project: Project, free_mb: int | None = None) -> Finding:
    """Check that one period of the product fits the disk of the storage folder."""
    if is_url(project.storage_url):
        return passed("disk", f"{project.storage_url}: not on this machine")
    folder = nearest_folder(Path(project.storage_url))
    free_mb = shutil.disk_usage(folder).free // MEGABYTE if free_mb is None else free_mb
    tiles = project.partitioning.tiles.values()
    pixels = sum(len(tile.shards) for tile in tiles) * project.grid.shard**2
    period_mb = -(-pixels * PERIOD_BYTES * len(project.indices.names) // MEGABYTE)
    detail = (
        f"{free_mb:,} MB free for {pixels / 1e6:,.0f} million pixels x {PERIOD_BYTES} bytes x "
        f"{len(project.indices.names)} indices = {period_mb:,} MB per period before compression"
    )
    if free_mb < max(period_mb, MIN_FREE_MB):
        remedy = "free some space, or point [storage] url to a larger disk"
        return failed("disk", detail, remedy=remedy)
    return passed("disk", detail)


def nearest_folder(path: Path) -> Path:
    """Return the nearest existing folder at or above `path`."""
    return next(folder for folder in (path, *path.parents) if folder.exists())
