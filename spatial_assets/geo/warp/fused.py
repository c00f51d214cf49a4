"""Whole windows in one compiled pass, where the compiled loops are loaded and the case is plain.

Each function says whether it did its work. Where not, the caller goes block by block in numpy,
which gives the same bits, and an error where there is one.

Sampled digital numbers to the reflectance that is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo import numba_loader
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.radiometry import FILL, Calibration, stored_reflectance
from spatial_assets.geo.warp.bilinear import NUDGE, Sampled
from spatial_assets.geo.warp.lattice import SourceCoordinates

_MOST_INDICES: Final = np.iinfo(np.int32).max
"""Source pixels that the compiled loops can number."""


def store_bilinear(
    bands: Sequence[CalibratedBand],
    *,
    window: Window,
    coordinates: SourceCoordinates,
    stored: Sequence[NDArray[np.int16]],
    known: NDArray[np.bool_],
) -> bool:
    """`bilinear.sample_bilinear` and `calibrated.store_sampled` over the whole target.

    Args:
        bands: cover `window`.
        window: absolute source window.
        coordinates: of the target in the source.
        stored: of each band, written: `FILL` in all of them where one is not known.
        known: True where a pixel is wanted; becomes False where a band is not known.
    """
    compiled, rows = numba_loader.loaded(), coordinates.lattice_rows()
    is_one_type = len({band.pixels.dtype for band in bands}) == 1
    if compiled is None or rows is None or not is_one_type or not _can_number(bands[0].pixels):
        return False
    narrowed = known.copy()
    is_lacking: bool = compiled.store_bilinear(
        tuple(band.pixels for band in bands),
        tuple(band.valid for band in bands),
        np.array([band.is_whole for band in bands]),
        np.array([band.calibration.constants for band in bands]),
        rows,
        (window.column, window.row),
        (coordinates.source.width, coordinates.source.height),
        NUDGE,
        tuple(stored),
        narrowed,
    )
    if not is_lacking:
        known[:] = narrowed
    return not is_lacking


def sample_nearest(
    classes: NDArray[Any], *, window: Window, coordinates: SourceCoordinates, result: NDArray[Any]
) -> bool:
    """`bilinear.sample_nearest` over the whole target, into `result` where a place is in the file.

    Args:
        classes: cover `window`.
        window: absolute source window.
        coordinates: of the target in the source.
        result: of the shape of the target.
    """
    compiled, rows = numba_loader.loaded(), coordinates.lattice_rows()
    if compiled is None or rows is None or not _can_number(classes):
        return False
    corner, size = (
        (window.column, window.row),
        (coordinates.source.width, coordinates.source.height),
    )
    is_lacking: bool = compiled.sample_nearest(classes, rows, corner, size, NUDGE, result)
    return not is_lacking


def _can_number(pixels: NDArray[Any]) -> bool:
    return pixels.size <= _MOST_INDICES


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
