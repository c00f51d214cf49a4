"""A thumbnail of an index for people: a PNG of a few kB."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spatial_assets.geo.pixels.colour_ramp import RAMP_MAX, RAMP_MIN, UNKNOWN_COLOUR, colours_of
from spatial_assets.geo.radiometry import FILL, INDEX_SCALE

_COLOURS: Final = 63
_UNKNOWN: Final = _COLOURS
"""Palette entry of pixels without an observation: transparent, or light grey in a viewer that
ignores transparency."""


def preview_png(values: NDArray[np.int16], size: int = 112) -> bytes:
    """Draw a quantised index as a palette PNG of at most `size` pixels along its longer side.

    Args:
        values: quantised index, `FILL` where unknown. Each pixel of the picture is the mean of
            the known values it covers.
        size: pixels along the longer side.
    """
    means = _cell_means(values, size)
    known = np.isfinite(means)
    clipped = np.clip(np.where(known, means, RAMP_MIN), RAMP_MIN, RAMP_MAX)
    share = (clipped - RAMP_MIN) / (RAMP_MAX - RAMP_MIN)
    entries = np.where(known, np.rint(share * (_COLOURS - 1)), _UNKNOWN).astype(np.uint8)
    picture = Image.fromarray(entries)
    picture.putpalette(_palette())
    encoded = io.BytesIO()
    picture.save(encoded, format="PNG", optimize=True, transparency=_UNKNOWN, bits=6)
    return encoded.getvalue()


def _cell_means(values: NDArray[np.int16], size: int) -> NDArray[np.float64]:
    """Mean of the known values in each cell of the picture, NaN where there are none."""
    rows, columns = values.shape
    longest = max(rows, columns)
    cells_down, cells_across = (max(1, min(n, n * size // longest)) for n in (rows, columns))
    if longest <= size:
        cells_down, cells_across = rows, columns
    top = np.arange(cells_down) * rows // cells_down
    left = np.arange(cells_across) * columns // cells_across
    total = np.empty((cells_down, columns), dtype=np.int64)
    count = np.empty((cells_down, columns), dtype=np.int64)
    for cell, (start, stop) in enumerate(pairwise([*top.tolist(), rows])):
        strip = values[start:stop]
        count[cell] = np.count_nonzero(strip != FILL, axis=0)
        # Integers, so subtracting the fill values from the sum is exact.
        total[cell] = strip.sum(axis=0, dtype=np.int64) - FILL * (len(strip) - count[cell])
    total, count = (np.add.reduceat(each, left, axis=1) for each in (total, count))
    means: NDArray[np.float64] = np.full(total.shape, np.nan)
    np.divide(total * INDEX_SCALE, count, out=means, where=count > 0)
    return means


def _palette() -> bytes:
    """Red, green, blue of every entry."""
    ramp = colours_of(np.linspace(RAMP_MIN, RAMP_MAX, _COLOURS))
    return ramp.tobytes() + bytes(UNKNOWN_COLOUR)
