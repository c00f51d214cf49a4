"""Downsampling of a large raster, part by part, to the mean of the known values in each cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Overview:
    """Cells of whole pixels that accumulate the parts of a raster of known shape."""

    def __init__(self, shape: tuple[int, int], longest: int) -> None:
        """Start with empty cells.

        Args:
            shape: (rows, columns) of the whole raster.
            longest: largest number of cells along the longer side.
        """
        self.pixels_of_a_cell = max(1, -(-max(shape) // longest))
        """Pixels along each side of a cell; the last row and column may have fewer."""

        rows, columns = (-(-size // self.pixels_of_a_cell) for size in shape)
        self._sums: NDArray[np.float64] = np.zeros((rows, columns))
        self._counts: NDArray[np.int64] = np.zeros((rows, columns), dtype=np.int64)

    def add(self, values: NDArray[np.floating], row: int, column: int) -> None:
        """Add a part, NaN where unknown, whose top-left pixel is at (row, column)."""
        known = np.isfinite(values)
        down, above = self._cells(row, values.shape[0])
        across, left = self._cells(column, values.shape[1])
        here = np.s_[above : above + len(down), left : left + len(across)]
        for total, each in ((self._sums, np.where(known, values, 0.0)), (self._counts, known)):
            columns = np.add.reduceat(each, down, axis=0, dtype=total.dtype)
            total[here] += np.add.reduceat(columns, across, axis=1, dtype=total.dtype)

    def _cells(self, first: int, length: int) -> tuple[NDArray[np.int64], int]:
        """Starts of the cells within a part, and the index of the first cell."""
        size = self.pixels_of_a_cell
        top = first // size
        starts = np.arange(top, (first + length - 1) // size + 1) * size - first
        return np.maximum(starts, 0), top

    def means(self) -> NDArray[np.float64]:
        """Mean of each cell, NaN where nothing is known, shape (rows, columns) of cells."""
        means: NDArray[np.float64] = np.full(self._sums.shape, np.nan)
        np.divide(self._sums, self._counts, out=means, where=self._counts > 0)
        return means


def downsampled(values: NDArray[np.floating], longest: int) -> NDArray[np.float64]:
    """Downsample a whole raster to at most `longest` cells along its longer side."""
    rows, columns = values.shape
    overview = Overview((rows, columns), longest)
    overview.add(values, 0, 0)
    return overview.means()
