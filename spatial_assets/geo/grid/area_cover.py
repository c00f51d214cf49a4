"""Squares of a regular grid that an area touches, found without testing all of them.

Coordinates are pixels: x to the right and y down from the grid's origin. Integers identify a
square; the floats of the area only decide whether it is touched.
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
    """Squares of one size that together cover an area."""

    columns: NDArray[np.int64]
    """Column index of each square."""

    rows: NDArray[np.int64]
    """Row index of each square."""

    size: int
    """Pixels along the side of a square; larger than requested if the limit was reached."""


def covering_squares(
    area: BaseGeometry, *, size: int, width: int, height: int, limit: int
) -> CoveringSquares:
    """Find the squares of `size` pixels that `area` touches in a grid of `width` x `height`.

    Starts with one square that covers the grid, halves repeatedly, and stops where the number of
    squares would exceed `limit`. The result then has the last size that did not exceed it, so
    estimating the number of squares of any size takes no more than `limit` squares.

    Args:
        area: polygons in pixel coordinates.
        size: requested size of the squares, in pixels.
        width: width of the grid, in pixels.
        height: height of the grid, in pixels.
        limit: largest number of squares to find.
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
    """Split each square into its four quarters."""
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
    """Keep the squares that the area touches, and mark those it contains."""
    unsure = np.flatnonzero(~inside)
    x, y = columns[unsure] * float(size), rows[unsure] * float(size)
    near, far = MIN_OVERLAP_PIXELS, size - MIN_OVERLAP_PIXELS
    boxes = shapely.box(x + near, y + near, x + far, y + far)
    touched = np.ones(len(columns), dtype=np.bool_)
    touched[unsure] = shapely.intersects(area, boxes)
    contained = inside.copy()
    # The quarters of a contained square are kept without another test.
    contained[unsure] = shapely.contains(area, shapely.box(x, y, x + size, y + size))
    return columns[touched], rows[touched], contained[touched]
