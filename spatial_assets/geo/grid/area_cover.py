"""Which squares of a regular grid an area touches, without looking at all of them.

Coordinates here are pixels: x to the right and y down from the grid's origin. A square is
named by integers; the area's floats only answer yes or no.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from spatial_assets.geo.mercator_tiles import MIN_OVERLAP_PIXELS


@dataclass(frozen=True, eq=False)
class CoveringSquares:
    """Squares of one size that together hold an area."""

    columns: NDArray[np.int64]
    """Column index of each square."""

    rows: NDArray[np.int64]
    """Row index of each square."""

    size: int
    """Pixels along the side of a square; more than asked for where the limit was reached."""


def covering_squares(
    area: BaseGeometry, *, size: int, width: int, height: int, limit: int
) -> CoveringSquares:
    """Squares of `size` pixels within a grid of `width` x `height` that `area` touches.

    Walks down from one square that holds all by halving, and stops where the number of squares
    passes `limit`: the answer then has the last larger size that did not, so counting what a
    level would cost needs no more than `limit` squares.

    Args:
        area: in pixel coordinates.
        size: of the squares wanted.
        width: of the grid, in pixels.
        height: of the grid, in pixels.
        limit: most squares looked for.
    """
    levels = max(0, int(-(-max(width, height) // size) - 1).bit_length())
    side = size << levels
    columns = rows = np.zeros(1, dtype=np.int64)
    inside = np.zeros(1, dtype=np.bool_)
    shapely.prepare(area)
    while side > size:
        half = side // 2
        across, down, whole = _children(columns, rows, inside)
        fits = (across * half < width) & (down * half < height)
        finer = _touched(area, across[fits], down[fits], whole[fits], size=half)
        if len(finer[0]) > limit:
            break
        columns, rows, inside = finer
        side = half
    if levels == 0:
        columns, rows, inside = _touched(area, columns, rows, inside, size=side)
    return CoveringSquares(columns, rows, side)


def _children(
    columns: NDArray[np.int64], rows: NDArray[np.int64], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """The four squares of half the size within each."""
    right, down = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    return (
        (columns[:, None] * 2 + right).ravel(),
        (rows[:, None] * 2 + down).ravel(),
        np.repeat(inside, 4),
    )


def _touched(
    area: BaseGeometry,
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    inside: NDArray[np.bool_],
    *,
    size: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Keep the squares that the area touches, noting those it holds whole."""
    unsure = np.flatnonzero(~inside)
    x, y = columns[unsure] * float(size), rows[unsure] * float(size)
    reach = size - MIN_OVERLAP_PIXELS
    boxes = shapely.box(x + MIN_OVERLAP_PIXELS, y + MIN_OVERLAP_PIXELS, x + reach, y + reach)
    touched = np.ones(len(columns), dtype=np.bool_)
    touched[unsure] = shapely.intersects(area, boxes)
    holds = inside.copy()
    # Whole squares are kept without asking again for any smaller square within.
    holds[unsure] = shapely.contains(area, shapely.box(x, y, x + size, y + size))
    return columns[touched], rows[touched], holds[touched]
