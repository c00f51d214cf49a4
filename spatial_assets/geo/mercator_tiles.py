"""The web-mercator tiles of a box, by arithmetic alone.

In general the tiles of an area follow from its geometry (`geo/grid/partitioning.py`). The usual
project, however, is a box on the web-mercator grid, and a process that only lists its tiles (every
process that Dagster starts) should not wait for the geometry libraries. For any other case, and
for an edge too close to where the answer changes, this module gives no answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from spatial_assets.geo.lonlat import BBox

WEB_MERCATOR_QUAD = "WebMercatorQuad"
WEB_MERCATOR_MAX_ZOOM = 24

PartitionScheme = Literal["tiles", "h3", "s2"]
"""Cells that own the shards of an area: tiles of the matrix set, H3 cells or S2 cells."""

TILE_PIXELS = 256
"""Pixels along the side of a tile of a tile matrix set."""

MIN_OVERLAP_PIXELS = 1e-3
"""Pixels that an area must extend into a square to touch it.

An area that only shares a border with a square (a box drawn along the tile's own edge, after the
rounding of a projection) therefore does not touch it.
"""

AMBIGUITY_PIXELS = 1e-4
"""Distance in pixels from the point where a square starts to be touched, within which no answer is
given. PROJ and this module differ by a hundred-thousandth of that."""

MAX_BLOCK_SHARDS = 100_000
"""Largest number of shards listed here; an area with more is refused elsewhere, or nearly so."""


@dataclass(frozen=True, kw_only=True)
class TileBlock:
    """A rectangle of web-mercator tiles of one zoom."""

    zoom: int
    columns: range
    rows: range

    def keys(self) -> tuple[str, ...]:
        """Quadkeys in Morton order, which is the order of their text."""
        # Read binary digits as decimal: a column adds 1 to a digit of the key, a row adds 2.
        right = [int(f"{column:b}") for column in self.columns]
        down = [2 * int(f"{row:b}") for row in self.rows]
        return tuple(sorted(f"{x + y:0{self.zoom}d}" for y in down for x in right))


def tile_block(box: BBox, *, pixel_zoom: int, shard: int, level: int) -> TileBlock | None:
    """Find the tiles of zoom `level` that own a shard which the box touches.

    Args:
        box: the area; west > east crosses the antimeridian.
        pixel_zoom: zoom whose 256-pixel tiles have the pixels of the product.
        shard: pixels along the side of a shard.
        level: zoom of the tiles, which must be whole numbers of shards.

    Returns:
        The tiles, or None if only the geometry of the area can tell.
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
    """Pixels to the right of the grid's left edge."""
    return math.ldexp(longitude / 360 + 0.5, zoom) * TILE_PIXELS


def _y(latitude: float, zoom: int) -> float:
    """Pixels below the grid's upper edge; the poles lie far outside the grid."""
    turns = math.asinh(math.tan(math.radians(latitude))) / math.tau
    return math.ldexp(0.5 - turns, zoom) * TILE_PIXELS


def _touched(start: float, stop: float, size: int, *, zoom: int) -> range:
    """Squares of `size` pixels that an interval of pixels touches; empty if that is ambiguous."""
    whole = TILE_PIXELS << zoom
    if not 0 <= start < stop <= whole:
        return range(0)
    first, last = (start + MIN_OVERLAP_PIXELS) / size, (stop - MIN_OVERLAP_PIXELS) / size
    if any(abs(edge - round(edge)) * size < AMBIGUITY_PIXELS for edge in (first, last)):
        return range(0)
    return range(math.floor(first), math.floor(last) + 1)


def _coarser(squares: range, times: int) -> range:
    """Squares `times` as large that contain the given ones."""
    return range(squares.start // times, (squares.stop - 1) // times + 1)
