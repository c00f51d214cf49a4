"""The tiles of a box by arithmetic alone, where that is beyond doubt.

Which tiles an area has follows from its geometry (`geo/grid/partitioning.py`). But the usual
project is a box on the web-mercator grid, and whoever only lists its tiles (each process that
Dagster starts) should not wait for the libraries that answer the general question. Of what is not
that usual case, and of an edge too near to where the answer changes, nothing is said here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from spatial_assets.geo.lonlat import BBox

WEB_MERCATOR_QUAD = "WebMercatorQuad"
WEB_MERCATOR_MAX_ZOOM = 24

PartitionScheme = Literal["tiles", "h3", "s2"]

TILE_PIXELS = 256
"""Pixels along the side of a tile of a tile matrix set."""

MIN_OVERLAP_PIXELS = 1e-3
"""An area touches a square only when it extends this many pixels into it.

So an area that merely shares a border with a square (a box drawn along the tile's own edge, after
the rounding of a projection) does not cover it: no zero-area neighbours.
"""

AMBIGUITY_PIXELS = 1e-4
"""Pixels from where a square begins to count, within which nothing is said: PROJ and this module
differ by a hundred-thousandth of that."""

MAX_BLOCK_SHARDS = 100_000
"""Tiles that are counted here; what has more is refused elsewhere, or nearly."""


@dataclass(frozen=True, kw_only=True)
class TileBlock:
    """A rectangle of web-mercator tiles of one zoom."""

    zoom: int
    columns: range
    rows: range

    def keys(self) -> tuple[str, ...]:
        """Quadkeys in the order of the Morton curve, which is that of their text."""
        # Binary digits read as decimal ones: a column adds 1 to a digit of the key, a row 2.
        right = [int(f"{column:b}") for column in self.columns]
        down = [2 * int(f"{row:b}") for row in self.rows]
        return tuple(sorted(f"{x + y:0{self.zoom}d}" for y in down for x in right))


def tile_block(box: BBox, *, pixel_zoom: int, shard: int, level: int) -> TileBlock | None:
    """The tiles of zoom `level` one of whose shards a box touches; None: geometry must say.

    Args:
        box: of the area; west > east crosses the antimeridian.
        pixel_zoom: whose 256-pixel tiles have the pixels of the product.
        shard: pixels along the side of a shard.
        level: zoom of the tiles, which must be whole numbers of shards.
    """
    if not 1 <= level <= pixel_zoom <= WEB_MERCATOR_MAX_ZOOM:
        return None
    shards_across, cut = divmod(TILE_PIXELS << (pixel_zoom - level), shard)
    if cut:
        return None
    west, south, east, north = box
    columns = _touched(_x(west, pixel_zoom), _x(east, pixel_zoom), shard, zoom=pixel_zoom)
    rows = _touched(_y(north, pixel_zoom), _y(south, pixel_zoom), shard, zoom=pixel_zoom)
    if not columns or not rows or len(columns) * len(rows) > MAX_BLOCK_SHARDS:
        return None
    columns, rows = (_coarser(shards, shards_across) for shards in (columns, rows))
    return TileBlock(zoom=level, columns=columns, rows=rows)


def _x(longitude: float, zoom: int) -> float:
    """Pixels right of the left edge of the grid."""
    return math.ldexp(longitude / 360 + 0.5, zoom) * TILE_PIXELS


def _y(latitude: float, zoom: int) -> float:
    """Pixels below the upper edge of the grid; the poles are far outside of it."""
    turns = math.asinh(math.tan(math.radians(latitude))) / math.tau
    return math.ldexp(0.5 - turns, zoom) * TILE_PIXELS


def _touched(start: float, stop: float, size: int, *, zoom: int) -> range:
    """Squares of `size` pixels that an interval of pixels reaches into; none: in doubt, or none."""
    whole = TILE_PIXELS << zoom
    if not 0 <= start < stop <= whole:
        return range(0)
    first, last = (start + MIN_OVERLAP_PIXELS) / size, (stop - MIN_OVERLAP_PIXELS) / size
    if any(abs(edge - round(edge)) * size < AMBIGUITY_PIXELS for edge in (first, last)):
        return range(0)
    return range(math.floor(first), math.floor(last) + 1)


def _coarser(squares: range, times: int) -> range:
    """Squares `times` as large that hold the given ones."""
    return range(squares.start // times, (squares.stop - 1) // times + 1)
