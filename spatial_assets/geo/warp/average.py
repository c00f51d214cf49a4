"""Averages over the source pixels that each target pixel of a block covers.

The sums are differences of running sums of integers, which are exact, so the start of the running
sums does not matter; only the last few products, separate for each pixel, are rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.warp.bilinear import Sampled
from spatial_assets.geo.warp.lattice import Coordinates
from spatial_assets.geo.warp.source_grid import SourceGrid

MIN_COUNTED_SHARE: Final = 0.5
"""Share of a target pixel's footprint that must count for the pixel to be valid."""

_MIN_SIDE_RATIO: Final = 0.5
"""Smallest side of a footprint, as a share of the larger side spanned by its two diagonals. GDAL's
box of opposite corners vanishes on a grid rotated by 45 degrees; ours does not. On a grid rotated
by less than 18 degrees the two are the same."""

_FLOAT_STEPS: Final = float(2**20)
"""Steps of one unit in which float input is summed: a hundred times finer than what is stored."""

FootprintSpans = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Low and high end of each target pixel's footprint along one axis, in source pixels."""


@dataclass(frozen=True, eq=False)
class PixelFootprints:
    """The box of source pixels that each target pixel of a block covers."""

    box: Window
    """Source pixels to read, all within the file."""

    columns: FootprintSpans
    """Spans along the columns, clipped to the file."""

    rows: FootprintSpans
    """Spans along the rows, clipped to the file."""

    area: NDArray[np.float64]
    """Area before clipping, in source pixels; NaN where a corner has no coordinates."""

    @classmethod
    def between(cls, corners: Coordinates, source: SourceGrid) -> PixelFootprints | None:
        """Build the footprints from the corners of pixels; None if all of them miss the file."""
        columns, rows = _spans(corners[0]), _spans(corners[1])
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
    bands: Sequence[NDArray[Any]],
    counted: NDArray[np.bool_],
    *,
    window: Window,
    footprints: PixelFootprints,
) -> Sampled:
    """Average bands over footprints, weighted by overlap.

    Args:
        bands: source pixels of each band.
        counted: True where a source pixel counts, in all bands.
        window: absolute source window of the bands; contains the footprints' box.
        footprints: footprints of the target pixels.
    """
    inside = footprints.box.slices_in(window)
    observed = counted[inside]
    weight = _sum_over(observed.astype(np.int64), footprints)
    # Slightly less than half, so that rounding cannot turn exactly half into less.
    valid: NDArray[np.bool_] = weight >= footprints.area * (MIN_COUNTED_SHARE - 1e-9)
    means = []
    for pixels in bands:
        whole, steps = _whole_numbers(np.where(observed, pixels[inside], 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = _sum_over(whole, footprints) / (weight * steps)
        means.append(np.where(valid, mean, np.nan).astype(np.float32))
    return means, valid


def _whole_numbers(pixels: NDArray[Any]) -> tuple[NDArray[np.int64], float]:
    """Pixels in whole steps, and the number of steps of one unit."""
    if np.issubdtype(pixels.dtype, np.floating):
        return np.rint(pixels * _FLOAT_STEPS).astype(np.int64), _FLOAT_STEPS
    return pixels.astype(np.int64), 1.0


def _spans(corner: NDArray[np.float64]) -> FootprintSpans:
    """Spans of pixels along one axis, from that axis of their corners (one more each way)."""
    falling = (corner[:-1, :-1], corner[1:, 1:])
    rising = (corner[:-1, 1:], corner[1:, :-1])
    low, high = np.minimum(*falling), np.maximum(*falling)
    smallest = _MIN_SIDE_RATIO * np.maximum(high - low, np.abs(rising[1] - rising[0]))
    missing = np.maximum(smallest - (high - low), 0.0) / 2.0
    return low - missing, high + missing


def _clipped(spans: FootprintSpans, size: int) -> FootprintSpans:
    """Clip spans to the file; NaN, a point without coordinates, becomes an empty span."""
    low, high = spans
    known = np.isfinite(low) & np.isfinite(high)
    return (
        np.clip(np.where(known, low, 0.0), 0.0, size),
        np.clip(np.where(known, high, 0.0), 0.0, size),
    )


def _extent(spans: FootprintSpans, touching: NDArray[np.bool_]) -> tuple[int, int]:
    """First pixel, and one past the last, of the spans that are `touching` the file."""
    low = np.min(spans[0], where=touching, initial=np.inf)
    high = np.max(spans[1], where=touching, initial=-np.inf)
    return int(np.floor(low)), int(np.ceil(high))


def _sum_over(whole: NDArray[np.int64], footprints: PixelFootprints) -> NDArray[np.float64]:
    """Sum `whole`, which covers the footprints' box, weighted by overlap.

    Along each axis a footprint has three strips: a partial pixel, whole pixels, a partial pixel.
    """
    running = np.zeros((whole.shape[0] + 2, whole.shape[1] + 2), dtype=np.int64)
    np.cumsum(whole, axis=0, out=running[1:-1, 1:-1])
    np.cumsum(running[1:-1, 1:-1], axis=1, out=running[1:-1, 1:-1])
    # an extra row and column of sums, for a footprint that ends on the edge of the box
    running[-1, :] = running[-2, :]
    running[:, -1] = running[:, -2]
    flat, width = running.ravel(), running.shape[1]
    column_ends, column_parts = _strips(footprints.columns, footprints.box.column, whole.shape[1])
    row_ends, row_parts = _strips(footprints.rows, footprints.box.row, whole.shape[0])
    total = np.zeros(footprints.area.shape)
    above = [flat.take(row_ends[0] * width + end, mode="clip") for end in column_ends]
    for row_end, row_part in zip(row_ends[1:], row_parts, strict=True):
        below = [flat.take(row_end * width + end, mode="clip") for end in column_ends]
        strip = [lower - upper for lower, upper in zip(below, above, strict=True)]
        across = np.zeros(total.shape)
        for index, column_part in enumerate(column_parts):
            across += (strip[index + 1] - strip[index]) * column_part
        total += across * row_part
        above = below
    return total


def _strips(
    spans: FootprintSpans, start: int, size: int
) -> tuple[list[NDArray[np.intp]], list[NDArray[np.float64] | float]]:
    """Four strip ends relative to `start`, and three weights, of the strips of each span.

    The weight is the share of its strip that counts. A span within one pixel has a middle strip
    of minus one pixel, which makes the sum correct.
    """
    low, high = spans
    first, last = np.floor(low), np.floor(high)
    ends = [
        np.clip(end - start, 0, size + 1).astype(np.intp)
        for end in (first, first + 1.0, last, last + 1.0)
    ]
    return ends, [first + 1.0 - low, 1.0, high - last]
