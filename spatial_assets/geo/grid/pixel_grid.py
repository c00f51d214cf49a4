"""The pixel grid: one zoom of a tile matrix set, divided into shards by integers alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import morecantile
import numpy as np
import shapely
from affine import Affine
from morecantile.errors import InvalidIdentifier
from morecantile.models import TileMatrix, TileMatrixSet
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import GridError
from spatial_assets.geo.grid import projections
from spatial_assets.geo.grid.area_cover import covering_squares
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.grid.quadkeys import morton_codes
from spatial_assets.geo.mercator_tiles import MIN_OVERLAP_PIXELS, TILE_PIXELS

MAX_SHARDS = 1 << 20  # a million objects: all land on Earth in 10 m pixels and 2048-pixel shards

_SEGMENTS_PER_EDGE = 16  # of a shard, where its edges are curved in lon/lat


class Shard(NamedTuple):
    """A square of pixels stored as one object; index = absolute pixel index // shard size."""

    column: int
    row: int


@dataclass(frozen=True, kw_only=True)
class PixelGrid:
    """The pixels of one zoom of a tile matrix set; every window of the product lies on it."""

    tile_matrix_set: str
    """Name of a morecantile TileMatrixSet, such as "WebMercatorQuad"."""

    pixel_zoom: int
    """Zoom whose 256-pixel tiles have the pixels of the product."""

    chunk: int
    """Pixels along the side of a chunk, the smallest unit of reading."""

    shard: int
    """Pixels along the side of a shard, which is one stored object and a whole number of chunks."""

    def __post_init__(self) -> None:
        """Refuse a grid whose pixels differ in size, or whose shards cut chunks."""
        if self.chunk < 1 or self.shard < 1 or self.shard % self.chunk:
            message = (
                f"[grid] shard = {self.shard} is not a whole number of chunks of "
                f"{self.chunk} pixels ({self.shard} / {self.chunk} = "
                f"{self.shard / max(self.chunk, 1):g}); use a multiple of [grid] chunk"
            )
            raise GridError(message)
        _refuse_uneven(self._matrix, self)

    @cached_property
    def matrices(self) -> TileMatrixSet:
        """The whole tile matrix set."""
        try:
            return morecantile.tms.get(self.tile_matrix_set)
        except InvalidIdentifier as error:
            message = (
                f"no tile matrix set is called {self.tile_matrix_set!r}; "
                f"have {', '.join(morecantile.tms.list())}"
            )
            raise GridError(message) from error

    @cached_property
    def _matrix(self) -> TileMatrix:
        return matrix_at(self.matrices, self.pixel_zoom)

    @cached_property
    def crs(self) -> CRS:
        """Coordinate reference system; its coordinates are always used x (east) first."""
        epsg = self.matrices.crs.to_epsg()
        return CRS.from_user_input(epsg or self.matrices.crs.srs)

    @cached_property
    def origin(self) -> Affine:
        """Transform of absolute pixels: (column, row) of a top-left corner -> (x, y), north up."""
        corner = self.matrices.xy_bounds(morecantile.Tile(0, 0, self.pixel_zoom))
        size = self.pixel_size
        return Affine(size, 0.0, corner.left, 0.0, -size, corner.top)

    @property
    def width(self) -> int:
        """Pixels of the whole matrix, west to east."""
        return int(self._matrix.matrixWidth) * TILE_PIXELS

    @property
    def height(self) -> int:
        """Pixels of the whole matrix, north to south."""
        return int(self._matrix.matrixHeight) * TILE_PIXELS

    @property
    def pixel_size(self) -> float:
        """Side of a pixel in units of `crs`."""
        return float(self._matrix.cellSize)

    def geobox(self, window: Window) -> GeoBox:
        """Georeference a window of absolute pixel indices."""
        return GeoBox(window, self.origin, self.crs)

    def shard_window(self, shard: Shard) -> Window:
        """Window of a shard, cut at the edge of the matrix.

        Raises:
            GridError: the shard lies outside the matrix.
        """
        column, row = shard.column * self.shard, shard.row * self.shard
        if not (0 <= column < self.width and 0 <= row < self.height):
            message = (
                f"{shard} starts at pixel {column}, {row}, outside the {self.width} x "
                f"{self.height} pixels of {self.tile_matrix_set} zoom {self.pixel_zoom}"
            )
            raise GridError(message)
        width = min(self.shard, self.width - column)
        return Window(column, row, width, min(self.shard, self.height - row))

    def shard_box(self, shard: Shard) -> BaseGeometry:
        """Outline of a shard in the CRS of the grid."""
        return shapely.box(*self.geobox(self.shard_window(shard)).bounds)

    def shards_window(self, shards: Iterable[Shard]) -> Window:
        """Bounding window of one or more shards."""
        windows = [self.shard_window(shard) for shard in _corners(shards)]
        column, row = min(w.column for w in windows), min(w.row for w in windows)
        stop = max(w.column_stop for w in windows), max(w.row_stop for w in windows)
        return Window(column, row, stop[0] - column, stop[1] - row)

    def shards_touching(self, area: BaseGeometry) -> tuple[Shard, ...]:
        """Find the shards that a lon/lat area overlaps by more than `MIN_OVERLAP_PIXELS`.

        Returns:
            The shards in Morton order; never empty.

        Raises:
            GridError: the area exceeds the matrix, is empty, or needs over a million shards.
        """
        cover = covering_squares(
            self.in_pixels(area),
            size=self.shard,
            width=self.width,
            height=self.height,
            limit=MAX_SHARDS,
        )
        if cover.size > self.shard:
            message = (
                f"the area has over {MAX_SHARDS:,} shards of {self.shard} pixels: it already has "
                f"{len(cover.rows):,} squares of {cover.size} pixels; lower [grid] "
                f"pixel_zoom = {self.pixel_zoom} or raise [grid] shard"
            )
            raise GridError(message)
        order = np.argsort(morton_codes(cover.columns, cover.rows), kind="stable")
        columns, rows = cover.columns[order].tolist(), cover.rows[order].tolist()
        if not columns:
            message = f"the area touches no pixel of {self.tile_matrix_set}; it has no extent"
            raise GridError(message)
        return tuple(map(Shard, columns, rows))

    def in_pixels(self, area: BaseGeometry) -> BaseGeometry:
        """Project a lon/lat area to absolute pixel coordinates, x right and y down.

        Raises:
            GridError: the area is empty, or not entirely within the matrix.
        """
        if shapely.is_empty(area):
            raise GridError("the area is empty: it has no polygon")
        inverse = ~self.origin
        scale, shift = np.array([inverse.a, inverse.e]), np.array([inverse.c, inverse.f])
        moved = shapely.transform(self.project(area), lambda xy: xy * scale + shift)
        left, top, right, bottom = shapely.bounds(moved)
        outside = max(-left, -top, right - self.width, bottom - self.height)
        if outside > MIN_OVERLAP_PIXELS:
            message = (
                f"the area (lon/lat bounds {_listed(shapely.bounds(area))}) extends "
                f"{outside:,.1f} pixels beyond the edge of {self.tile_matrix_set}"
                f"{self._extent_text()}; cut the area there, or use another tile matrix set"
            )
            raise GridError(message)
        if projections.longest_edge(moved) > max(self.width, self.height) / 2:
            message = (
                f"the area crosses the seam of {self.crs.name}, where neighbours on the earth "
                "are at opposite edges; use a tile matrix set whose seam lies elsewhere"
            )
            raise GridError(message)
        return moved

    def _extent_text(self) -> str:
        """Describe the extent of the set, if it is a box in lon/lat."""
        if not projections.axes_follow_meridians(self.crs):
            return ""
        whole = self.geobox(Window(0, 0, self.width, self.height)).bounds
        west, south = projections.transformer_to_lonlat(self.crs).transform(whole[0], whole[1])
        east, north = projections.transformer_to_lonlat(self.crs).transform(whole[2], whole[3])
        return f", which ends at lon/lat {_listed([west, south, east, north])}"

    def project(self, geometry: BaseGeometry) -> BaseGeometry:
        """Project a lon/lat geometry to the CRS of the grid, densified so that its edges stay put.

        Raises:
            GridError: a coordinate is not on the globe, or outside the domain of the CRS.
        """
        return projections.project(geometry, self.crs)

    def unproject(self, geometry: BaseGeometry) -> BaseGeometry:
        """Transform polygons of the grid's CRS to lon/lat, densified where their edges curve.

        Polygons that cross the antimeridian are cut there.
        """
        return projections.unproject(geometry, self.crs, step=self._step)

    def outlines(self, shards: Sequence[Shard]) -> NDArray[np.object_]:
        """Outlines of shards in lon/lat."""
        return projections.unproject_all(self._boxes(shards), self.crs, step=self._step)

    def footprints(self, tiles: Sequence[Tile]) -> NDArray[np.object_]:
        """Outlines of tiles in lon/lat, see `Tile.footprint`, all at once.

        Those of one shard may start at another corner.
        """
        boxes = self._boxes([shard for tile in tiles for shard in tile.shards])
        counts = np.array([len(tile.shards) for tile in tiles], dtype=np.int64)
        starts = np.cumsum(counts) - counts
        whole = np.empty(len(tiles), dtype=object)
        for count in np.unique(counts).tolist():
            alike = np.flatnonzero(counts == count)
            shards = boxes[starts[alike][:, np.newaxis] + np.arange(count)]
            whole[alike] = shards[:, 0] if count == 1 else shapely.union_all(shards, axis=1)
        return projections.unproject_all(whole, self.crs, step=self._step)

    def _boxes(self, shards: Sequence[Shard]) -> NDArray[np.object_]:
        """Outlines of shards in the CRS of the grid."""
        corners = _indices(shards) * self.shard
        ends = np.minimum(corners + self.shard, [self.width, self.height])
        scale = np.array([self.origin.a, self.origin.e])
        shift = np.array([self.origin.c, self.origin.f])
        (left, top), (right, bottom) = (corners * scale + shift).T, (ends * scale + shift).T
        boxes: NDArray[np.object_] = shapely.box(left, bottom, right, top)
        return boxes

    def windows(self, owned: Sequence[Sequence[Shard]]) -> list[Window]:
        """Bounding windows of groups of shards, see `shards_window`, all at once."""
        indices = _indices(list(chain.from_iterable(owned)))
        counts = np.array([len(group) for group in owned])
        starts = np.cumsum(counts) - counts
        corners = np.minimum.reduceat(indices, starts) * self.shard
        ends = (np.maximum.reduceat(indices, starts) + 1) * self.shard
        sizes = np.minimum(ends, [self.width, self.height]) - corners
        return list(map(Window, *corners.T.tolist(), *sizes.T.tolist()))

    @property
    def _step(self) -> float:
        """Longest segment of an edge to transform to lon/lat, in units of the CRS."""
        return self.shard * self.pixel_size / _SEGMENTS_PER_EDGE


