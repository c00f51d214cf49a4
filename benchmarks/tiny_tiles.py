"""Projects of very many very small tiles, whose runs cost everything but pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.projects import ONE_MONTH, SQUARE_ZOOM, square, write_project
from benchmarks.scenes import write_granule
from spatial_assets.project import Project

PIXEL = 200.0
"""Pixel size of the scene in metres; reading it costs almost nothing."""

SHAPE = (900, 900)
BOX = (13.2, 46.6, 15.4, 48.0)


def tiny_tiles_project(folder: Path, tiles: int) -> Project:
    """A project of about `tiles` tiles of 256 pixels, in a square, under one coarse scene."""
    write_scene(folder / "scenes")
    return write_project(
        folder,
        bbox=square(tiles),
        scenes="scenes",
        zoom=SQUARE_ZOOM,
        pixels=256,
        more=f"{ONE_MONTH}\n[compute]\nworkers = 2",
    )


def write_scene(folder: Path) -> None:
    """Write one scene over the first thousands of tiles."""
    generator = np.random.default_rng(0)
    bands: dict[str, NDArray[Any]] = {
        "red": generator.normal(800, 60, SHAPE).astype(np.uint16),
        "nir": generator.normal(3000, 60, SHAPE).astype(np.uint16),
        "scl": np.full(SHAPE, 4, np.uint8),
    }
    sized = {band: (pixels, PIXEL) for band, pixels in bands.items()}
    write_granule(folder, sized, day=10, origin=(360_000.0, 5_330_000.0), box=BOX)
