"""Loops of the composite: stored reflectance to numbers, the range of an index, the median."""

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
    """Run `radiometry.dequantise` into `values`.

    Args:
        stored: quantised numbers.
        fill: stored number of an unknown value.
        steps: stored steps of one unit.
        values: output; NaN where unknown.
        known: set to False where unknown.
    """
    for r in range(stored.shape[0]):
        for c in range(stored.shape[1]):
            step = stored[r, c]
            values[r, c] = np.float32(step) / steps if step != fill else np.float32(np.nan)
            known[r, c] &= step != fill


@compiled
def keep_in_range(
    values: NDArray[np.float32],
    denominator: NDArray[np.float32],
    known: NDArray[np.bool_],
    low: np.float32,
    high: np.float32,
) -> tuple[int, int]:
    """Finish `evaluate_index.apply_index`: set values without a meaning to NaN.

    Args:
        values: index values, overwritten.
        denominator: divisor of each.
        known: True where every band is known.
        low: lowest value of the index's range.
        high: highest value of the index's range.

    Returns:
        Number of pixels whose bands are known, and of those whose value is kept.
    """
    computed = kept = 0
    for r in range(values.shape[0]):
        for c in range(values.shape[1]):
            value = values[r, c]
            # NaN and infinity are in no range
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
    """Run `composite.composite` with the median, and `radiometry.quantise`.

    Args:
        stack: shape (layer, row, column), NaN where invalid.
        limit: smallest magnitude that cannot be stored.
        steps: stored steps of one unit.
        fill: stored number where no layer is valid.
        values: output, shape (row, column).
        observations: output, the number of valid layers.
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
    """Count the valid values of each pixel of a row, and sort them in ascending order.

    Odd-even sort: neighbours are exchanged without a branch, so that the compiler can vectorize
    over the pixels. Infinity stands for an invalid value.
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
