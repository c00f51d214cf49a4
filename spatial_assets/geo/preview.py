"""A small picture of an index, for people: a few kB of PNG."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spatial_assets.geo.radiometry import INDEX_SCALE, dequantise

_STOPS: Final = (
    (-0.2, (42, 72, 122)),  # water
    (0.0, (148, 156, 166)),
    (0.08, (214, 196, 164)),  # bare soil and roofs
    (0.25, (226, 212, 138)),
    (0.45, (160, 190, 90)),
    (0.65, (70, 146, 62)),
    (0.8, (20, 102, 50)),
    (0.95, (2, 56, 34)),  # closed canopy
)
"""Index value -> red, green, blue; from blue over sand to green with lightness falling steadily,
so that a grey print and a colour-blind reader see the same order."""

_COLOURS: Final = 63
_UNKNOWN: Final = _COLOURS
"""Palette entry of pixels nobody observed: transparent, and light grey where that is ignored."""

_UNKNOWN_COLOUR: Final = (235, 235, 235)


def preview_png(values: NDArray[np.int16], size: int = 112) -> bytes:
    """PNG with a palette of at most `size` pixels along its longer side.

    Args:
        values: quantised index, `FILL` where unknown. A pixel of the picture is the mean of the
            known values it covers.
        size: longest side in pixels.
    """
    means = _reduced(values, size)
    known = np.isfinite(means)
    low, high = _STOPS[0][0], _STOPS[-1][0]
    place = (np.clip(np.where(known, means, low), low, high) - low) / (high - low)
    entries = np.where(known, np.rint(place * (_COLOURS - 1)), _UNKNOWN).astype(np.uint8)
    picture = Image.fromarray(entries)
    picture.putpalette(_palette())
    encoded = io.BytesIO()
    picture.save(encoded, format="PNG", optimize=True, transparency=_UNKNOWN, bits=6)
    return encoded.getvalue()


def _reduced(values: NDArray[np.int16], size: int) -> NDArray[np.float64]:
    """Means of the known values in the cells of a picture, NaN where there are none."""
    rows, columns = values.shape
    longest = max(rows, columns)
    cells_down, cells_across = (max(1, min(n, n * size // longest)) for n in (rows, columns))
    if longest <= size:
        cells_down, cells_across = rows, columns
    numbers, valid = dequantise(values, INDEX_SCALE)
    top = np.arange(cells_down) * rows // cells_down
    left = np.arange(cells_across) * columns // cells_across
    total = _cell_sums(np.where(valid, numbers, 0.0), top, left=left)
    count = _cell_sums(valid.astype(np.float64), top, left=left)
    means: NDArray[np.float64] = np.full(total.shape, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def _cell_sums(
    array: NDArray[np.floating], top: NDArray[np.int_], *, left: NDArray[np.int_]
) -> NDArray[np.float64]:
    """Sums over cells that start at the rows `top` and the columns `left`."""
    down = np.add.reduceat(array.astype(np.float64), top, axis=0)
    sums: NDArray[np.float64] = np.add.reduceat(down, left, axis=1)
    return sums


def _palette() -> bytes:
    """Red, green, blue of every entry."""
    values = np.linspace(_STOPS[0][0], _STOPS[-1][0], _COLOURS)
    stops = [value for value, _ in _STOPS]
    channels = [
        np.interp(values, stops, [colour[channel] for _, colour in _STOPS]) for channel in range(3)
    ]
    ramp = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return ramp.tobytes() + bytes(_UNKNOWN_COLOUR)
