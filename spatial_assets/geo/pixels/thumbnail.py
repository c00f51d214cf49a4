"""A small picture of an index, for people: a few kB of PNG."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spatial_assets.geo.pixels.colour_ramp import HIGHEST, LOWEST, UNKNOWN, colours_of
from spatial_assets.geo.radiometry import FILL, INDEX_SCALE

_COLOURS: Final = 63
_UNKNOWN: Final = _COLOURS
"""Palette entry of pixels nobody observed: transparent, and light grey where that is ignored."""


def preview_png(values: NDArray[np.int16], size: int = 112) -> bytes:
    """PNG with a palette of at most `size` pixels along its longer side.

    Args:
        values: quantised index, `FILL` where unknown. A pixel of the picture is the mean of the
            known values it covers.
        size: longest side in pixels.
    """
    means = _reduced(values, size)
    known = np.isfinite(means)
    place = (np.clip(np.where(known, means, LOWEST), LOWEST, HIGHEST) - LOWEST) / (HIGHEST - LOWEST)
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
    top = np.arange(cells_down) * rows // cells_down
    left = np.arange(cells_across) * columns // cells_across
    total = np.empty((cells_down, columns), dtype=np.int64)
    count = np.empty((cells_down, columns), dtype=np.int64)
    for cell, (start, stop) in enumerate(pairwise([*top.tolist(), rows])):
        band = values[start:stop]
        count[cell] = np.count_nonzero(band != FILL, axis=0)
        # whole numbers: what the fill adds is taken off again, exactly
        total[cell] = band.sum(axis=0, dtype=np.int64) - FILL * (len(band) - count[cell])
    total, count = (np.add.reduceat(each, left, axis=1) for each in (total, count))
    means: NDArray[np.float64] = np.full(total.shape, np.nan)
    np.divide(total * INDEX_SCALE, count, out=means, where=count > 0)
    return means


def _palette() -> bytes:
    """Red, green, blue of every entry."""
    ramp = colours_of(np.linspace(LOWEST, HIGHEST, _COLOURS))
    return ramp.tobytes() + bytes(UNKNOWN)
