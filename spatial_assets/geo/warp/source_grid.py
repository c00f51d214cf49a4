"""Pixel grids at the two ends of a warp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from affine import Affine
from pyproj import CRS

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import Window


@dataclass(frozen=True, kw_only=True)
class SourceGrid:
    """Pixel grid of one whole band file, north-up or south-up, never rotated."""

    transform: Affine
    """(column, row) of a pixel's corner in the file -> (x, y) in units of `crs`."""

    width: int
    """Number of columns of the file."""

    height: int
    """Number of rows of the file."""

    crs: CRS
    """Coordinate reference system; coordinates are always x (or longitude) first."""

    def __post_init__(self) -> None:
        """Refuse a grid that the kernels cannot sample; nothing downstream rechecks."""
        numbers = tuple(self.transform)[:6]
        if self.width < 1 or self.height < 1 or not all(map(math.isfinite, numbers)):
            message = f"not a pixel grid: {self.width} x {self.height} pixels, transform {numbers}"
            raise RasterError(message, reason="bad_grid")
        size = abs(self.transform.a * self.transform.e)
        if size == 0 or not math.isfinite(size) or not math.isfinite(1.0 / size):
            message = f"the pixels have no size: transform {numbers}"
            raise RasterError(message, reason="bad_grid")
        if self.transform.b != 0 or self.transform.d != 0:
            message = f"the grid is rotated (transform {numbers}); warp the file to a straight grid"
            raise RasterError(message, reason="rotated_grid")

    @property
    def window(self) -> Window:
        """Window of all pixels of the file."""
        return Window(0, 0, self.width, self.height)


class TargetGrid(Protocol):
    """A target pixel grid: a PixelGrid or a GeoBox."""

    @property
    def origin(self) -> Affine:
        """(column, row) of an absolute pixel's corner -> (x, y) in units of `crs`."""

    @property
    def crs(self) -> CRS:
        """Coordinate reference system of the grid."""
