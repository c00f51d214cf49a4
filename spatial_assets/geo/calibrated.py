"""Sampled digital numbers to the reflectance that is stored, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo import loops
from spatial_assets.geo.bilinear import NUDGE, Sampled, sample_bilinear
from spatial_assets.geo.geobox import Window
from spatial_assets.geo.lattice import Places
from spatial_assets.geo.radiometry import FILL, Calibration, stored_reflectance
from spatial_assets.geo.source_grid import SourceGrid

_MOST_INDICES: Final = np.iinfo(np.int32).max
"""Source pixels that the compiled loops can number."""


@dataclass(frozen=True, eq=False)
class CalibratedBand:
    """Source pixels of one band that are to become stored reflectance."""

    pixels: NDArray[Any]
    """Digital numbers, shape (row, column) of the source window."""

    valid: NDArray[np.bool_]
    """True where they were observed, of the same shape."""

    calibration: Calibration

    @cached_property
    def is_whole(self) -> bool:
        """Whether every pixel was observed."""
        return bool(self.valid.all())


def store_bilinear(
    bands: Sequence[CalibratedBand],
    *,
    window: Window,
    places: Places,
    source: SourceGrid,
    stored: Sequence[NDArray[np.int16]],
    known: NDArray[np.bool_],
) -> None:
    """`sample_bilinear` of each band, calibrated and quantised, where a pixel is wanted.

    Args:
        bands: cover `window`.
        window: absolute source window.
        places: absolute (column, row) in the source of each target pixel.
        source: the whole file.
        stored: of each band, written: `FILL` in all of them where one is not known.
        known: True where a pixel is wanted; becomes False where a band is not known.

    Raises:
        RasterError: `window` is smaller than what the places need.
    """
    compiled = loops.loaded()
    is_one_type = len({band.pixels.dtype for band in bands}) == 1
    if compiled is not None and is_one_type and bands[0].pixels.size <= _MOST_INDICES:
        is_lacking = compiled.store_bilinear(
            tuple(band.pixels for band in bands),
            tuple(band.valid for band in bands),
            np.array([band.is_whole for band in bands]),
            np.array([band.calibration.constants for band in bands]),
            places,
            (window.column, window.row),
            (source.width, source.height),
            NUDGE,
            tuple(stored),
            known,
        )
        if not is_lacking:
            return
    pairs = [(band.pixels, band.valid) for band in bands]
    sampled = sample_bilinear(pairs, window=window, places=places, source=source)
    store_sampled(bands, sampled, stored=stored, known=known)


def store_sampled(
    bands: Sequence[CalibratedBand],
    sampled: Sequence[Sampled],
    *,
    stored: Sequence[NDArray[np.int16]],
    known: NDArray[np.bool_],
) -> None:
    """Calibrate and quantise what was sampled of each band; see `store_bilinear`."""
    for pixels, band, (numbers, seen) in zip(stored, bands, sampled, strict=True):
        # calibration is linear: after the warp it is the same, and costs a pass less
        pixels[:] = stored_reflectance(numbers, seen, band.calibration)
        known &= pixels != FILL
    for pixels in stored:
        np.copyto(pixels, FILL, where=~known)
