"""Loops of the warp: coordinates of target pixels, and their stored reflectance."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.numba_loops.compiler import compiled
from spatial_assets.geo.warp.lattice import LatticeRows

Frame: TypeAlias = "tuple[tuple[int, int], tuple[int, int], float]"
"""Absolute (column, row) of the first source pixel; (columns, rows) of the whole file; and
`bilinear.NUDGE`."""

RowTaps: TypeAlias = "tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.bool_]]"
"""Index of the upper-left of the four pixels around each point of a row; their weights, shape
(4, columns); and True where the pixel that contains the point counts."""


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
def _neighbour_bits(counted: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Run `bilinear.neighbour_bits`, except in the last row and column, which are no upper-left."""
    rows, columns = counted.shape
    bits = np.zeros((rows, columns), np.uint8)
    for r in range(rows - 1):
        for c in range(columns - 1):
            bits[r, c] = (
                np.uint8(counted[r, c])
                | (np.uint8(counted[r, c + 1]) << np.uint8(1))
                | (np.uint8(counted[r + 1, c]) << np.uint8(2))
                | (np.uint8(counted[r + 1, c + 1]) << np.uint8(3))
            )
    return bits


@compiled
def _leave_out(
    bits: NDArray[np.uint8], points: NDArray[np.float64], nudge: float, taps: RowTaps
) -> None:
    """Run `Taps.leave_out` for a row of points, except those whose index is -1.

    Clouds are large, so most groups of neighbours have all their pixels, or none.

    Args:
        bits: see `bilinear.neighbour_bits`.
        points: shape (2, columns).
        nudge: see `bilinear.NUDGE`.
        taps: weights are overwritten.
    """
    group = 32
    at, weights, valid = taps
    flat, quads, all_four = bits.reshape(bits.size), np.empty(group, np.uint8), np.uint8(15)
    for start in range(0, at.shape[0], group):
        stop = min(start + group, at.shape[0])
        common, some = all_four, np.uint8(0)
        for c in range(start, stop):
            quad = flat[at[c]] if at[c] >= 0 else all_four
            quads[c - start] = quad
            common, some = common & quad, some | quad
        valid[start:stop] = common == all_four
        if common != all_four and some:
            part = slice(start, stop)
            _scale_up(quads, points[:, part], nudge, weights[:, part], valid[part])


