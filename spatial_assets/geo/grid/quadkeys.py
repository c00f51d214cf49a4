"""Keys of tiles, and the order of tiles along the Morton (Z) curve.

Integers and strings only. A quadkey and the Morton code of (column, row) are the same number,
so both sort in the same order.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import GridError

MAX_ZOOM = 31  # a 64-bit Morton code holds two 31-bit indices

_SPREADS = (
    (np.uint64(16), np.uint64(0x0000FFFF0000FFFF)),
    (np.uint64(8), np.uint64(0x00FF00FF00FF00FF)),
    (np.uint64(4), np.uint64(0x0F0F0F0F0F0F0F0F)),
    (np.uint64(2), np.uint64(0x3333333333333333)),
    (np.uint64(1), np.uint64(0x5555555555555555)),
)


def _spread_bits(values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Move bit n of each value to bit 2n."""
    spread = values.astype(np.uint64)
    for distance, mask in _SPREADS:
        spread = (spread | (spread << distance)) & mask
    return spread


def morton_codes(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Positions along the Z curve of (column, row) pairs, both below 2**31."""
    return _spread_bits(columns) | (_spread_bits(rows) << np.uint64(1))


def quadkey(zoom: int, column: int, row: int) -> str:
    """Quadkey of a tile, one digit a zoom: 0 north-west, 1 north-east, 2 south-west, 3 south-east.

    Raises:
        GridError: the zoom is 0, whose only tile would have an empty key, or has no such tile.
    """
    if not 1 <= zoom <= MAX_ZOOM:
        message = f"zoom {zoom} has no quadkey (a key has one digit a zoom, 1 to {MAX_ZOOM})"
        raise GridError(message)
    size = 1 << zoom
    if not (0 <= column < size and 0 <= row < size):
        message = f"zoom {zoom} has {size} x {size} tiles; there is no column {column}, row {row}"
        raise GridError(message)
    # Binary digits read as decimal ones: the sum of both numbers is the key, without a loop.
    return f"{2 * int(f'{row:b}') + int(f'{column:b}'):0{zoom}d}"


def from_quadkey(key: str) -> tuple[int, int, int]:
    """Parse a quadkey into (zoom, column, row).

    Raises:
        GridError: `key` is not a quadkey.
    """
    if not re.fullmatch(r"[0-3]{1,31}", key):
        message = f"not a quadkey: {key!r} (digits 0 to 3, as many as the zoom, 1 to {MAX_ZOOM})"
        raise GridError(message)
    column = int("".join("1" if digit in "13" else "0" for digit in key), 2)
    row = int("".join("1" if digit in "23" else "0" for digit in key), 2)
    return len(key), column, row


def zxy_key(zoom: int, column: int, row: int) -> str:
    """Key of a tile of a set that is not a quadtree: `z-x-y`."""
    if min(zoom, column, row) < 0:
        message = f"a tile's zoom, column and row are 0 or more, got {zoom}, {column}, {row}"
        raise GridError(message)
    return f"{zoom}-{column}-{row}"


def from_zxy_key(key: str) -> tuple[int, int, int]:
    """Parse a `z-x-y` key into (zoom, column, row).

    Raises:
        GridError: `key` is not of that form.
    """
    match = re.fullmatch(r"(0|[1-9]\d*)-(0|[1-9]\d*)-(0|[1-9]\d*)", key, flags=re.ASCII)
    if match is None:
        message = f"not a tile key: {key!r} (zoom-column-row, such as 7-70-45)"
        raise GridError(message)
    zoom, column, row = map(int, match.groups())
    return zoom, column, row
