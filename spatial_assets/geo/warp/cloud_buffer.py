"""The margin round clouds: a disc of whole pixels of the class band, the same in every window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Geod

from spatial_assets.geo.clear_sky import Classes, ClearSky
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.lonlat import CRS84
from spatial_assets.geo.warp.lattice import transformer
from spatial_assets.geo.warp.source_grid import SourceGrid

_NOMINAL: Final = 0.02
"""Largest difference between the pixel size that a CRS states and that on the ground for the former
to count: UTM is within 0.1 % and must not turn 6 pixels of 20 m into 5; web-mercator is not."""

_MARGIN: Final = 1e-9
_WGS84: Final = Geod(ellps="WGS84")
_CRS84: Final = CRS.from_user_input(CRS84)


@dataclass(frozen=True)
class Disc:
    """Whole pixels whose centre lies within a radius round the centre of a pixel."""

    radius: float
    """Radius in metres on the ground."""

    width: float
    """Width of a pixel in metres on the ground."""

    height: float
    """Height of a pixel in metres on the ground."""

    @property
    def columns(self) -> int:
        """Number of columns on each side of the centre."""
        return math.floor(self.radius / self.width + _MARGIN)

    def rows_at(self, column: int) -> int:
        """Number of rows above and below the centre, `column` columns from it."""
        half = math.sqrt(max(self.radius**2 - (column * self.width) ** 2, 0.0))
        return math.floor(half / self.height + _MARGIN)

    def around(self, pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """True within the disc round every pixel that is True."""
        if not pixels.any():
            return pixels
        near, tall = pixels.copy(), pixels.copy()
        reach = [self.rows_at(column) for column in range(self.columns + 1)]
        done = 0
        for column in range(self.columns, -1, -1):  # from the shortest columns of the disc
            for row in range(done + 1, reach[column] + 1):
                tall[row:] |= pixels[:-row]
                tall[:-row] |= pixels[row:]
            done = reach[column]
            if column:
                near[:, column:] |= tall[:, :-column]
                near[:, :-column] |= tall[:, column:]
        near |= tall
        return near


def clear_outside_buffer(classes: Classes, clear: ClearSky, grid: SourceGrid) -> NDArray[np.bool_]:
    """True where the class is clear sky and no cloud or shadow is nearer than its margin.

    Args:
        classes: class numbers or flags; pixels nearer to the edge than the margin are not final.
        clear: rule of clear sky, with its margins.
        grid: grid of the class band's file.
    """
    result = clear.clear(classes)
    for radius, pixels in clear.buffered(classes):
        result &= ~disc_on(grid, radius).around(pixels)
    return result


def with_halo(window: Window, clear: ClearSky, grid: SourceGrid) -> Window:
    """Extend a window of the class band by the widest margin, within its file."""
    disc = disc_on(grid, clear.clouds.buffer.widest)
    columns, rows = disc.columns, disc.rows_at(0)
    larger = Window(
        window.column - columns,
        window.row - rows,
        window.width + 2 * columns,
        window.height + 2 * rows,
    )
    return larger.intersection(grid.window) or window


def disc_on(grid: SourceGrid, radius: float) -> Disc:
    """Disc of `radius` metres in the pixels of a file, by their size at its centre."""
    width, height = _pixel_metres(grid)
    return Disc(radius, width, height)


@lru_cache(maxsize=64)
def _pixel_metres(grid: SourceGrid) -> tuple[float, float]:
    """(width, height) on the ground of the pixel at the centre of a file, in metres."""
    column, row = grid.width / 2.0, grid.height / 2.0
    ends = [(column - 0.5, row), (column + 0.5, row), (column, row - 0.5), (column, row + 0.5)]
    x, y = zip(*(grid.transform @ end for end in ends), strict=True)
    longitude, latitude = transformer(grid.crs, _CRS84).transform(x, y)
    _, _, metres = _WGS84.inv(longitude[::2], latitude[::2], longitude[1::2], latitude[1::2])
    unit = grid.crs.axis_info[0].unit_conversion_factor if grid.crs.is_projected else 0.0
    stated = (abs(grid.transform.a) * unit, abs(grid.transform.e) * unit)
    width, height = (
        own if not abs(own - true) > _NOMINAL * own else true
        for own, true in zip(stated, metres, strict=True)
    )
    return float(width), float(height)
