"""The one mask of a scene: source pixels that count, the same on the grid of every band.

A pixel counts in every band or in none. Two pixels of different grids belong together if one
contains the centre of the other: a pixel of 20 m belongs to its four pixels of 10 m, and each of
them to it. The mask is made on the coarsest grid of the bands, where a pixel counts only if all
pixels that belong to it, in every band and in the class band, are good; a finer pixel counts only
if the coarse one that contains its centre does. So bands of several resolutions see one sky.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.warp.bilinear import NUDGE, require_window
from spatial_assets.geo.warp.source_grid import SourceGrid

_STRIP_PIXELS: Final = 1 << 20
"""Pixels masked at a time: a scene much finer than the target has many more pixels than it."""


@dataclass(frozen=True, eq=False)
class GridMask:
    """Pixels of one file that are good: observed, or clear in the class band."""

    grid: SourceGrid
    """Grid of the whole file."""

    window: Window
    """Absolute window of `good` in the file."""

    good: NDArray[np.bool_]
    """True where good, shape (row, column) of `window`."""


@dataclass(frozen=True)
class GridWindow:
    """Absolute window of a grid in which the warp samples a band."""

    grid: SourceGrid
    window: Window


def counted_pixels(masks: Sequence[GridMask], sampled: Sequence[GridWindow]) -> list[GridMask]:
    """Return the pixels that count, on the grid of each band.

    Args:
        masks: good pixels of every band and of the class band; cover `window_to_read`.
        sampled: grid and window of each band.

    Returns:
        For each of `sampled` its grid and window, and True where a pixel counts.

    Raises:
        RasterError: the CRSs of the grids differ, or a mask covers too little.
    """
    coarsest = _coarsest(sampled)
    good = _all_good(masks, coarsest.grid, coarsest.window)
    reference = GridMask(coarsest.grid, coarsest.window, good)
    # what the masks of the coarsest grid say is in the reference
    others = [reference, *(mask for mask in masks if mask.grid != reference.grid)]
    return [
        GridMask(each.grid, each.window, good[each.window.slices_in(reference.window)])
        if each.grid == reference.grid
        else GridMask(each.grid, each.window, _all_good(others, each.grid, each.window))
        for each in sampled
    ]


def window_to_read(grid: SourceGrid, sampled: Sequence[GridWindow]) -> Window | None:
    """Absolute window of a file on `grid` that `counted_pixels` needs; None if there is none.

    Raises:
        RasterError: the CRSs of the grids differ.
    """
    found: Window | None = None
    for each in (_coarsest(sampled), *sampled):
        window = related_window(grid, each)
        if window is not None:
            found = window if found is None else found.hull(window)
    return found


def related_window(grid: SourceGrid, other: GridWindow) -> Window | None:
    """Absolute window of the pixels of `grid` that belong to those of `other`; None: outside.

    Raises:
        RasterError: the two grids are in different CRSs.
    """
    if other.grid == grid:
        return other.window
    (left, right), (top, bottom) = _related(grid, other)
    first_column, first_row = int(left.min()), int(top.min())
    width, height = int(right.max()) - first_column, int(bottom.max()) - first_row
    return Window(first_column, first_row, width, height).intersection(grid.window)


def carried(mask: GridMask, to: GridWindow) -> NDArray[np.bool_]:
    """Carry a mask to another grid: True where all pixels that belong to a pixel are good.

    A pixel that lies outside the file of the mask, or partly so, is not good.

    Raises:
        RasterError: the CRSs of the grids differ, or the mask covers too little.
    """
    result = np.zeros(to.window.shape, dtype=np.bool_)
    needed = related_window(mask.grid, to)
    if needed is None:
        return result
    require_window(needed, mask.window, mask.grid)
    (left, right), (top, bottom) = _related(mask.grid, to)
    rows = np.flatnonzero((top >= 0) & (bottom <= mask.grid.height))
    columns = np.flatnonzero((left >= 0) & (right <= mask.grid.width))
    if rows.size and columns.size:
        good = _all_along(mask.good, top[rows] - mask.window.row, bottom[rows] - mask.window.row, 0)
        start = mask.window.column
        good = _all_along(good, left[columns] - start, right[columns] - start, 1)
        result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = good
    return result


def _coarsest(sampled: Sequence[GridWindow]) -> GridWindow:
    """Grid with the largest pixels, the first of equals, and its pixels under all of `sampled`."""
    grid = max((each.grid for each in sampled), key=_pixel_area)
    windows = [related_window(grid, each) for each in sampled]
    window = next(each.window for each in sampled if each.grid is grid)
    for each in windows:
        window = window if each is None else window.hull(each)
    return GridWindow(grid, window)


def _pixel_area(grid: SourceGrid) -> float:
    return abs(float(grid.transform.a * grid.transform.e))


def _all_good(masks: Sequence[GridMask], grid: SourceGrid, window: Window) -> NDArray[np.bool_]:
    """True where all `masks` are good on `grid`."""
    result = np.ones(window.shape, dtype=np.bool_)
    for mask in masks:
        if mask.grid == grid:
            require_window(window, mask.window, grid)
            result &= mask.good[window.slices_in(mask.window)]
            continue
        for strip in _strips(window):
            result[strip.slices_in(window)] &= carried(mask, GridWindow(grid, strip))
    return result


def _strips(window: Window) -> Iterator[Window]:
    """Yield `window` in strips of rows."""
    rows = max(1, _STRIP_PIXELS // window.width)
    for top in range(window.row, window.row_stop, rows):
        yield Window(window.column, top, window.width, min(rows, window.row_stop - top))


Span = tuple[NDArray[np.int64], NDArray[np.int64]]
"""First index, and one past the last, of the pixels that belong to each pixel along one axis."""


def _related(grid: SourceGrid, other: GridWindow) -> tuple[Span, Span]:
    """Columns and rows of `grid` that belong to the columns and rows of `other`."""
    if other.grid.crs != grid.crs:
        message = (
            f"the bands of a scene must agree on their CRS: "
            f"{other.grid.crs.name} and {grid.crs.name}"
        )
        raise RasterError(message, reason="crs_mismatch")
    theirs, ours, window = other.grid.transform, grid.transform, other.window
    columns = np.arange(window.column, window.column_stop + 1, dtype=np.float64)
    rows = np.arange(window.row, window.row_stop + 1, dtype=np.float64)
    x, y = columns * theirs.a + theirs.c, rows * theirs.e + theirs.f
    return _spans((x - ours.c) / ours.a), _spans((y - ours.f) / ours.e)


def _spans(edges: NDArray[np.float64]) -> Span:
    """Indices that belong to pixels whose edges are given in pixels of the indexed grid."""
    centre = (edges[:-1] + edges[1:]) / 2.0
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    container = np.floor(centre + NUDGE)
    # pixels whose centre lies within; as many as start before the high and the low edge
    first, stop = np.ceil(low - NUDGE - 0.5), np.ceil(high - NUDGE - 0.5)
    first, stop = np.minimum(container, first), np.maximum(container + 1.0, stop)
    return first.astype(np.int64), stop.astype(np.int64)


def _all_along(
    good: NDArray[np.bool_], first: NDArray[np.int64], stop: NDArray[np.int64], axis: int
) -> NDArray[np.bool_]:
    """True where all of the elements `first` to `stop` along an axis are True."""
    result = good.take(first, axis=axis)
    for step in range(1, int((stop - first).max())):
        result &= good.take(np.minimum(first + step, stop - 1), axis=axis)
    return result
