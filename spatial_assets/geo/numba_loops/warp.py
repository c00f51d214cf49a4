"""Loops of the warp: coordinates of target pixels, their class, and their stored reflectance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.numba_loops.compiler import compiled
from spatial_assets.geo.warp.lattice import LatticeRows


@compiled
def _interpolate_row(
    rows: LatticeRows, r: int, lines: NDArray[np.float64], points: NDArray[np.float64]
) -> None:
    """Interpolate the absolute source (column, row) of the pixel centres of target row `r`.

    Rows must be requested in order, because `lines` is reused from row to row.

    Args:
        rows: see `lattice.LatticeRows`.
        r: index of the row, counted from the first row of the target.
        lines: the four rows of nodes around a row of cells, interpolated along the columns; shape
            (2, 4, columns).
        points: output, shape (2, columns).
    """
    nodes, first, across, down, top = rows
    cell, phase = divmod(top + r, down.shape[0])
    if r == 0 or phase == 0:
        for axis in range(2):
            for m in range(4):
                line, node = lines[axis, m], nodes[axis, cell + m]
                for c in range(line.shape[0]):
                    n = first[c]
                    total = node[n] * across[0, c]
                    total += node[n + 1] * across[1, c]
                    total += node[n + 2] * across[2, c]
                    total += node[n + 3] * across[3, c]
                    line[c] = total
    d0, d1, d2, d3 = down[phase, 0], down[phase, 1], down[phase, 2], down[phase, 3]
    for axis in range(2):
        for c in range(points.shape[1]):
            total = lines[axis, 0, c] * d0
            total += lines[axis, 1, c] * d1
            total += lines[axis, 2, c] * d2
            total += lines[axis, 3, c] * d3
            points[axis, c] = total


@compiled
def sample_nearest(
    classes: NDArray[Any],
    rows: LatticeRows,
    corner: tuple[int, int],
    size: tuple[int, int],
    nudge: float,
    result: NDArray[Any],
) -> bool:
    """Run `bilinear.sample_nearest` into `result`, where a point lies in the file.

    Returns:
        True if `classes` lacks a required pixel of the file.
    """
    height, width = classes.shape
    columns = result.shape[1]
    flat = classes.reshape(classes.size)
    lines, points = np.empty((2, 4, columns)), np.empty((2, columns))
    at = np.empty(columns, np.int32)
    is_lacking = False
    for r in range(result.shape[0]):
        _interpolate_row(rows, r, lines, points)
        for c in range(columns):
            x, y = points[0, c], points[1, c]
            is_inside = (x >= -nudge) & (x < size[0] - nudge)
            is_inside &= (y >= -nudge) & (y < size[1] - nudge)
            column, row = np.floor(x + nudge) - corner[0], np.floor(y + nudge) - corner[1]
            is_here = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            is_lacking |= is_inside & ~is_here
            index = np.int32(row) * np.int32(width) + np.int32(column)
            at[c] = index if is_inside & is_here else np.int32(-1)
        for c in range(columns):
            if at[c] >= 0:
                result[r, c] = flat[at[c]]
    return is_lacking


@compiled
def _taps(
    points: NDArray[np.float64],
    corner: tuple[int, int],
    shape: tuple[int, int],
    at: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> bool:
    """Index of the upper-left of the four pixels around each point of a row, and their weights.

    Returns:
        True if all pixels lie within `shape`, counted from `corner`; an index is -1 where they
        do not.
    """
    one, width = np.float32(1), shape[1]
    are_inside = True
    for c in range(at.shape[0]):
        x, y = points[0][c] - 0.5, points[1][c] - 0.5
        first, above = np.floor(x), np.floor(y)
        across, down = np.float32(x - first), np.float32(y - above)
        column, row = first - corner[0], above - corner[1]
        # no branch, so that the compiler can vectorize the loop; NaN is not inside
        is_inside = (column >= 0) & (column < width - 1) & (row >= 0) & (row < shape[0] - 1)
        are_inside &= is_inside
        at[c] = np.int32(row) * np.int32(width) + np.int32(column) if is_inside else -1
        weights[0, c] = (one - across) * (one - down)
        weights[1, c] = across * (one - down)
        weights[2, c] = (one - across) * down
        weights[3, c] = across * down
    return are_inside


@compiled
def _pixel(
    pixels: NDArray[Any],
    valid: NDArray[np.bool_],
    point: tuple[float, float],
    corner: tuple[int, int],
    size: tuple[int, int],
    nudge: float,
) -> tuple[np.float32, bool]:
    """Run `bilinear.sample_bilinear` at one point in the file, where any pixel may be missing.

    Returns:
        The value, NaN if invalid; and True if `pixels` lacks a required pixel of the file.
    """
    height, width = pixels.shape
    zero, one = np.float32(0), np.float32(1)
    x, y = point
    first, above = np.floor(x - 0.5), np.floor(y - 0.5)
    part, below = (x - 0.5) - first, (y - 0.5) - above
    later, lower = part >= 0.5 - nudge, below >= 0.5 - nudge
    across, down = np.float32(part), np.float32(below)
    column, row = int(first) - corner[0], int(above) - corner[1]
    in_left, in_right = 0 <= column < width, 0 <= column + 1 < width
    in_top, in_bottom = 0 <= row < height, 0 <= row + 1 < height
    lacking = (not in_left and first >= 0) or (not in_right and first + 1 < size[0])
    lacking |= (not in_top and above >= 0) or (not in_bottom and above + 1 < size[1])
    v0 = in_left and in_top and valid[row, column]
    v1 = in_right and in_top and valid[row, column + 1]
    v2 = in_left and in_bottom and valid[row + 1, column]
    v3 = in_right and in_bottom and valid[row + 1, column + 1]
    if not ((v3 if later else v2) if lower else (v1 if later else v0)):
        return np.float32(np.nan), lacking
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
    return total, lacking


@compiled
def _weighted(
    flat: NDArray[Any], width: int, first: int, weights: NDArray[np.float32], c: int
) -> np.float32:
    """Value of point `c` of a row, from four pixels that are present and valid."""
    i, under = np.uint32(first), np.uint32(first + width)
    number = np.float32(0)
    number += np.float32(flat[i]) * weights[0, c]
    number += np.float32(flat[i + np.uint32(1)]) * weights[1, c]
    number += np.float32(flat[under]) * weights[2, c]
    number += np.float32(flat[under + np.uint32(1)]) * weights[3, c]
    return np.float32(number)


@compiled
def _sample_row(  # noqa: PLR0913, PLR0917 - arrays and numbers only, as a compiled loop takes them
    pixels: NDArray[Any],
    valid: NDArray[np.bool_],
    points: NDArray[np.float64],
    at: NDArray[np.int32],
    weights: NDArray[np.float32],
    corner: tuple[int, int],
    size: tuple[int, int],
    nudge: float,
    requested: NDArray[np.bool_],
    numbers: NDArray[np.float32],
) -> bool:
    """Sample one row of a band pixel by pixel; True if a required pixel of the file is missing."""
    width = pixels.shape[1]
    flat, observed = pixels.reshape(pixels.size), valid.reshape(valid.size)
    is_lacking = False
    for c in range(numbers.shape[0]):
        numbers[c] = np.nan
        x, y = points[0, c], points[1, c]
        is_inside = x >= -nudge and x < size[0] - nudge and y >= -nudge and y < size[1] - nudge
        if is_inside and requested[c]:
            i, under = at[c], at[c] + width
            if i >= 0 and (observed[i] & observed[i + 1] & observed[under] & observed[under + 1]):
                numbers[c] = _weighted(flat, width, i, weights, c)
            else:
                numbers[c], lacks = _pixel(pixels, valid, (x, y), corner, size, nudge)
                is_lacking |= lacks
    return is_lacking


@compiled
def _store_row(
    numbers: NDArray[np.float32],
    calibration: NDArray[np.float32],
    known: NDArray[np.bool_],
    stored: NDArray[np.int16],
) -> None:
    """Run `radiometry.stored_reflectance`; `known` is set to False where it stores `FILL`."""
    scale, offset, limit = calibration[0], calibration[1], calibration[2]
    steps, fill = calibration[3], calibration[4]
    for c in range(numbers.shape[0]):
        value = numbers[c] * scale
        value += offset
        is_stored = known[c] & (abs(value) < limit)  # NaN is not
        known[c] = is_stored
        stored[c] = np.int16(np.rint(value * steps) if is_stored else fill)


@compiled
def store_bilinear(  # noqa: PLR0913, PLR0917 - arrays and numbers only, as a compiled loop takes them
    bands: tuple[NDArray[Any], ...],
    valid: tuple[NDArray[np.bool_], ...],
    is_whole: NDArray[np.bool_],
    calibrations: NDArray[np.float32],
    rows: LatticeRows,
    corner: tuple[int, int],
    size: tuple[int, int],
    nudge: float,
    stored: tuple[NDArray[np.int16], ...],
    known: NDArray[np.bool_],
) -> bool:
    """Run `bilinear.sample_bilinear` and `radiometry.stored_reflectance` in one pass.

    Args:
        bands: source pixels from `corner` on, of one type, all finite where valid.
        valid: True where a pixel of a band was observed.
        is_whole: for each band, True if all its pixels were observed.
        calibrations: for each band the scale, the offset, the smallest reflectance that cannot be
            stored, the stored steps of one unit, and the fill value; shape (band, 5).
        rows: coordinates of the target's pixels, see `lattice.LatticeRows`.
        corner: absolute (column, row) of the first source pixel.
        size: (columns, rows) of the whole file.
        nudge: see `bilinear.NUDGE`.
        stored: output of each band.
        known: True where a pixel is requested; set to False where a band is unknown.

    Returns:
        True if a required pixel of the file is missing from `bands`.
    """
    columns = known.shape[1]
    width = bands[0].shape[1]
    nodes, points = np.empty((2, 4, columns)), np.empty((2, columns))
    at, weights = np.empty(columns, np.int32), np.empty((4, columns), np.float32)
    numbers, steps = np.empty(columns, np.float32), np.empty((len(bands), columns), np.int16)
    is_lacking = False
    for r in range(known.shape[0]):
        _interpolate_row(rows, r, nodes, points)
        are_inside = _taps(points, corner, bands[0].shape, at, weights)
        requested = known[r]
        for b in range(len(bands)):
            band = bands[b]
            if are_inside and is_whole[b]:
                flat = band.reshape(band.size)
                for c in range(columns):
                    numbers[c] = _weighted(flat, width, at[c], weights, c)
            else:
                is_lacking |= _sample_row(
                    band, valid[b], points, at, weights, corner, size, nudge, requested, numbers
                )
            _store_row(numbers, calibrations[b], requested, steps[b])
        for b in range(len(bands)):
            fill = np.int16(calibrations[b, 4])
            for c in range(columns):
                stored[b][r, c] = steps[b, c] if requested[c] else fill
    return is_lacking
