"""Partitioning of an area: its shards are owned by tiles of the set, H3 cells or S2 cells.

Partitions are disjoint and own whole shards, so pixels and files do not depend on the scheme.
The partitions of the scheme `tiles` are the tiles of a lower zoom of the grid's own set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import shapely
from morecantile.models import TileMatrix, TileMatrixSet
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import GridError
from spatial_assets.geo.grid.area_cover import covering_squares
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.grid.pixel_grid import PixelGrid, Shard, Tile, matrix_at
from spatial_assets.geo.grid.quadkeys import from_quadkey, from_zxy_key, quadkey, zxy_key
from spatial_assets.geo.mercator_tiles import TILE_PIXELS, PartitionScheme

MAX_PARTITIONS = 100_000  # per asset: recommended by Dagster, and still shown by its UI


@dataclass(frozen=True)
class Partitioning:
    """The tiles of an area under one scheme and level."""

    grid: PixelGrid
    """Grid whose shards are partitioned."""

    tiles: Mapping[str, Tile]
    """Tiles by key, in the order of `keys`."""

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Partition keys in the order of the scheme's curve, which keeps neighbours together."""
        return tuple(self.tiles)

    @cached_property
    def extent(self) -> Window:
        """Bounding window of all shards."""
        return self.grid.shards_window(s for tile in self.tiles.values() for s in tile.shards)

    @cached_property
    def footprints(self) -> NDArray[np.object_]:
        """Outlines of the tiles in lon/lat, in the order of `keys`."""
        return self.grid.footprints(list(self.tiles.values()))

    def footprints_of(self, keys: Sequence[str]) -> NDArray[np.object_]:
        """Outlines of some tiles in lon/lat; for a few of many the others are not computed.

        Raises:
            GridError: the area has no such tile.
        """
        if len(keys) < len(self.tiles) and "footprints" not in self.__dict__:
            return self.grid.footprints([self.tile(key) for key in keys])
        numbers = self._numbers
        return self.footprints[[numbers[self.tile(key).key] for key in keys]]

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {key: number for number, key in enumerate(self.keys)}

    def tile(self, key: str) -> Tile:
        """Look up the tile of a key.

        Raises:
            GridError: the area has no such tile.
        """
        try:
            return self.tiles[key]
        except KeyError as error:
            message = (
                f"no tile {key!r} in this area ({len(self.tiles):,} tiles, from {self.keys[0]} "
                f"to {self.keys[-1]}); `spatial-assets tiles` lists them"
            )
            raise GridError(message) from error

    def touching(self, geometry: BaseGeometry) -> tuple[str, ...]:
        """Keys of the tiles that own a shard which a lon/lat geometry touches, in tile order.

        The geometry may extend beyond the grid; only its intersection with shards counts.
        """
        tree, owners = self._shard_tree
        hits = tree.query(geometry, predicate="intersects")
        return tuple(self.keys[index] for index in np.unique(owners[hits]))

    @cached_property
    def _shard_tree(self) -> tuple[shapely.STRtree, NDArray[np.int64]]:
        """Spatial index of the shards in lon/lat, and the index of the tile that owns each."""
        shards = [shard for tile in self.tiles.values() for shard in tile.shards]
        outlines = self.grid.outlines(shards)
        counts = [len(tile.shards) for tile in self.tiles.values()]
        return shapely.STRtree(outlines), np.repeat(np.arange(len(counts)), counts)