@compiled
def _scale_up(
    quads: NDArray[np.uint8],
    points: NDArray[np.float64],
    nudge: float,
    weights: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> None:
    """Set weights of pixels that do not count to 0, and scale up the others to a sum of 1."""
    zero, one, all_four = np.float32(0), np.float32(1), np.uint8(15)
    for c in range(valid.shape[0]):
        quad = quads[c]
        x, y = points[0, c] - 0.5, points[1, c] - 0.5
        is_later, is_lower = x - np.floor(x) >= 0.5 - nudge, y - np.floor(y) >= 0.5 - nudge
        w0 = weights[0, c] if quad & 1 else zero
        w1 = weights[1, c] if quad & 2 else zero
        w2 = weights[2, c] if quad & 4 else zero
        w3 = weights[3, c] if quad & 8 else zero
        share = ((w0 + w1) + w2) + w3 if quad != all_four else one
        weights[0, c], weights[1, c] = w0 / share, w1 / share
        weights[2, c], weights[3, c] = w2 / share, w3 / share
        container = (8 if is_later else 4) if is_lower else (2 if is_later else 1)
        valid[c] = (quad & container) != 0


@compiled
def _at_edge(
    counted: NDArray[np.bool_],
    point: tuple[float, float],
    frame: Frame,
    weights: tuple[np.float32, ...],
) -> tuple[int, tuple[np.float32, ...], bool]:
    """Run `_leave_out` for one point, which lacks at least one of its four pixels.

    Returns:
        Index of the upper-left of four pixels that are present, -1 if the point is not valid;
        their weights; and True if `counted` lacks a required pixel of the file.
    """
    corner, size, nudge = frame
    x, y = point
    if not (x >= -nudge and x < size[0] - nudge and y >= -nudge and y < size[1] - nudge):
        return -1, weights, False
    height, width = counted.shape
    first, above = np.floor(x - 0.5), np.floor(y - 0.5)
    later, lower = (x - 0.5) - first >= 0.5 - nudge, (y - 0.5) - above >= 0.5 - nudge
    column, row = int(first) - corner[0], int(above) - corner[1]
    in_left, in_right = 0 <= column < width, 0 <= column + 1 < width
    in_top, in_bottom = 0 <= row < height, 0 <= row + 1 < height
    lacking = (not in_left and first >= 0) or (not in_right and first + 1 < size[0])
    lacking |= (not in_top and above >= 0) or (not in_bottom and above + 1 < size[1])
    v0 = in_left and in_top and counted[row, column]
    v1 = in_right and in_top and counted[row, column + 1]
    v2 = in_left and in_bottom and counted[row + 1, column]
    v3 = in_right and in_bottom and counted[row + 1, column + 1]
    if not ((v3 if later else v2) if lower else (v1 if later else v0)):
        return -1, weights, lacking
    zero = np.float32(0)
    w0, w1 = weights[0] if v0 else zero, weights[1] if v1 else zero
    w2, w3 = weights[2] if v2 else zero, weights[3] if v3 else zero
    share = ((w0 + w1) + w2) + w3
    w0, w1, w2, w3 = w0 / share, w1 / share, w2 / share, w3 / share
    if not (in_left and in_right):  # the same pixels as the other column of four that are present
        column, w0, w1, w2, w3 = (column - 1 if in_left else column + 1), w1, w0, w3, w2
    if not (in_top and in_bottom):
        row, w0, w1, w2, w3 = (row - 1 if in_top else row + 1), w2, w3, w0, w1
    return row * width + column, (w0, w1, w2, w3), lacking


@compiled
def _counted_taps(
    points: NDArray[np.float64],
    counted: NDArray[np.bool_],
    bits: NDArray[np.uint8],
    frame: Frame,
    taps: RowTaps,
) -> bool:
    """Set the taps of a row of points; True if a required pixel of the file is missing."""
    at, weights, valid = taps
    are_inside = _taps(points, frame[0], counted.shape, at, weights)
    if bits.size:
        _leave_out(bits, points, frame[2], taps)
    else:
        valid[:] = True
    is_lacking = False
    if not are_inside:
        for c in range(at.shape[0]):
            if at[c] < 0:
                own = (weights[0, c], weights[1, c], weights[2, c], weights[3, c])
                first, found, lacks = _at_edge(counted, (points[0, c], points[1, c]), frame, own)
                weights[0, c], weights[1, c], weights[2, c], weights[3, c] = found
                at[c], valid[c] = max(first, 0), first >= 0
                is_lacking |= lacks
    return is_lacking


@compiled
def _weighted(
    flat: NDArray[Any], width: int, first: int, weights: NDArray[np.float32], c: int
) -> np.float32:
    """Value of point `c` of a row, from four pixels that are present and finite."""
    i, under = np.uint32(first), np.uint32(first + width)
    number = np.float32(0)
    number += np.float32(flat[i]) * weights[0, c]
    number += np.float32(flat[i + np.uint32(1)]) * weights[1, c]
    number += np.float32(flat[under]) * weights[2, c]
    number += np.float32(flat[under + np.uint32(1)]) * weights[3, c]
    return np.float32(number)


@compiled
def _store_row(
    numbers: NDArray[np.float32],
    calibration: NDArray[np.float64],
    known: NDArray[np.bool_],
    stored: NDArray[np.int16],
) -> None:
    """Run `radiometry.stored_reflectance`; `known` is set to False where it stores `FILL`."""
    scale, offset, limit = calibration[0], calibration[1], calibration[2]
    steps, fill = calibration[3], calibration[4]
    for c in range(numbers.shape[0]):
        value = np.float64(numbers[c]) * scale
        value += offset
        is_stored = known[c] & (abs(value) < limit)  # NaN is not
        known[c] = is_stored
        stored[c] = np.int16(np.rint(value * steps) if is_stored else fill)


@compiled
def store_bilinear(
    bands: tuple[NDArray[Any], ...],
    counted: NDArray[np.bool_],
    calibrations: NDArray[np.float64],
    rows: LatticeRows,
    frame: Frame,
    output: tuple[tuple[NDArray[np.int16], ...], NDArray[np.bool_]],
) -> bool:
    """Run `bilinear.sample_bilinear` and `radiometry.stored_reflectance` in one pass.

    Args:
        bands: source pixels, of one type, finite, at least two rows and two columns.
        counted: True where a source pixel counts, in all bands.
        calibrations: for each band the scale, the offset, the smallest reflectance that cannot be
            stored, the stored steps of one unit, and the fill value; shape (band, 5).
        rows: coordinates of the target's pixels, see `lattice.LatticeRows`.
        frame: of the source pixels.
        output: stored numbers of each band; and True where a pixel is requested, set to False
            where a band is unknown.

    Returns:
        True if a required pixel of the file is missing from `bands`.
    """
    stored, known = output
    columns, width = known.shape[1], counted.shape[1]
    bits = _neighbour_bits(counted[: 0 if counted.all() else counted.shape[0]])
    nodes, points = np.empty((2, 4, columns)), np.empty((2, columns))
    at, weights = np.empty(columns, np.int32), np.empty((4, columns), np.float32)
    taps = (at, weights, np.empty(columns, np.bool_))
    numbers, steps = np.empty(columns, np.float32), np.empty((len(bands), columns), np.int16)
    is_lacking = False
    for r in range(known.shape[0]):
        _interpolate_row(rows, r, nodes, points)
        is_lacking |= _counted_taps(points, counted, bits, frame, taps)
        requested = known[r]
        requested &= taps[2]
        for b in range(len(bands)):
            flat = bands[b].reshape(bands[b].size)
            for c in range(columns):
                numbers[c] = _weighted(flat, width, at[c], weights, c)
            _store_row(numbers, calibrations[b], requested, steps[b])
        for b in range(len(bands)):
            fill = np.int16(calibrations[b, 4])
            for c in range(columns):
                stored[b][r, c] = steps[b, c] if requested[c] else fill
    return is_lacking
