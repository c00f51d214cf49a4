"""Sampled digital numbers to the reflectance that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.bilinear import Sampled
from spatial_assets.geo.radiometry import FILL, Calibration, stored_reflectance


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


def store_sampled(
    bands: Sequence[CalibratedBand],
    sampled: Sequence[Sampled],
    *,
    stored: Sequence[NDArray[np.int16]],
    known: NDArray[np.bool_],
) -> None:
    """Calibrate and quantise what was sampled of each band.

    Args:
        bands: whose calibration it is.
        sampled: of each band.
        stored: of each band, written: `FILL` in all of them where one is not known.
        known: True where a pixel is wanted; becomes False where a band is not known.
    """
    for pixels, band, (numbers, seen) in zip(stored, bands, sampled, strict=True):
        # calibration is linear: after the warp it is the same, and costs a pass less
        pixels[:] = stored_reflectance(numbers, seen, band.calibration)
        known &= pixels != FILL
    for pixels in stored:
        np.copyto(pixels, FILL, where=~known)