def partition_area(
    grid: PixelGrid, scheme: PartitionScheme, level: int, *, area: BaseGeometry
) -> Partitioning:
    """Assign every shard that a lon/lat `area` touches to a tile.

    Raises:
        GridError: the level cuts shards, a cell could own no shard, there would be more than
            100,000 partitions, or the area does not fit the grid.
    """
    if scheme == "tiles":
        tile_level = TileLevel(grid, level)
        _refuse_too_many_tiles(tile_level, area)
        shards = grid.shards_touching(area)
        names = tile_level.keys_of(shards)
    else:
        from spatial_assets.geo.grid.h3_s2_cells import owning_cells, shard_centres

        shards = grid.shards_touching(area)
        names = owning_cells(scheme, level, shard_centres(grid, shards))
    owned: dict[str, list[Shard]] = {}
    for name, shard in zip(names, shards, strict=True):
        owned.setdefault(name, []).append(shard)
    _refuse_too_many(len(owned), scheme, level, grid=grid)
    windows = dict(zip(owned, grid.windows(list(owned.values())), strict=True))
    for name, window in windows.items():
        if window.width > grid.width / 2:
            _refuse_both_edges(grid, name, owned[name])
    # Shards are in Morton order, and so are their tiles. H3 indices and S2 tokens of one level
    # have the same length, and their text sorts by parent and along the Hilbert curve.
    keys = list(owned) if scheme == "tiles" else sorted(owned)
    tiles = {key: Tile(key, tuple(owned[key]), windows[key]) for key in keys}
    return Partitioning(grid, tiles)


def cell_polygon(
    scheme: PartitionScheme, key: str, *, tile_matrix_set: str = "WebMercatorQuad"
) -> BaseGeometry:
    """Outline of the whole cell of a key in lon/lat, for maps; `Tile.footprint` is what it owns.

    Raises:
        GridError: `key` is not a key of the scheme.
    """
    if scheme == "tiles":
        return tile_outline(key, tile_matrix_set)
    from spatial_assets.geo.grid import h3_s2_cells

    return h3_s2_cells.cell_outline(scheme, key)


