"""Pixel windows and their georeference. Integer indices decide; floats only describe."""

from __future__ import annotations

from dataclasses import dataclass

from affine import Affine
from pyproj import CRS

from spatial_assets.errors import GridError


@dataclass(frozen=True, order=True)
class Window:
    """A rectangle of absolute pixel indices, in a tile matrix or in one raster file."""

    column: int
    """Index of the leftmost pixel column, counted from the matrix's (or file's) origin."""

    row: int
    """Index of the topmost pixel row."""

    width: int
    """Number of columns, at least 1."""

    height: int
    """Number of rows, at least 1."""

    def __post_init__(self) -> None:
        """Refuse an empty rectangle; nothing downstream rechecks."""
        if self.width < 1 or self.height < 1:
            message = f"a window needs at least one pixel, got {self.width} x {self.height}"
            raise GridError(message)

    @property
    def column_stop(self) -> int:
        """One past the last column."""
        return self.column + self.width

    @property
    def row_stop(self) -> int:
        """One past the last row."""
        return self.row + self.height

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns), in numpy order."""
        return (self.height, self.width)

    def slices_in(self, outer: Window) -> tuple[slice, slice]:
        """Slices (row, column) of this window within an array that covers `outer`.

        Raises:
            GridError: this window is not inside `outer`.
        """
        inside = (
            outer.column <= self.column
            and outer.row <= self.row
            and self.column_stop <= outer.column_stop
            and self.row_stop <= outer.row_stop
        )
        if not inside:
            message = f"{self} is not inside {outer}"
            raise GridError(message)
        top, left = self.row - outer.row, self.column - outer.column
        return slice(top, top + self.height), slice(left, left + self.width)

    def intersection(self, other: Window) -> Window | None:
        """Window of the pixels in both, or None."""
        column, row = max(self.column, other.column), max(self.row, other.row)
        width = min(self.column_stop, other.column_stop) - column
        height = min(self.row_stop, other.row_stop) - row
        return Window(column, row, width, height) if width > 0 and height > 0 else None

    def hull(self, other: Window) -> Window:
        """Smallest window that contains both."""
        column, row = min(self.column, other.column), min(self.row, other.row)
        width = max(self.column_stop, other.column_stop) - column
        return Window(column, row, width, max(self.row_stop, other.row_stop) - row)


@dataclass(frozen=True, eq=False)
class GeoBox:
    """A window of a pixel grid whose `origin` is the transform of absolute pixel (0, 0)."""

    window: Window
    """Absolute pixel indices."""

    origin: Affine
    """(column, row) of an absolute pixel's top-left corner -> (x, y) in units of `crs`."""

    crs: CRS
    """Coordinate reference system of the grid."""

    @property
    def transform(self) -> Affine:
        """(column, row) in the window -> (x, y); for files and display, not to compute windows."""
        return self.origin @ Affine.translation(self.window.column, self.window.row)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) in units of `crs`, for a north-up grid."""
        left, top = self.origin @ (float(self.window.column), float(self.window.row))
        right, bottom = self.origin @ (float(self.window.column_stop), float(self.window.row_stop))
        return (left, bottom, right, top)
