"""Project files of the benchmarks, all written here."""

from __future__ import annotations

import math
from pathlib import Path

from spatial_assets.project import Project, load_project

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

BASE_PIXELS = 256
"""Pixels along a side of a tile whose level is the zoom of its pixels."""

SQUARE_ZOOM = 14
WEST, NORTH = 8800, 5700
"""Column and row of the first tile of a square, at SQUARE_ZOOM."""

TEXT = """
[area]
bbox = [{bbox}]
[grid]
pixel_zoom = {zoom}
chunk = {chunk}
shard = {pixels}
level = {level}
[scenes]
catalog = "{scenes}"
sensor = "sentinel-2-l2a"
cloud_buffer = "0 m"
[time]
start = {start}
{more}
"""
ONE_MONTH = "end = 2023-08-31"


def write_project(  # noqa: PLR0913 - the keys of a project file
    folder: Path,
    *,
    bbox: Bounds,
    scenes: str | Path,
    zoom: int,
    pixels: int = 2048,
    more: str = ONE_MONTH,
    start: str = "2023-08-01",
) -> Project:
    """Write a project file and load the project.

    Args:
        folder: project folder; created if it does not exist.
        bbox: area of the project.
        scenes: path of the catalogue.
        zoom: zoom of the pixels.
        pixels: pixels along a side of a tile.
        more: lines of `[time]`, and any further lines of the project file.
        start: first day of the time axis.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = TEXT.format(
        bbox=", ".join(map(repr, bbox)),
        zoom=zoom,
        chunk=min(512, pixels),
        pixels=pixels,
        level=zoom - round(math.log2(pixels / BASE_PIXELS)),
        scenes=scenes,
        more=more,
        start=start,
    )
    (folder / "project.toml").write_text(text)
    return load_project(folder, env={})


def square(tiles: int) -> Bounds:
    """Bounds of a square of about this many tiles of 256 pixels."""
    across = math.isqrt(tiles)
    return (
        longitude(WEST + 0.25),
        latitude(NORTH + across - 0.25),
        longitude(WEST + across - 0.25),
        latitude(NORTH + 0.25),
    )


def longitude(column: float) -> float:
    """Western edge of a column of tiles, in degrees east."""
    return math.ldexp(column * 360.0, -SQUARE_ZOOM) - 180.0


def latitude(row: float) -> float:
    """Northern edge of a row of tiles, in degrees north."""
    turned = math.pi * (1.0 - math.ldexp(row, 1 - SQUARE_ZOOM))
    return math.degrees(math.atan(math.sinh(turned)))