def _refuse_too_many_tiles(tile_level: TileLevel, area: BaseGeometry) -> None:
    """Refuse too many tiles before counting shards, so that a billion of either fails at once."""
    grid = tile_level.grid
    cover = covering_squares(
        grid.in_pixels(area),
        size=tile_level.pixels,
        width=grid.width,
        height=grid.height,
        limit=MAX_PARTITIONS,
    )
    if cover.size > tile_level.pixels:
        coarser = (cover.size // tile_level.pixels).bit_length() - 1
        fits, count = tile_level.level - coarser, len(cover.rows)
        message = (
            f"[grid] level = {tile_level.level} gives over {MAX_PARTITIONS:,} partitions: level "
            f"{fits} has {count:,} in this area and each further level about four times as many "
            f"({count:,} x 4^{coarser} = {count * 4**coarser:,}); use level = {fits} or less"
        )
        raise GridError(message)


def _refuse_too_many(count: int, scheme: PartitionScheme, level: int, *, grid: PixelGrid) -> None:
    """Refuse too many partitions of any scheme, including H3 and S2 cells, counted only here."""
    if count <= MAX_PARTITIONS:
        return
    times = {"tiles": 4, "h3": 7, "s2": 4}[scheme]
    coarser = 1
    while count > MAX_PARTITIONS * times**coarser:
        coarser += 1
    message = (
        f"[grid] level = {level} gives {count:,} {scheme} partitions of {grid.shard}-pixel shards, "
        f"over {MAX_PARTITIONS:,}; each lower level has about {times} times fewer "
        f"({count:,} / {times}^{coarser} = {count // times**coarser:,}): use level = "
        f"{level - coarser} or less"
    )
    raise GridError(message)


def _refuse_both_edges(grid: PixelGrid, key: str, shards: list[Shard]) -> None:
    """Refuse a cell cut by the seam of the grid: its window would span the whole Earth."""
    columns = sorted({shard.column for shard in shards})
    gap = max((b - a for a, b in pairwise(columns)), default=0)
    if gap * grid.shard > grid.width / 2:
        window = grid.shards_window(shards)
        message = (
            f"cell {key} has shards at both edges of {grid.tile_matrix_set} (columns {columns[0]} "
            f"and {columns[-1]}): its pixels would span {window.width:,} x {window.height:,}; cut "
            'the area at the antimeridian, or use [grid] partitions = "tiles"'
        )
        raise GridError(message)


_CELL_SIZE_TOLERANCE = 1e-6  # declared cell sizes are rounded to 10 digits, each on its own


@dataclass(frozen=True)
class TileLevel:
    """A zoom of the grid's set whose tiles are whole numbers of shards."""

    grid: PixelGrid
    """Grid of the pixels in the tiles."""

    level: int
    """Zoom of the tiles, at most the grid's own."""

    def __post_init__(self) -> None:
        """Refuse a level whose tiles cut shards, are not nested, or have no key."""
        _refuse_cut_shards(self.grid, self.level)
        _refuse_broken_nesting(self.grid, self.level)
        if self.level == 0 and self.grid.matrices.is_quadtree:
            message = (
                "[grid] level = 0 has one tile, whose quadkey would be empty; use level 1 or "
                "more (the product is the same)"
            )
            raise GridError(message)

    @property
    def pixels(self) -> int:
        """Pixels along the side of a tile."""
        return TILE_PIXELS << (self.grid.pixel_zoom - self.level)

    def keys_of(self, shards: Sequence[Shard]) -> list[str]:
        """Key of the tile that contains each shard."""
        across = self.pixels // self.grid.shard
        to_key = quadkey if self.grid.matrices.is_quadtree else zxy_key
        tiles = [(column // across, row // across) for column, row in shards]
        keys = {tile: to_key(self.level, *tile) for tile in dict.fromkeys(tiles)}
        return [keys[tile] for tile in tiles]


def tile_outline(key: str, tile_matrix_set: str) -> BaseGeometry:
    """Outline of the tile of a key in lon/lat.

    Raises:
        GridError: the set does not exist, or has no tile of that key.
    """
    named = PixelGrid(tile_matrix_set=tile_matrix_set, pixel_zoom=1, chunk=1, shard=1).matrices
    zoom, column, row = from_quadkey(key) if named.is_quadtree else from_zxy_key(key)
    grid = PixelGrid(
        tile_matrix_set=tile_matrix_set, pixel_zoom=zoom, chunk=TILE_PIXELS, shard=TILE_PIXELS
    )
    return grid.unproject(grid.shard_box(Shard(column, row)))


def _refuse_cut_shards(grid: PixelGrid, level: int) -> None:
    """Refuse a level whose tiles are not whole numbers of shards."""
    pixels = TILE_PIXELS * 2.0 ** (grid.pixel_zoom - level)
    if level >= 0 and pixels >= 1 and pixels % grid.shard == 0:
        if level > grid.pixel_zoom:
            raise GridError(
                f"[grid] level = {level} is a finer zoom than that of the pixels, pixel_zoom = "
                f"{grid.pixel_zoom}; use level = {grid.pixel_zoom} or less"
            )
        return
    levels = range(grid.pixel_zoom, -1, -1)
    fits = [z for z in levels if (TILE_PIXELS << (grid.pixel_zoom - z)) % grid.shard == 0]
    remedy = (
        f"use level = {fits[0]} or less"
        if fits
        else f"no level fits: use [grid] shard = {TILE_PIXELS} times a power of two"
    )
    if level < 0:
        raise GridError(f"[grid] level = {level} is not a zoom; {remedy}")
    message = (
        f"[grid] level = {level} has tiles of {TILE_PIXELS} x 2^({grid.pixel_zoom} - {level}) = "
        f"{pixels:g} pixels, not a whole number of shards of {grid.shard} pixels "
        f"({pixels:g} / {grid.shard} = {pixels / grid.shard:g}); {remedy}"
    )
    raise GridError(message)


def _refuse_broken_nesting(grid: PixelGrid, level: int) -> None:
    """Refuse a set in which a tile is not exactly four of the next zoom, down to the pixels."""
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
    """Refuse a level whose tiles do not cover all pixels."""
    pixels = TILE_PIXELS << (grid.pixel_zoom - level)
    width, height = int(matrix.matrixWidth) * pixels, int(matrix.matrixHeight) * pixels
    if width < grid.width or height < grid.height:
        reason = (
            f"zoom {level} ends after {width} x {height} pixels, but zoom "
            f"{grid.pixel_zoom} has {grid.width} x {grid.height}"
        )
        raise GridError(_no_tiles(grid.matrices, reason))


def _no_tiles(matrices: TileMatrixSet, reason: str) -> str:
    return (
        f'{matrices.id} cannot be partitioned by "tiles": {reason}; use [grid] partitions = '
        '"h3" or "s2", another level, or another tile matrix set'
    )
