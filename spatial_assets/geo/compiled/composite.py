"""The composite: stored reflectance to numbers, which index values count, and their median."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.compiled.compiler import compiled


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
    found = np.empty(stack.shape[0], dtype=np.float32)
    for r in range(stack.shape[1]):
        for c in range(stack.shape[2]):
            count = 0
            for layer in range(stack.shape[0]):
                value = stack[layer, r, c]
                if np.isfinite(value):
                    at = count
                    while at > 0 and found[at - 1] > value:
                        found[at] = found[at - 1]
                        at -= 1
                    found[at] = value
                    count += 1
            observations[r, c] = count
            stored = np.int16(fill)
            if count:
                middle = (found[(count - 1) >> 1] + found[count >> 1]) * np.float32(0.5)
                if abs(middle) < limit:
                    stored = np.int16(np.rint(middle * steps))
            values[r, c] = stored
