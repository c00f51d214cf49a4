"""Source coordinates of target pixels: exact at lattice nodes, cubic between them.

Nodes lie on absolute multiples of 32 target pixels, each is transformed on its own, and
everything between them is elementwise arithmetic in a fixed order: the coordinates of a pixel
have the same bits in every window. A cell whose cubic misses an exact check point, near a pole,
the antimeridian or the edge of a projection, is transformed pixel by pixel instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, TypeAlias

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.grid.projections import full_turn
from spatial_assets.geo.warp.source_grid import SourceGrid, TargetGrid

Coordinates: TypeAlias = "tuple[NDArray[np.float64], NDArray[np.float64]]"
"""(column, row) or (x, y) of each point, NaN where it cannot be transformed."""

LatticeRows: TypeAlias = (
    "tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], int]"
)
"""Nodes, shape (2, rows, columns); for each target column the first of its four nodes, and their
weights, shape (4, columns); the weights of each phase of a row, shape (NODE_SPACING, 4); and the
number of rows from the first cell to the first pixel."""

NODE_SPACING: Final = 32
"""Target pixels between nodes."""

TOLERANCE: Final = 1e-4
"""Largest error of a cubic cell, in source pixels or, if they are larger, target pixels."""

_CHECK: Final = (13, 19)
"""(column, row) of a cell's check point: near the middle, where the cubic is worst, and off the
symmetry axes, where it could be right by accident."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Exact coordinates, in one source CRS, of the nodes around a target window."""

    target: GeoBox
    """Requested window on the absolute grid."""

    crs: CRS
    """Source coordinate reference system."""

    cells: Window
    """Lattice cells with the window's pixel centres and corners, in units of `NODE_SPACING`."""

    nodes: Coordinates
    """(x, y) in `crs`, shape (cells.height + 3, cells.width + 3): an extra node on every side."""

    checks: Coordinates
    """(x, y) in `crs` of one point of every cell, shape `cells.shape`."""

    @classmethod
    def around(cls, target: GeoBox, crs: CRS) -> Lattice:
        """Transform the nodes and check points of the cells that `target` touches.

        Raises:
            RasterError: the target's grid is rotated, or the CRSs have no transformation.
        """
        if target.origin.b != 0 or target.origin.d != 0:
            message = f"the target grid is rotated: {target.origin}"
            raise RasterError(message, reason="rotated_grid")
        window = target.window
        left, top = window.column // NODE_SPACING, window.row // NODE_SPACING
        # Right and bottom corners count; they lie in the cell after the last pixel.
        right, bottom = window.column_stop // NODE_SPACING, window.row_stop // NODE_SPACING
        cells = Window(left, top, right - left + 1, bottom - top + 1)
        columns = np.arange(left - 1, right + 3, dtype=np.float64) * NODE_SPACING
        rows = np.arange(top - 1, bottom + 3, dtype=np.float64) * NODE_SPACING
        nodes = np.meshgrid(columns, rows)
        checks = np.meshgrid(columns[1:-2] + _CHECK[0], rows[1:-2] + _CHECK[1])
        return cls(
            target,
            crs,
            cells,
            crs_coordinates(target, crs, nodes[0], v=nodes[1]),
            crs_coordinates(target, crs, checks[0], v=checks[1]),
        )


