"""Choice of the kernel, made once per scene from its grids."""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
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


def _longest_axis(steps: NDArray[np.float64]) -> float:
    """Largest singular value of a 2 x 2 matrix, independent of the rotation between the grids."""
    squares = float((steps**2).sum())
    area = float(steps[0, 0] * steps[1, 1] - steps[0, 1] * steps[1, 0])
    return math.sqrt((squares + math.sqrt(max(squares**2 - 4.0 * area**2, 0.0))) / 2.0)
