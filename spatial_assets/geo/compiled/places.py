"""Where target pixels lie, and the class there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.compiled.compiler import compiled


@compiled
def interpolate(
    stencil: NDArray[np.float64],
    cells: NDArray[np.int64],
    offset: int,
    across: NDArray[np.float64],
    down: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    """Cubic places of the points of one row of lattice cells, along the columns first.

    Args:
        stencil: the four rows of nodes around the cells, shape (4, nodes).
        cells: of each column, the first of its four nodes, `offset` more.
        offset: number of the first cell.
        across: weights of each column, shape (4, columns).
        down: weights of each row, shape (rows, 4).
        result: written, shape (rows, columns).
    """
    rows, columns = result.shape
    line = np.empty((4, columns))
    for m in range(4):
        for c in range(columns):
            node = cells[c] - offset
            total = stencil[m, node] * across[0, c]
            total += stencil[m, node + 1] * across[1, c]
            total += stencil[m, node + 2] * across[2, c]
            total += stencil[m, node + 3] * across[3, c]
            line[m, c] = total
    for r in range(rows):
        d0, d1, d2, d3 = down[r, 0], down[r, 1], down[r, 2], down[r, 3]
        for c in range(columns):
            total = line[0, c] * d0
            total += line[1, c] * d1
            total += line[2, c] * d2
            total += line[3, c] * d3
            result[r, c] = total


@compiled
def sample_nearest(
    classes: NDArray[Any],
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
    corner: tuple[int, int],
    size: tuple[int, int],
    nudge: float,
    result: NDArray[Any],
) -> bool:
    """As `bilinear.sample_nearest`, into `result`, where a place lies in the file.

    Returns:
        Whether a pixel of the file was wanted and not given.
    """
    height, width = classes.shape
    is_lacking = False
    for r in range(result.shape[0]):
        for c in range(result.shape[1]):
            x, y = places[0][r, c], places[1][r, c]
            if x >= -nudge and x < size[0] - nudge and y >= -nudge and y < size[1] - nudge:
                column = int(np.floor(x + nudge)) - corner[0]
                row = int(np.floor(y + nudge)) - corner[1]
                if 0 <= column < width and 0 <= row < height:
                    result[r, c] = classes[row, column]
                else:
                    is_lacking = True
    return is_lacking
