"""The innermost loops of the warp, compiled: the bits of the numpy ones, in one pass each.

Every operation, its order and its precision are those of `lattice`, `bilinear` and `radiometry`,
and nothing is contracted or reordered, so it does not matter which of the two ran. Importing this
module loads the compiler: see `loops`, which decides whether that pays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Machine code of `loop`, kept on disk where there is a place for it; frees the GIL."""
    to_machine_code: Callable[..., Any] = numba.njit
    try:
        kept: Loop = to_machine_code(nogil=True, error_model="numpy", cache=True)(loop)
    except RuntimeError:  # neither the package nor the user's cache folder can be written
        kept = to_machine_code(nogil=True, error_model="numpy")(loop)
    return kept


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
def sample_bilinear(  # noqa: PLR0913, PLR0917 - arrays and numbers only, as a compiled loop takes them
    pixels: NDArray[Any],
    valid: NDArray[np.bool_],
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
    corner: tuple[int, int],
    size: tuple[int, int],
    nudge: float,
    values: NDArray[np.float32],
    kept: NDArray[np.bool_],
) -> None:
    """As `bilinear.sample_bilinear`, into `values` and `kept`, where any pixel may be missing.

    Args:
        pixels: of one band, from `corner` on; all of them finite where `valid`.
        valid: True where a pixel was observed.
        places: absolute (column, row) of each target pixel.
        corner: absolute (column, row) of the first pixel.
        size: (columns, rows) of the whole file.
        nudge: see `bilinear.NUDGE`.
        values: written.
        kept: written.
    """
    height, width = pixels.shape
    zero, one = np.float32(0), np.float32(1)
    for r in range(values.shape[0]):
        for c in range(values.shape[1]):
            values[r, c] = np.nan
            kept[r, c] = False
            x, y = places[0][r, c], places[1][r, c]
            if not (x >= -nudge and x < size[0] - nudge and y >= -nudge and y < size[1] - nudge):
                continue
            first, above = np.floor(x - 0.5), np.floor(y - 0.5)
            part, below = (x - 0.5) - first, (y - 0.5) - above
            later, lower = part >= 0.5 - nudge, below >= 0.5 - nudge
            across, down = np.float32(part), np.float32(below)
            column, row = int(first) - corner[0], int(above) - corner[1]
            in_left, in_right = 0 <= column < width, 0 <= column + 1 < width
            in_top, in_bottom = 0 <= row < height, 0 <= row + 1 < height
            v0 = in_left and in_top and valid[row, column]
            v1 = in_right and in_top and valid[row, column + 1]
            v2 = in_left and in_bottom and valid[row + 1, column]
            v3 = in_right and in_bottom and valid[row + 1, column + 1]
            if not ((v3 if later else v2) if lower else (v1 if later else v0)):
                continue
            w0, w1 = (one - across) * (one - down), across * (one - down)
            w2, w3 = (one - across) * down, across * down
            total = zero
            total += (np.float32(pixels[row, column]) if v0 else zero) * w0
            total += (np.float32(pixels[row, column + 1]) if v1 else zero) * w1
            total += (np.float32(pixels[row + 1, column]) if v2 else zero) * w2
            total += (np.float32(pixels[row + 1, column + 1]) if v3 else zero) * w3
            if not (v0 and v1 and v2 and v3):
                share = zero
                share += w0 if v0 else zero
                share += w1 if v1 else zero
                share += w2 if v2 else zero
                share += w3 if v3 else zero
                total /= share
            values[r, c] = total
            kept[r, c] = True


@compiled
def sample_whole(
    pixels: NDArray[Any],
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
    corner: tuple[int, int],
    values: NDArray[np.float32],
) -> None:
    """As `sample_bilinear` where the four pixels around every place are there and valid."""
    width = pixels.shape[1]
    flat = pixels.reshape(pixels.size)
    zero, one = np.float32(0), np.float32(1)
    for r in range(values.shape[0]):
        for c in range(values.shape[1]):
            x, y = places[0][r, c] - 0.5, places[1][r, c] - 0.5
            first, above = np.floor(x), np.floor(y)
            across, down = np.float32(x - first), np.float32(y - above)
            at = np.uint64((int(above) - corner[1]) * width + (int(first) - corner[0]))
            under = at + np.uint64(width)
            total = zero
            total += np.float32(flat[at]) * ((one - across) * (one - down))
            total += np.float32(flat[at + np.uint64(1)]) * (across * (one - down))
            total += np.float32(flat[under]) * ((one - across) * down)
            total += np.float32(flat[under + np.uint64(1)]) * (across * down)
            values[r, c] = total


@compiled
def sample_nearest(
    classes: NDArray[Any],
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
    corner: tuple[int, int],
    size: tuple[int, int],
    nudge: float,
    result: NDArray[Any],
) -> None:
    """As `bilinear.sample_nearest`, into `result`, where a place lies in the file."""
    for r in range(result.shape[0]):
        for c in range(result.shape[1]):
            x, y = places[0][r, c], places[1][r, c]
            if x >= -nudge and x < size[0] - nudge and y >= -nudge and y < size[1] - nudge:
                column = np.uint64(int(np.floor(x + nudge)) - corner[0])
                row = np.uint64(int(np.floor(y + nudge)) - corner[1])
                result[r, c] = classes[row, column]


@compiled
def calibrate(  # noqa: PLR0913, PLR0917 - arrays and numbers only, as a compiled loop takes them
    numbers: NDArray[np.float32],
    seen: NDArray[np.bool_],
    scale: np.float32,
    offset: np.float32,
    limit: np.float32,
    steps: np.float32,
    fill: int,
    result: NDArray[np.int16],
) -> None:
    """As `radiometry.reflectance` and `radiometry.quantise`, into `result`.

    Args:
        numbers: digital numbers.
        seen: True where they were observed.
        scale: reflectance of one step of `numbers`.
        offset: reflectance of 0.
        limit: reflectance that cannot be stored any more.
        steps: stored steps of one unit.
        fill: stored where nothing is known.
        result: written.
    """
    for r in range(numbers.shape[0]):
        for c in range(numbers.shape[1]):
            value = numbers[r, c] * scale
            value += offset
            stored = np.int16(fill)
            if seen[r, c] and abs(value) < limit:
                stored = np.int16(np.rint(value * steps))
            result[r, c] = stored