@dataclass(frozen=True)
class Tile:
    """A partition: the shards that one cell of a scheme owns."""

    key: str
    """Partition key: a quadkey, `z-x-y`, an H3 index or an S2 token."""

    shards: tuple[Shard, ...]
    """Shards that the tile owns, in Morton order, at least one."""

    window: Window
    """Bounding window of the shards; for H3 and S2 it may contain pixels of other tiles."""

    def owned(self, grid: PixelGrid) -> NDArray[np.bool_]:
        """True where a pixel of `window` lies in a shard of this tile, shape (rows, columns)."""
        owned = np.zeros(self.window.shape, dtype=np.bool_)
        for shard in self.shards:
            owned[grid.shard_window(shard).slices_in(self.window)] = True
        return owned

    def footprint(self, grid: PixelGrid) -> BaseGeometry:
        """Outline of the shards in lon/lat: a Polygon or MultiPolygon."""
        return grid.unproject(shapely.union_all([grid.shard_box(shard) for shard in self.shards]))


def matrix_at(matrices: TileMatrixSet, zoom: int) -> TileMatrix:
    """Matrix of a zoom that the set declares.

    Raises:
        GridError: the set has no such zoom.
    """
    for matrix in matrices.tileMatrices:
        if matrix.id == str(zoom):
            return matrix
    have = f"{matrices.tileMatrices[0].id} to {matrices.tileMatrices[-1].id}"
    raise GridError(f"{matrices.id} has no zoom {zoom} (it has {have})")


