"""The satellite's view of the landscape: granules of two UTM zones, on 20 m pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from spatial_assets.demo.landscape import lattice_place, to_lonlat
from spatial_assets.demo.noise import Field
from spatial_assets.geo.lonlat import CRS84

PIXEL = 20  # metres
CLASS_PIXEL = 2 * PIXEL  # the scene classification has half the resolution
_LATTICE = 64  # pixels between places that are projected; between them a straight line is exact

SWATH_LEAN = 0.22  # metres east per metre north of the edge of a descending orbit


@dataclass(frozen=True, kw_only=True)
class MadeGranule:
    """One square of the satellite's grid: a window of a UTM zone."""

    square: str
    """Name in the military grid, such as 33TYL."""

    epsg: int
    """Of its UTM zone."""

    bounds: tuple[float, float, float, float]
    """Lon/lat that it must cover: west, south, east, north."""

    @cached_property
    def corner(self) -> tuple[int, int]:
        """(x, y) of the top-left corner in metres, a multiple of the class pixel."""
        left, _, _, top = self._utm_bounds
        return int(left // CLASS_PIXEL) * CLASS_PIXEL, -int(-top // CLASS_PIXEL) * CLASS_PIXEL

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) in 20 m pixels, both even."""
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

    def places(self, pixel: int) -> tuple[Field, Field]:
        """(column, row) on the landscape's lattice of every pixel's middle, shape of the granule.

        Args:
            pixel: metres, of the bands or of the classification.
        """
        rows, columns = (size * PIXEL // pixel for size in self.shape)
        knots_x = np.arange(0, columns + _LATTICE, _LATTICE) + 0.5
        knots_y = np.arange(0, rows + _LATTICE, _LATTICE) + 0.5
        x = self.corner[0] + knots_x * pixel
        y = self.corner[1] - knots_y * pixel
        lon, lat = self._to_lonlat.transform(*np.meshgrid(x, y))
        column, row = lattice_place(lon, lat)
        return _between(column, rows, columns), _between(row, rows, columns)

    @cached_property
    def _to_lonlat(self) -> Transformer:
        return Transformer.from_crs(self.epsg, CRS84, always_xy=True)

    @cached_property
    def _utm_bounds(self) -> tuple[float, float, float, float]:
        west, south, east, north = self.bounds
        to_utm = Transformer.from_crs(CRS84, self.epsg, always_xy=True)
        return to_utm.transform_bounds(west, south, east, north, densify_pts=21)


def swath(east_of: float) -> BaseGeometry:
    """What the satellite saw in lon/lat: everything east of a leaning line.

    Args:
        east_of: metres east of the landscape's middle where the line crosses its parallel.
    """
    far = 100_000.0
    foot, head = east_of - SWATH_LEAN * far, east_of + SWATH_LEAN * far
    seen = shapely.Polygon([(foot, -far), (far, -far), (far, far), (head, far)])
    return shapely.transform(seen, to_lonlat)


@dataclass(frozen=True, eq=False)
class View:
    """How the pixels of a granule see the lattice; made once, used for every band and day."""

    column: NDArray[np.intp]
    """Lattice column left of each pixel's middle."""

    row: NDArray[np.intp]
    """Lattice row above it."""

    right: Field
    """How far it is to the next column, 0 to 1."""

    down: Field
    """How far it is to the next row, 0 to 1."""

    @classmethod
    def of(cls, granule: MadeGranule, pixel: int) -> View:
        """The view of a granule's pixels of a size in metres."""
        x, y = (place - np.float32(0.5) for place in granule.places(pixel))
        column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
        return cls(column, row, (x - column).astype(np.float32), (y - row).astype(np.float32))

    def smooth(self, values: Field) -> Field:
        """Values between the four cells around each pixel's middle."""
        start = self.row * values.shape[1] + self.column
        flat = values.ravel()
        top = _mixed(flat[start], flat[start + 1], self.right)
        start += values.shape[1]
        return _mixed(top, _mixed(flat[start], flat[start + 1], self.right), self.down)

    def nearest(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The value of the cell that holds each pixel's middle."""
        column = self.column + (self.right >= 0.5)  # noqa: PLR2004
        return values[self.row + (self.down >= 0.5), column]  # noqa: PLR2004


def _mixed(first: Field, second: Field, share: Field) -> Field:
    """From the first at share 0 to the second at share 1."""
    return first + (second - first) * share


def _between(knots: NDArray[np.float64], rows: int, columns: int) -> Field:
    """Values at every pixel from those at every 64th, by straight lines."""
    across = np.arange(columns) / _LATTICE
    whole = across.astype(np.intp)
    lines = knots[:, whole] + (knots[:, whole + 1] - knots[:, whole]) * (across - whole)
    down = np.arange(rows) / _LATTICE
    whole = down.astype(np.intp)
    share = (down - whole)[:, np.newaxis]
    filled: NDArray[np.float64] = lines[whole] + (lines[whole + 1] - lines[whole]) * share
    return filled.astype(np.float32)
