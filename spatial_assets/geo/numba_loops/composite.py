"""The composite: stored reflectance to numbers, which index values count, and their median."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.numba_loops.compiler import compiled


@compiled
def dequantise(
    stored: NDArray[np.int16],
    fill: int,
    steps: np.float32,
    values: NDArray[np.float32],
    known: NDArray[np.bool_],
) -> None:
    """As `radiometry.dequantise`, into `values`.

    Args:
        stored: quantised numbers.
        fill: stands for nothing known.
        steps: stored steps of one unit.
        values: written; NaN where nothing is known.
        known: becomes False there.
    """
    for r in range(stored.shape[0]):
        for c in range(stored.shape[1]):
            step = stored[r, c]
            values[r, c] = np.float32(step) / steps if step != fill else np.float32(np.nan)
            known[r, c] &= step != fill


@compiled
def keep(
    values: NDArray[np.float32],
    denominator: NDArray[np.float32],
    known: NDArray[np.bool_],
    low: np.float32,
    high: np.float32,
) -> tuple[int, int]:
    """As `index.apply_index`, of what the formulas gave; the rest becomes NaN.

    Args:
        values: of the index, written over.
        denominator: that it was divided by.
        known: True where every band was.
        low: least value that means something.
        high: largest.

    Returns:
        Number of pixels whose bands were known, and of those whose value means something.
    """
    computed = kept = 0
    for r in range(values.shape[0]):
        for c in range(values.shape[1]):
            value = values[r, c]
            # NaN and infinity are within no range
            is_kept = known[r, c] & (denominator[r, c] > 0) & (value >= low) & (value <= high)
            computed += known[r, c]
            kept += is_kept
            values[r, c] = value if is_kept else np.float32(np.nan)
    return computed, kept


@compiled
def median(
    stack: NDArray[np.float32],
    limit: np.float32,
    steps: np.float32,
    fill: int,
    values: NDArray[np.int16],
    observations: NDArray[np.uint16],
) -> None:
    """As `composite.composite` and `radiometry.quantise`, of the median.

    Args:
        stack: shape (layer, row, column), NaN where invalid.
        limit: the least number that cannot be stored.
        steps: stored steps of one unit.
        fill: stored where no layer is valid.
        values: written, shape (row, column).
        observations: written: the number of valid layers.
    """
    layers, rows, columns = stack.shape
    count, ordered = np.empty(columns, np.uint16), np.empty((layers, columns), np.float32)
    lower, upper = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for r in range(rows):
        _sort_row(stack, r, count, ordered)
        lower[:], upper[:] = ordered[0], ordered[0]
        for rank in range(1, layers // 2 + 1):
            for c in range(columns):
                lower[c] = ordered[rank, c] if (count[c] - 1) >> 1 == rank else lower[c]
                upper[c] = ordered[rank, c] if count[c] >> 1 == rank else upper[c]
        for c in range(columns):
            middle = (lower[c] + upper[c]) * np.float32(0.5)
            is_stored = (count[c] > 0) & (abs(middle) < limit)
            values[r, c] = np.int16(np.rint(middle * steps) if is_stored else np.float32(fill))
            observations[r, c] = count[c]


@compiled
def _sort_row(
    stack: NDArray[np.float32],
    r: int,
    count: NDArray[np.uint16],
    ordered: NDArray[np.float32],
) -> None:
    """Count the valid values of each pixel of a row, and put them in rising order.

    Neighbours are exchanged in turn, without a branch: several pixels go through the processor at
    a time. Infinity stands for a value that is not valid.
    """
    count[:] = 0
    for layer in range(ordered.shape[0]):
        for c in range(ordered.shape[1]):
            value = stack[layer, r, c]
            is_valid = np.isfinite(value)
            count[c] += np.uint16(is_valid)
            ordered[layer, c] = value if is_valid else np.float32(np.inf)
    for turn in range(ordered.shape[0]):
        for first in range(turn % 2, ordered.shape[0] - 1, 2):
            for c in range(ordered.shape[1]):
                one, other = ordered[first, c], ordered[first + 1, c]
                ordered[first, c] = min(other, one)
                ordered[first + 1, c] = max(one, other)
