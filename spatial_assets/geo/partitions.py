"""Three ways to share out the shards of an area: tiles of the set, H3 cells, S2 cells.

Partitions are disjoint and own whole shards, so pixels and files never depend on the scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import GridError
from spatial_assets.geo.cover import covering_squares
from spatial_assets.geo.geobox import Window
from spatial_assets.geo.grid import PixelGrid, Shard, Tile
from spatial_assets.geo.tilekeys import TileLevel, tile_outline

Scheme = Literal["tiles", "h3", "s2"]

MAX_PARTITIONS = 100_000  # what Dagster advises for one asset, and its UI still shows


@dataclass(frozen=True)
class Partitioning:
    """The tiles of an area under one scheme and level."""

    grid: PixelGrid
    """The pixels that are shared out."""

    tiles: Mapping[str, Tile]
    """Tiles by key, in the order of `keys`."""

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Partition keys in the order of the scheme's curve: neighbours come in few runs."""
        return tuple(self.tiles)

    @cached_property
    def extent(self) -> Window:
        """Bounding window of all shards."""
        return self.grid.shards_window(s for tile in self.tiles.values() for s in tile.shards)

    def tile(self, key: str) -> Tile:
        """The tile of a key.

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
        """Keys of the tiles one of whose shards a lon/lat geometry touches, in their order.

        The geometry may reach anywhere, beyond the grid as well: only what meets a shard counts.
        """
        tree, owners = self._shard_tree
        hits = tree.query(geometry, predicate="intersects")
        return tuple(self.keys[index] for index in np.unique(owners[hits]))

    @cached_property
    def _shard_tree(self) -> tuple[shapely.STRtree, NDArray[np.int64]]:
        """Shards in lon/lat, and for each the index of its tile's key."""
        shards = [shard for tile in self.tiles.values() for shard in tile.shards]
        outlines = self.grid.outlines(shards)
        counts = [len(tile.shards) for tile in self.tiles.values()]
        return shapely.STRtree(outlines), np.repeat(np.arange(len(counts)), counts)


def partition_area(
    grid: PixelGrid, scheme: Scheme, level: int, *, area: BaseGeometry
) -> Partitioning:
    """Share out every shard that a lon/lat `area` touches.

    Raises:
        GridError: the level does not give whole shards, a cell could own none, there would be
            more than 100,000 partitions, or the area does not fit the grid.
    """
    if scheme == "tiles":
        tile_level = TileLevel(grid, level)
        _refuse_too_many_tiles(tile_level, area)
        shards = grid.shards_touching(area)
        names = tile_level.keys_of(shards)
    else:
        from spatial_assets.geo.centres import owning_cells, shard_centres  # noqa: PLC0415

        shards = grid.shards_touching(area)
        names = owning_cells(scheme, level, shard_centres(grid, shards))
    owned: dict[str, list[Shard]] = {}
    for name, shard in zip(names, shards, strict=True):
        owned.setdefault(name, []).append(shard)
    _refuse_too_many(len(owned), scheme, level, grid=grid)
    for name, its_shards in owned.items():
        _refuse_both_edges(grid, name, its_shards)
    # Shards come in Morton order, and so do their tiles. H3 indices and S2 tokens of one level
    # have one length, and as text they sort by parent and along the Hilbert curve.
    keys = list(owned) if scheme == "tiles" else sorted(owned)
    tiles = {key: Tile(key, tuple(owned[key]), grid.shards_window(owned[key])) for key in keys}
    return Partitioning(grid, tiles)


def cell_polygon(
    scheme: Scheme, key: str, *, tile_matrix_set: str = "WebMercatorQuad"
) -> BaseGeometry:
    """The whole cell of a key in lon/lat, for maps; what a tile owns is `Tile.footprint`.

    Raises:
        GridError: `key` is not a key of the scheme.
    """
    if scheme == "tiles":
        return tile_outline(key, tile_matrix_set)
    from spatial_assets.geo import cells  # noqa: PLC0415 - H3 and S2 only where they are wanted

    return cells.cell_outline(scheme, key)


def _refuse_too_many_tiles(tile_level: TileLevel, area: BaseGeometry) -> None:
    """Count tiles before shards, so that a billion of either is refused at once."""
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
            f"{fits} has {count:,} in this area and each level more has about four times as many "
            f"({count:,} x 4^{coarser} = {count * 4**coarser:,}); take level = {fits} or less"
        )
        raise GridError(message)


def _refuse_too_many(count: int, scheme: Scheme, level: int, *, grid: PixelGrid) -> None:
    """Refuse what passed the first count, or was never counted: cells of H3 and S2."""
    if count <= MAX_PARTITIONS:
        return
    times = {"tiles": 4, "h3": 7, "s2": 4}[scheme]
    coarser = 1
    while count > MAX_PARTITIONS * times**coarser:
        coarser += 1
    message = (
        f"[grid] level = {level} gives {count:,} {scheme} partitions of {grid.shard}-pixel shards, "
        f"over {MAX_PARTITIONS:,}; each level less has about {times} times fewer "
        f"({count:,} / {times}^{coarser} = {count // times**coarser:,}): take level = "
        f"{level - coarser} or less"
    )
    raise GridError(message)


def _refuse_both_edges(grid: PixelGrid, key: str, shards: list[Shard]) -> None:
    """Refuse a cell cut by the seam of the grid: its window would run around the earth."""
    columns = sorted({shard.column for shard in shards})
    gap = max((b - a for a, b in pairwise(columns)), default=0)
    if gap * grid.shard > grid.width / 2:
        window = grid.shards_window(shards)
        message = (
            f"cell {key} has shards at both edges of {grid.tile_matrix_set} (columns {columns[0]} "
            f"and {columns[-1]}): its pixels would span {window.width:,} x {window.height:,}; cut "
            'the area at the antimeridian, or take [grid] partitions = "tiles"'
        )
        raise GridError(message)
