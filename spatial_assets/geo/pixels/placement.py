"""Whether valid pixels lie where they can: in the tile's own shards, and on their files.

Whether a stored raster lies on the pixels of the grid: judged from what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.geo.grid.geobox import GeoBox
from spatial_assets.geo.verdict import Verdict
from spatial_assets.geo.warp.kernel_choice import pixel_ratio
from spatial_assets.geo.warp.lattice import Coordinates, crs_coordinates, to_source_pixels
from spatial_assets.geo.warp.source_grid import SourceGrid

STRIDE: Final = 8
"""Every eighth row and column is placed on the files: a shifted or mirrored raster shows there."""

MARGIN_PIXELS: Final = 1.0
"""Of the target: a pixel that is half on the file is valid, and its centre may lie off it."""


def judge_extent(
    valid: NDArray[np.bool_],
    *,
    owned: NDArray[np.bool_],
    box: GeoBox,
    files: Mapping[str, SourceGrid],
) -> Verdict:
    """Whether nothing is valid outside the owned shards, nor off a file that it was made of.

    The places are asked of PROJ point by point, not of the lattice that the warp uses.

    Args:
        valid: True where a value is about to be stored, shape (row, column) of `box`.
        owned: True where a pixel belongs to the tile, of the same shape.
        box: where the pixels lie.
        files: band -> pixel grid of the file it comes from.
    """
    beyond = int(np.count_nonzero(valid & ~owned))
    seen = valid[::STRIDE, ::STRIDE]
    off: dict[str, int] = {}
    for grid, names in _by_grid(files):
        count = _off(grid, box, seen) if seen.any() else 0
        off |= dict.fromkeys(names, count) if count else {}
    return Verdict(
        passed=not beyond and not off,
        evidence={
            "valid_outside_owned_shards": beyond,
            "valid_off_a_file": str(off or "none"),
            "places_looked_at": int(np.count_nonzero(seen)),
        },
    )


def _by_grid(files: Mapping[str, SourceGrid]) -> list[tuple[SourceGrid, list[str]]]:
    """The bands on each grid: most scenes have all of theirs on one."""
    found: list[tuple[SourceGrid, list[str]]] = []
    for name, grid in files.items():
        names = next((names for known, names in found if known == grid), None)
        if names is None:
            found.append((grid, [name]))
        else:
            names.append(name)
    return found


def _off(grid: SourceGrid, box: GeoBox, seen: NDArray[np.bool_]) -> int:
    """How many of the places that are seen are off a file by more than the margin."""
    margin = MARGIN_PIXELS * max(1.0, pixel_ratio(grid, box))
    column, row = to_source_pixels(grid, _places(box, grid.crs))
    on = (column >= -margin) & (column <= grid.width + margin)
    on &= (row >= -margin) & (row <= grid.height + margin)
    return int(np.count_nonzero(seen & ~on))


@lru_cache(maxsize=2)
def _places(box: GeoBox, crs: CRS) -> Coordinates:
    """(x, y) in `crs` of the pixels that are looked at: the scenes of a tile share them."""
    window = box.window
    columns, rows = np.arange(0, window.width, STRIDE), np.arange(0, window.height, STRIDE)
    u, v = np.meshgrid(columns + (window.column + 0.5), rows + (window.row + 0.5))
    return crs_coordinates(box, crs, u, v=v)


MAX_SHIFT_PIXELS = 1e-6
"""A GeoTIFF keeps doubles: what differs by more than rounding was computed elsewhere."""


def judge_alignment(
    transform: Affine, shape: tuple[int, int], *, crs: CRS, wanted: GeoBox
) -> Verdict:
    """Compare a raster's own placement with the integers of the grid.

    Args:
        transform: (column, row) -> (x, y) as read back from the file.
        shape: (rows, columns) of the file.
        crs: of the file.
        wanted: the window that the file is said to hold.
    """
    column, row = ~wanted.origin @ (transform.c, transform.f)
    far_column, far_row = ~wanted.origin @ (transform @ (float(shape[1]), float(shape[0])))
    window = wanted.window
    shift = max(
        abs(column - window.column),
        abs(row - window.row),
        abs(far_column - window.column_stop),
        abs(far_row - window.row_stop),
    )
    agrees = crs == wanted.crs
    return Verdict(
        passed=shift <= MAX_SHIFT_PIXELS and shape == window.shape and agrees,
        evidence={
            "shift_pixels": shift,
            "largest_shift_pixels": MAX_SHIFT_PIXELS,
            "shape": f"{shape[0]} x {shape[1]}",
            "wanted_shape": f"{window.height} x {window.width}",
            "crs_agrees": str(agrees),
        },
    )
