"""Choices made once per scene from its grids: the kernel, and the match of its band grids."""

from __future__ import annotations

import math
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.warp.bilinear import NUDGE, require_window
from spatial_assets.geo.warp.lattice import pixel_coordinates, transformer
from spatial_assets.geo.warp.source_grid import SourceGrid, TargetGrid

Kernel: TypeAlias = Literal["bilinear", "average"]

MAX_BILINEAR_RATIO: Final = 2.0
"""Largest ratio of target to source pixel at which bilinear sampling skips no source pixel."""

_LONGEST_STEP: Final = 1e9
"""Source pixels per target pixel: no file has this many, and larger products overflow."""

_RATIO_MARGIN: Final = 1e-3
"""Tolerance that keeps a target of exactly twice the pixel size bilinear despite rounding."""


def choose_kernel(source: SourceGrid, target: TargetGrid) -> Kernel:
    """Choose the kernel for all pixels of a scene, by the ratio of pixel sizes at its centre.

    Raises:
        RasterError: the centre of `source` is not on the target's grid.
    """
    ratio = pixel_ratio(source, target)
    return "bilinear" if ratio <= MAX_BILINEAR_RATIO + _RATIO_MARGIN else "average"


def pixel_ratio(source: SourceGrid, target: TargetGrid) -> float:
    """Longest extent of a target pixel in source pixels, at the centre of `source`.

    Raises:
        RasterError: the centre of `source` is not on the target's grid.
    """
    x, y = source.transform @ (source.width / 2.0, source.height / 2.0)
    u, v = ~target.origin @ transformer(source.crs, target.crs).transform(x, y)
    # half a target pixel west, east, north and south of the centre
    around = np.array([[u - 0.5, u + 0.5, u, u], [v, v, v - 0.5, v + 0.5]])
    column, row = pixel_coordinates(source, target, around[0], v=around[1])
    steps = np.array(
        [[column[1] - column[0], column[3] - column[2]], [row[1] - row[0], row[3] - row[2]]]
    )
    if not (np.abs(steps) < _LONGEST_STEP).all():  # also refuses NaN
        message = f"the centre of the scene, ({x}, {y}) in {source.crs.name}, is not on the grid"
        raise RasterError(message, reason="off_the_grid")
    return _longest_axis(steps)


def classes_on_band_grid(
    classes: NDArray[Any],
    class_window: Window,
    *,
    class_grid: SourceGrid,
    band_grid: SourceGrid,
    band_window: Window,
    fill_value: int,
) -> NDArray[Any]:
    """Sample the class of the class pixel that contains each band pixel's centre.

    Args:
        classes: class numbers that cover the absolute `class_window` of `class_grid`.
        class_window: see `class_window_of`.
        class_grid: grid of the classes; may be coarser than the band's, or shifted by part of a
            pixel.
        band_grid: grid of the band, in the same CRS.
        band_window: requested absolute window of the band.
        fill_value: class to return where the class band has no pixel.

    Raises:
        RasterError: the CRSs differ, or `class_window` is too small.
    """
    needed = class_window_of(class_grid, band_grid, band_window=band_window)
    result = np.full(band_window.shape, fill_value, dtype=classes.dtype)
    if needed is None:
        return result
    require_window(needed, class_window, class_grid)
    columns, rows = _class_indices(class_grid, band_grid, band_window)
    at_row = np.flatnonzero((rows >= 0) & (rows < class_grid.height))
    at_column = np.flatnonzero((columns >= 0) & (columns < class_grid.width))
    result[np.ix_(at_row, at_column)] = classes[
        np.ix_(rows[at_row] - class_window.row, columns[at_column] - class_window.column)
    ]
    return result


def class_window_of(
    class_grid: SourceGrid, band_grid: SourceGrid, *, band_window: Window
) -> Window | None:
    """Absolute window of the class pixels that contain the pixel centres of `band_window`.

    Returns:
        The window within the class file, or None if there is none.

    Raises:
        RasterError: the two grids are in different CRSs.
    """
    columns, rows = _class_indices(class_grid, band_grid, band_window)
    left, top = int(columns.min()), int(rows.min())
    width, height = int(columns.max()) - left + 1, int(rows.max()) - top + 1
    return Window(left, top, width, height).intersection(class_grid.window)


def _class_indices(
    class_grid: SourceGrid, band_grid: SourceGrid, band_window: Window
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns and rows of the class pixels that contain the band's columns and rows."""
    if class_grid.crs != band_grid.crs:
        message = (
            f"the bands of a scene must agree on their CRS: "
            f"{band_grid.crs.name} and {class_grid.crs.name}"
        )
        raise RasterError(message, reason="crs_mismatch")
    band, other = band_grid.transform, class_grid.transform
    x = (np.arange(band_window.column, band_window.column_stop) + 0.5) * band.a + band.c
    y = (np.arange(band_window.row, band_window.row_stop) + 0.5) * band.e + band.f
    columns = np.floor((x - other.c) / other.a + NUDGE)
    rows = np.floor((y - other.f) / other.e + NUDGE)
    return columns.astype(np.int64), rows.astype(np.int64)


def _longest_axis(steps: NDArray[np.float64]) -> float:
    """Largest singular value of a 2 x 2 matrix, independent of the rotation between the grids."""
    squares = float((steps**2).sum())
    area = float(steps[0, 0] * steps[1, 1] - steps[0, 1] * steps[1, 0])
    return math.sqrt((squares + math.sqrt(max(squares**2 - 4.0 * area**2, 0.0))) / 2.0)