def _refuse_uneven(matrix: TileMatrix, grid: PixelGrid) -> None:
    """Refuse a matrix whose pixels are not one regular grid from the top left."""
    name = f"{grid.tile_matrix_set} zoom {grid.pixel_zoom}"
    if matrix.variableMatrixWidths:
        raise GridError(f"{name} has rows of different widths, so its pixels differ in size")
    if (matrix.tileWidth, matrix.tileHeight) != (TILE_PIXELS, TILE_PIXELS):
        size = f"{matrix.tileWidth} x {matrix.tileHeight}"
        raise GridError(f"{name} has tiles of {size} pixels; only {TILE_PIXELS} is supported")
    if matrix.cornerOfOrigin not in {None, "topLeft"}:
        raise GridError(f"{name} counts rows from its {matrix.cornerOfOrigin}, not the top left")


def _indices(shards: Sequence[Shard]) -> NDArray[np.int64]:
    """Indices of shards, shape (shard, 2) as column, row; ten times as fast as `np.array`."""
    flat = np.fromiter(chain.from_iterable(shards), dtype=np.int64, count=2 * len(shards))
    return flat.reshape(-1, 2)


def _corners(shards: Iterable[Shard]) -> tuple[Shard, Shard]:
    """Top-left and bottom-right shard of the rectangle that contains `shards`."""
    columns, rows = zip(*shards, strict=True)
    return Shard(min(columns), min(rows)), Shard(max(columns), max(rows))


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:.6g}" for number in numbers)
