"""Averaging one block of target pixels over the source pixels that each of them covers.

The sums are differences of running sums of whole numbers, which are exact, so where the running
sums start does not matter; only the last few products, each on its own pixel, are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.warp.lattice import Coordinates
from spatial_assets.geo.warp.source_grid import SourceGrid

LEAST_OBSERVED: Final = 0.5
"""Share of a target pixel's footprint that must be observed for the pixel to be valid."""

_NARROWEST: Final = 0.5
"""Least side of a footprint, as a share of the larger of its two diagonals' sides. GDAL's box of
opposite corners shrinks to nothing on a grid that is turned by 45 degrees; ours does not. On a
grid turned by less than 18 degrees the two are the same."""

_FLOAT_STEPS: Final = float(2**20)
"""Float input is summed in whole steps of 2^-20, a hundredth of what is stored afterwards."""

_LARGEST: Final = float(2**20)
"""Largest float input; beyond it lies no reflectance, only undeclared fill."""

FootprintSpans = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Low and high end of each target pixel's footprint along one axis, in source pixels."""


@dataclass(frozen=True, eq=False)
class PixelFootprints:
    """The box of source pixels that each target pixel of a block covers."""

    box: Window
    """Source pixels that are read, all of them in the file."""

    columns: FootprintSpans
    """Along the columns, clipped to the file."""

    rows: FootprintSpans
    """Along the rows, clipped to the file."""

    area: NDArray[np.float64]
    """Area before clipping, in source pixels; NaN where a corner has no place."""

    @classmethod
    def between(cls, corners: Coordinates, source: SourceGrid) -> PixelFootprints | None:
        """PixelFootprints between the corners of pixels; None if all of them miss the file."""
        columns, rows = _side(corners[0]), _side(corners[1])
        area = (columns[1] - columns[0]) * (rows[1] - rows[0])
        columns, rows = _clipped(columns, source.width), _clipped(rows, source.height)
        touching = (columns[1] > columns[0]) & (rows[1] > rows[0])
        if not touching.any():
            return None
        left, right = _extent(columns, touching)
        top, bottom = _extent(rows, touching)
        box = Window(left, top, right - left, bottom - top)
        return cls(box, columns, rows, np.where(touching, area, np.nan))


def sample_average(
    pixels: NDArray[Any], valid: NDArray[np.bool_], *, window: Window, footprints: PixelFootprints
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Means weighted by overlap, NaN where invalid, and True where valid.

    Args:
        pixels: of one band.
        valid: True where a pixel was observed and counts: clear sky.
        window: absolute source window of `pixels` and `valid`, which holds the footprints' box.
        footprints: where to sample.
    """
    inside = footprints.box.slices_in(window)
    observed = valid[inside]
    if np.issubdtype(pixels.dtype, np.floating):
        observed = observed & (np.abs(pixels[inside]) < _LARGEST)
        whole = np.rint(np.where(observed, pixels[inside], 0) * _FLOAT_STEPS).astype(np.int64)
        steps = _FLOAT_STEPS
    else:
        whole = np.where(observed, pixels[inside], 0).astype(np.int64)
        steps = 1.0
    total = _sum_over(whole, footprints)
    weight = _sum_over(observed.astype(np.int64), footprints)
    # A little less than half, so that exactly half is half whatever the last bit says.
    kept: NDArray[np.bool_] = weight >= footprints.area * (LEAST_OBSERVED - 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / (weight * steps)
    return np.where(kept, mean, np.nan).astype(np.float32), kept


def _side(corner: NDArray[np.float64]) -> FootprintSpans:
    """Extent of pixels along one axis, given that axis of their corners (one more each way)."""
    falling = (corner[:-1, :-1], corner[1:, 1:])
    rising = (corner[:-1, 1:], corner[1:, :-1])
    low, high = np.minimum(*falling), np.maximum(*falling)
    narrowest = _NARROWEST * np.maximum(high - low, np.abs(rising[1] - rising[0]))
    missing = np.maximum(narrowest - (high - low), 0.0) / 2.0
    return low - missing, high + missing


def _clipped(interval: FootprintSpans, size: int) -> FootprintSpans:
    """The part of `interval` in the file; NaN, a place that does not exist, becomes empty."""
    low, high = interval
    known = np.isfinite(low) & np.isfinite(high)
    return (
        np.clip(np.where(known, low, 0.0), 0.0, size),
        np.clip(np.where(known, high, 0.0), 0.0, size),
    )


def _extent(interval: FootprintSpans, touching: NDArray[np.bool_]) -> tuple[int, int]:
    """First pixel, and one past the last, of the intervals that are `touching` the file."""
    low = np.min(interval[0], where=touching, initial=np.inf)
    high = np.max(interval[1], where=touching, initial=-np.inf)
    return int(np.floor(low)), int(np.ceil(high))


def _sum_over(whole: NDArray[np.int64], footprints: PixelFootprints) -> NDArray[np.float64]:
    """Sum of `whole`, which covers the footprints' box, weighted by overlap.

    A footprint is three strips each way: a first pixel in part, whole pixels, a last in part.
    """
    running = np.zeros((whole.shape[0] + 2, whole.shape[1] + 2), dtype=np.int64)
    np.cumsum(whole, axis=0, out=running[1:-1, 1:-1])
    np.cumsum(running[1:-1, 1:-1], axis=1, out=running[1:-1, 1:-1])
    # one more row and column of sums, for a footprint that ends on the edge of the box
    running[-1, :] = running[-2, :]
    running[:, -1] = running[:, -2]
    flat, width = running.ravel(), running.shape[1]
    column_ends, column_parts = _strips(footprints.columns, footprints.box.column, whole.shape[1])
    row_ends, row_parts = _strips(footprints.rows, footprints.box.row, whole.shape[0])
    total = np.zeros(footprints.area.shape)
    above = [flat.take(row_ends[0] * width + end, mode="clip") for end in column_ends]
    for row_end, row_part in zip(row_ends[1:], row_parts, strict=True):
        below = [flat.take(row_end * width + end, mode="clip") for end in column_ends]
        band = [lower - upper for lower, upper in zip(below, above, strict=True)]
        across = np.zeros(total.shape)
        for index, column_part in enumerate(column_parts):
            across += (band[index + 1] - band[index]) * column_part
        total += across * row_part
        above = below
    return total


def _strips(
    interval: FootprintSpans, start: int, size: int
) -> tuple[list[NDArray[np.intp]], list[NDArray[np.float64] | float]]:
    """Four ends, from `start`, and three parts, of the strips of each interval.

    A part says how much of its strip counts. An interval within one pixel has a middle strip of
    minus one pixel, which makes the sum right.
    """
    low, high = interval
    first, last = np.floor(low), np.floor(high)
    ends = [
        np.clip(end - start, 0, size + 1).astype(np.intp)
        for end in (first, first + 1.0, last, last + 1.0)
    ]
    return ends, [first + 1.0 - low, 1.0, high - last]