@dataclass(frozen=True, eq=False)
class SourceCoordinates:
    """Absolute source pixel coordinates of the pixels of a target window."""

    source: SourceGrid
    lattice: Lattice

    @cached_property
    def _nodes(self) -> Coordinates:
        return to_source_pixels(self.source, self.lattice.nodes)

    @cached_property
    def irregular(self) -> NDArray[np.bool_]:
        """True for a cell whose cubic is not accurate enough, shape `lattice.cells.shape`."""
        checks = to_source_pixels(self.source, self.lattice.checks)
        regular = np.ones(self.lattice.cells.shape, dtype=np.bool_)
        for nodes, exact in zip(self._nodes, checks, strict=True):
            rows, columns = exact.shape
            across = _combine([nodes[:, m : m + columns] for m in range(4)], _CHECK_WEIGHTS[0])
            interpolated = _combine([across[m : m + rows] for m in range(4)], _CHECK_WEIGHTS[1])
            spacing = np.abs(nodes[1:-2, 2:-1] - nodes[1:-2, 1:-2])
            spacing = np.maximum(spacing, np.abs(nodes[2:-1, 1:-2] - nodes[1:-2, 1:-2]))
            allowed = TOLERANCE * np.maximum(1.0, spacing / NODE_SPACING)
            # Written so that NaN, from a node that does not transform, is irregular.
            regular &= np.abs(interpolated - exact) <= allowed
        return ~regular

    @cached_property
    def _exact_cells(self) -> NDArray[np.bool_]:
        """True for an irregular cell with at least one node or check point that transforms."""
        known = np.isfinite(self._nodes[0])
        rows, columns = self.irregular.shape
        some = np.isfinite(self.lattice.checks[0])
        for row in range(4):
            for column in range(4):
                some |= known[row : row + rows, column : column + columns]
        return self.irregular & some

    def source_pixels_per_target_pixel(self) -> float:
        """Largest ratio of areas in the window, to plan memory; 1 if nothing transforms."""
        column, row = self._nodes
        across = (np.diff(column, axis=1)[:-1], np.diff(row, axis=1)[:-1])
        down = (np.diff(column, axis=0)[:, :-1], np.diff(row, axis=0)[:, :-1])
        areas = np.abs(across[0] * down[1] - across[1] * down[0]) / NODE_SPACING**2
        return float(np.fmax.reduce(areas, axis=None, initial=1.0))

    def lattice_rows(self) -> LatticeRows | None:
        """Pixel centres of the target for the compiled loops; None if a cell needs exact ones."""
        if self._exact_cells.any():
            return None
        window, cells = self.lattice.target.window, self.lattice.cells
        cell, weights = _along_columns(window.column, window.column_stop, 0.5)
        first = window.row - cells.row * NODE_SPACING
        return np.array(self._nodes), cell - cells.column, weights, _WEIGHTS[0.5], first

    def centres(self, window: Window) -> Coordinates:
        """Coordinates (column, row) of the pixel centres of `window`, shape `window.shape`."""
        return self._coordinates(window, 0.5)

    def corners(self, window: Window) -> Coordinates:
        """Coordinates of the pixel corners of `window`, one more row and column than pixels."""
        larger = Window(window.column, window.row, window.width + 1, window.height + 1)
        return self._coordinates(larger, 0.0)

    def _coordinates(self, window: Window, shift: float) -> Coordinates:
        """Coordinates of the points at (column + shift, row + shift) of `window`."""
        column, row = (self._interpolate(nodes, window, shift=shift) for nodes in self._nodes)
        if self._exact_cells.any():
            self._replace_by_exact((column, row), window, shift=shift)
        return column, row

    def _interpolate(
        self, nodes: NDArray[np.float64], window: Window, *, shift: float
    ) -> NDArray[np.float64]:
        """Cubic interpolation of `nodes`, along the columns first."""
        cells = self.lattice.cells
        cell, across = _along_columns(window.column, window.column_stop, shift)
        row, phase = np.divmod(np.arange(window.row, window.row_stop), NODE_SPACING)
        first, last = int(row[0]), int(row[-1])
        rows = nodes[first - cells.row : last - cells.row + 4]
        lines = _combine([rows[:, cell - cells.column + m] for m in range(4)], list(across))
        down = _WEIGHTS[shift][phase].T[:, :, np.newaxis]
        at = row - first if last > first else slice(1)  # a single row of cells needs no copy
        return _combine([lines[m:][at] for m in range(4)], list(down))

    def _replace_by_exact(self, coordinates: Coordinates, window: Window, *, shift: float) -> None:
        """Overwrite the points of irregular cells, each transformed on its own."""
        cells = self.lattice.cells
        rows = np.arange(window.row, window.row_stop)
        columns = np.arange(window.column, window.column_stop)
        inexact = self._exact_cells[
            np.ix_(rows // NODE_SPACING - cells.row, columns // NODE_SPACING - cells.column)
        ]
        at_row, at_column = np.nonzero(inexact)
        if not at_row.size:
            return
        u = (columns[at_column] + shift).astype(np.float64)
        v = (rows[at_row] + shift).astype(np.float64)
        exact = pixel_coordinates(self.source, self.lattice.target, u, v=v)
        for axis, value in zip(coordinates, exact, strict=True):
            axis[at_row, at_column] = value


@lru_cache(maxsize=16)
def _along_columns(
    start: int, stop: int, shift: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Absolute lattice cells and weights, shape (4, columns), of absolute columns."""
    cell, phase = np.divmod(np.arange(start, stop), NODE_SPACING)
    return cell.astype(np.int64), np.ascontiguousarray(_WEIGHTS[shift][phase].T)


def _combine(
    parts: list[NDArray[np.float64]], weights: Sequence[NDArray[np.float64] | float]
) -> NDArray[np.float64]:
    """Weighted sum in the given order; elementwise, so the bits do not depend on the shape."""
    total: NDArray[np.float64] = parts[0] * weights[0]
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        total += part * weight
    return total


def _cubic_weights(t: float) -> list[float]:
    """Lagrange weights of the nodes at -1, 0, 1 and 2 for a point at `t`."""
    return [
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    ]


_CHECK_WEIGHTS: Final = tuple(_cubic_weights(offset / NODE_SPACING) for offset in _CHECK)
_WEIGHTS: Final = {
    shift: np.array([_cubic_weights((n + shift) / NODE_SPACING) for n in range(NODE_SPACING)])
    for shift in (0.0, 0.5)
}


def pixel_coordinates(
    source: SourceGrid, target: TargetGrid, u: NDArray[np.float64], *, v: NDArray[np.float64]
) -> Coordinates:
    """Exact (column, row) in `source` of absolute target coordinates (u, v)."""
    return to_source_pixels(source, crs_coordinates(target, source.crs, u, v=v))


def crs_coordinates(
    target: TargetGrid, crs: CRS, u: NDArray[np.float64], *, v: NDArray[np.float64]
) -> Coordinates:
    """Exact (x, y) in `crs` of absolute target coordinates (u, v), NaN where undefined."""
    x = u * target.origin.a + target.origin.c
    y = v * target.origin.e + target.origin.f
    crs_x, crs_y = transformer(target.crs, crs).transform(x, y)
    known = np.isfinite(crs_x) & np.isfinite(crs_y)
    return np.where(known, crs_x, np.nan), np.where(known, crs_y, np.nan)


@lru_cache(maxsize=64)
def transformer(start: CRS, end: CRS) -> Transformer:
    """Transformer from one CRS to another, x (or longitude) first.

    Raises:
        RasterError: PROJ knows no transformation.
    """
    try:
        return Transformer.from_crs(start, end, always_xy=True)
    except ProjError as error:
        message = f"no transformation from {start.name} to {end.name}: {error}"
        raise RasterError(message, reason="no_transformation") from error


def to_source_pixels(source: SourceGrid, coordinates: Coordinates) -> Coordinates:
    """Convert (x, y) in the source's CRS to absolute (column, row) in its file."""
    x, y = coordinates
    transform: Affine = source.transform
    turn = full_turn(source.crs)
    if turn is not None:
        # Within half a turn of the source's centre: 179 and -181 degrees are the same meridian.
        west = transform.c + transform.a * source.width / 2.0 - turn / 2.0
        x = x - turn * np.floor((x - west) / turn)
    return (x - transform.c) / transform.a, (y - transform.f) / transform.e
