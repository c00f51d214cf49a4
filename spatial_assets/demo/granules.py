"""Granules of two UTM zones with 20 m pixels, and the sampling of the landscape onto them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from spatial_assets.demo.landscape import lattice_coordinates, to_lonlat
from spatial_assets.demo.noise import FloatGrid
from spatial_assets.geo.lonlat import CRS84

PIXEL = 20  # metres
CLASS_PIXEL = 2 * PIXEL  # the scene classification has half the resolution
_NODE_SPACING = 64  # pixels between projected points; linear interpolation between them is exact

SWATH_LEAN = 0.22  # edge of a descending orbit, metres east per metre north


@dataclass(frozen=True, kw_only=True)
class DemoGranule:
    """A square of the military grid: a window of a UTM zone."""

    square: str
    """Name of the square, such as 33TYL."""

    epsg: int
    """EPSG code of its UTM zone."""

    bounds: tuple[float, float, float, float]
    """West, south, east, north in lon/lat that it must cover."""

    @cached_property
    def corner(self) -> tuple[int, int]:
        """Top-left corner (x, y) in metres, a multiple of the class pixel."""
        left, _, _, top = self._utm_bounds
        return int(left // CLASS_PIXEL) * CLASS_PIXEL, -int(-top // CLASS_PIXEL) * CLASS_PIXEL

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Shape (rows, columns) in 20 m pixels, both even."""
        _, bottom, right, _ = self._utm_bounds
        columns = -int(-(right - self.corner[0]) // CLASS_PIXEL)
        return -int(-(self.corner[1] - bottom) // CLASS_PIXEL) * 2, columns * 2

    @cached_property
    def footprint(self) -> BaseGeometry:
        """Outline in lon/lat."""
        (left, top), (rows, columns) = self.corner, self.shape
        box = shapely.box(left, top - rows * PIXEL, left + columns * PIXEL, top)
        x, y = shapely.get_coordinates(shapely.segmentize(box, 5_000.0)).T
        return shapely.Polygon(np.column_stack(self._to_lonlat.transform(x, y)))

    def lattice_coordinates(self, pixel: int) -> tuple[FloatGrid, FloatGrid]:
        """Coordinates (column, row) on the landscape's lattice of every pixel centre.

        Args:
            pixel: pixel size of the bands or of the classification, in metres.
        """
        rows, columns = (size * PIXEL // pixel for size in self.shape)
        knots_x = np.arange(0, columns + _NODE_SPACING, _NODE_SPACING) + 0.5
        knots_y = np.arange(0, rows + _NODE_SPACING, _NODE_SPACING) + 0.5
        x = self.corner[0] + knots_x * pixel
        y = self.corner[1] - knots_y * pixel
        lon, lat = self._to_lonlat.transform(*np.meshgrid(x, y))
        column, row = lattice_coordinates(lon, lat)
        return _between(column, rows, columns), _between(row, rows, columns)

    @cached_property
    def _to_lonlat(self) -> Transformer:
        return Transformer.from_crs(self.epsg, CRS84, always_xy=True)

    @cached_property
    def _utm_bounds(self) -> tuple[float, float, float, float]:
        west, south, east, north = self.bounds
        to_utm = Transformer.from_crs(CRS84, self.epsg, always_xy=True)
        return to_utm.transform_bounds(west, south, east, north, densify_pts=21)


def swath_polygon(east_of: float) -> BaseGeometry:
    """Area that the satellite observed, in lon/lat: everything east of an oblique line.

    Args:
        east_of: metres east of the landscape's centre at which the line crosses its parallel.
    """
    far = 100_000.0
    foot, head = east_of - SWATH_LEAN * far, east_of + SWATH_LEAN * far
    area = shapely.Polygon([(foot, -far), (far, -far), (far, far), (head, far)])
    return shapely.transform(area, to_lonlat)


@dataclass(frozen=True, eq=False)
class LandscapeSampler:
    """Positions of a granule's pixels on the lattice, computed once for all bands and days."""

    column: NDArray[np.intp]
    """Lattice column left of each pixel's centre."""

    row: NDArray[np.intp]
    """Lattice row above each pixel's centre."""

    right: FloatGrid
    """Fraction of the way to the next column, 0 to 1."""

    down: FloatGrid
    """Fraction of the way to the next row, 0 to 1."""

    @classmethod
    def of(cls, granule: DemoGranule, pixel: int) -> LandscapeSampler:
        """Build the sampler of a granule for a pixel size in metres."""
        x, y = (axis - np.float32(0.5) for axis in granule.lattice_coordinates(pixel))
        column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
        return cls(column, row, (x - column).astype(np.float32), (y - row).astype(np.float32))

    def bilinear(self, values: FloatGrid) -> FloatGrid:
        """Interpolate between the four cells around each pixel's centre."""
        start = self.row * values.shape[1] + self.column
        flat = values.ravel()
        top = _mixed(flat[start], flat[start + 1], self.right)
        start += values.shape[1]
        return _mixed(top, _mixed(flat[start], flat[start + 1], self.right), self.down)

    def nearest(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Value of the cell that contains each pixel's centre."""
        column = self.column + (self.right >= 0.5)  # noqa: PLR2004
        return values[self.row + (self.down >= 0.5), column]  # noqa: PLR2004


def _mixed(first: FloatGrid, second: FloatGrid, share: FloatGrid) -> FloatGrid:
    """Interpolate from the first at share 0 to the second at share 1."""
    return first + (second - first) * share


def _between(knots: NDArray[np.float64], rows: int, columns: int) -> FloatGrid:
    """Interpolate values at every 64th pixel linearly to every pixel."""
    across = np.arange(columns) / _NODE_SPACING
    whole = across.astype(np.intp)
    lines = knots[:, whole] + (knots[:, whole + 1] - knots[:, whole]) * (across - whole)
    down = np.arange(rows) / _NODE_SPACING
    whole = down.astype(np.intp)
    share = (down - whole)[:, np.newaxis]
    filled: NDArray[np.float64] = lines[whole] + (lines[whole + 1] - lines[whole]) * share
    return filled.astype(np.float32)
