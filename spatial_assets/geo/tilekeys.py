"""Partitions of the scheme `tiles`: the tiles of a lower zoom of the grid's own set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from morecantile.models import TileMatrix, TileMatrixSet
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import GridError
from spatial_assets.geo.grid import TILE_PIXELS, PixelGrid, Shard, matrix_at
from spatial_assets.geo.quadkeys import from_quadkey, from_zxy_key, quadkey, zxy_key

_CELL_SIZE_TOLERANCE = 1e-6  # sets declare cell sizes rounded to 10 digits, each zoom by itself


@dataclass(frozen=True)
class TileLevel:
    """One zoom of a grid's set whose tiles are whole numbers of shards."""

    grid: PixelGrid
    """The pixels that the tiles hold."""

    level: int
    """Zoom of the tiles, at most the grid's own."""

    def __post_init__(self) -> None:
        """Refuse a level whose tiles cut shards, or are not nested, or have no name."""
        _refuse_cut_shards(self.grid, self.level)
        _refuse_broken_nesting(self.grid, self.level)
        if self.level == 0 and self.grid.matrices.is_quadtree:
            message = (
                "[grid] level = 0 has one tile, whose quadkey would be empty; take level 1 or "
                "more (the product is the same)"
            )
            raise GridError(message)

    @property
    def pixels(self) -> int:
        """Pixels along the side of a tile."""
        return TILE_PIXELS << (self.grid.pixel_zoom - self.level)

    def keys_of(self, shards: Sequence[Shard]) -> list[str]:
        """Key of the tile that holds each shard."""
        across = self.pixels // self.grid.shard
        name = quadkey if self.grid.matrices.is_quadtree else zxy_key
        places = [(column // across, row // across) for column, row in shards]
        names = {place: name(self.level, *place) for place in dict.fromkeys(places)}
        return [names[place] for place in places]


def tile_outline(key: str, tile_matrix_set: str) -> BaseGeometry:
    """The tile of a key in lon/lat.

    Raises:
        GridError: no such set, or the key names no tile of it.
    """
    named = PixelGrid(tile_matrix_set=tile_matrix_set, pixel_zoom=1, chunk=1, shard=1).matrices
    zoom, column, row = from_quadkey(key) if named.is_quadtree else from_zxy_key(key)
    grid = PixelGrid(
        tile_matrix_set=tile_matrix_set, pixel_zoom=zoom, chunk=TILE_PIXELS, shard=TILE_PIXELS
    )
    return grid.lonlat(grid.shard_box(Shard(column, row)))


def _refuse_cut_shards(grid: PixelGrid, level: int) -> None:
    """A tile must be a whole number of shards."""
    pixels = TILE_PIXELS * 2.0 ** (grid.pixel_zoom - level)
    if level >= 0 and pixels >= 1 and pixels % grid.shard == 0:
        if level > grid.pixel_zoom:
            raise GridError(
                f"[grid] level = {level} is a finer zoom than that of the pixels, pixel_zoom = "
                f"{grid.pixel_zoom}; take level = {grid.pixel_zoom} or less"
            )
        return
    levels = range(grid.pixel_zoom, -1, -1)
    fits = [z for z in levels if (TILE_PIXELS << (grid.pixel_zoom - z)) % grid.shard == 0]
    remedy = (
        f"take level = {fits[0]} or less"
        if fits
        else f"no level fits: take [grid] shard = {TILE_PIXELS} times a power of two"
    )
    if level < 0:
        raise GridError(f"[grid] level = {level} is no zoom; {remedy}")
    message = (
        f"[grid] level = {level} has tiles of {TILE_PIXELS} x 2^({grid.pixel_zoom} - {level}) = "
        f"{pixels:g} pixels, not a whole number of shards of {grid.shard} pixels "
        f"({pixels:g} / {grid.shard} = {pixels / grid.shard:g}); {remedy}"
    )
    raise GridError(message)


def _refuse_broken_nesting(grid: PixelGrid, level: int) -> None:
    """Every tile from `level` to the pixels must be four of the next zoom, from one corner."""
    for zoom in range(level, grid.pixel_zoom):
        coarse, fine = matrix_at(grid.matrices, zoom), matrix_at(grid.matrices, zoom + 1)
        ratio = coarse.cellSize / fine.cellSize
        if not math.isclose(ratio, 2.0, rel_tol=_CELL_SIZE_TOLERANCE):
            reason = f"a pixel of zoom {zoom} is {ratio:g} pixels of zoom {zoom + 1}, not 2"
        elif coarse.pointOfOrigin != fine.pointOfOrigin:
            reason = f"zooms {zoom} and {zoom + 1} start at different corners"
        elif coarse.variableMatrixWidths or coarse.tileWidth != TILE_PIXELS:
            reason = f"zoom {zoom} has tiles of other sizes"
        else:
            continue
        raise GridError(_no_tiles(grid.matrices, reason))
    _refuse_uncovered(grid, level, matrix_at(grid.matrices, level))


def _refuse_uncovered(grid: PixelGrid, level: int, matrix: TileMatrix) -> None:
    """The tiles of the level must reach as far as the pixels do."""
    pixels = TILE_PIXELS << (grid.pixel_zoom - level)
    reach = int(matrix.matrixWidth) * pixels, int(matrix.matrixHeight) * pixels
    if reach[0] < grid.width or reach[1] < grid.height:
        reason = (
            f"zoom {level} ends after {reach[0]} x {reach[1]} pixels, but zoom "
            f"{grid.pixel_zoom} has {grid.width} x {grid.height}"
        )
        raise GridError(_no_tiles(grid.matrices, reason))


def _no_tiles(matrices: TileMatrixSet, reason: str) -> str:
    return (
        f'{matrices.id} cannot be partitioned by "tiles": {reason}; take [grid] partitions = '
        '"h3" or "s2", another level, or another tile matrix set'
    )
