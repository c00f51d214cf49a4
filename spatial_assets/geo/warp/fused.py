"""Warps of whole windows in one compiled pass, and the calibration of what was sampled.

A compiled pass runs if the loops are loaded and the case is regular; its function returns False
if it did not. The caller then warps block by block in numpy, with the same bits and, if the input
is wrong, an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo import numba_loader
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.radiometry import FILL, Calibration, stored_reflectance
from spatial_assets.geo.warp.bilinear import NUDGE, Sampled
from spatial_assets.geo.warp.lattice import SourceCoordinates

_MAX_INDICES: Final = np.iinfo(np.int32).max
"""Largest number of source pixels that the compiled loops can index."""


def store_bilinear(
    bands: Sequence[CalibratedBand],
    counted: NDArray[np.bool_],
    *,
    window: Window,
    coordinates: SourceCoordinates,
    stored: Sequence[NDArray[np.int16]],
    known: NDArray[np.bool_],
) -> bool:
    """Run `bilinear.sample_bilinear` and `store_sampled` over the whole target.

    Args:
        bands: source bands that cover `window`, finite where they count.
        counted: True where a source pixel counts, in all bands.
        window: absolute source window.
        coordinates: coordinates of the target in the source.
        stored: output of each band; `FILL` in all bands where one is unknown.
        known: True where a pixel is requested; set to False where a band is unknown.

    Returns:
        True if done. False: `known` is unchanged, and the caller must warp in numpy.
    """
    compiled, rows = numba_loader.loaded(), coordinates.lattice_rows()
    if compiled is None or rows is None or not _can_loop(bands, counted):
        return False
    narrowed = known.copy()
    corner = (window.column, window.row)
    size = (coordinates.source.width, coordinates.source.height)
    is_lacking: bool = compiled.store_bilinear(
        tuple(band.pixels for band in bands),
        counted,
        np.array([band.calibration.constants for band in bands]),
        rows,
        (corner, size, NUDGE),
        (tuple(stored), narrowed),
    )
    if not is_lacking:
        known[:] = narrowed
    return not is_lacking


def _can_loop(bands: Sequence[CalibratedBand], counted: NDArray[np.bool_]) -> bool:
    """True if the bands are of one type, and their pixels neither too few nor too many."""
    is_one_type = len({band.pixels.dtype for band in bands}) == 1
    return is_one_type and min(counted.shape) > 1 and counted.size <= _MAX_INDICES


@dataclass(frozen=True, eq=False)
class CalibratedBand:
    """Source pixels of one band, and the calibration that turns them into reflectance."""

    pixels: NDArray[Any]
    """Digital numbers, shape (row, column) of the source window."""

    calibration: Calibration


def store_sampled(
    bands: Sequence[CalibratedBand],
    sampled: Sampled,
    *,
    stored: Sequence[NDArray[np.int16]],
    known: NDArray[np.bool_],
) -> None:
    """Calibrate and quantise the sampled values of each band.

    Args:
        bands: source bands, for their calibrations.
        sampled: sampled values of each band, and their mask.
        stored: output of each band; `FILL` in all bands where one is unknown.
        known: True where a pixel is requested; set to False where a band is unknown.
    """
    values, valid = sampled
    for pixels, band, numbers in zip(stored, bands, values, strict=True):
        # calibration is linear, so it gives the same result after the warp and saves a pass
        pixels[:] = stored_reflectance(numbers, valid, band.calibration)
        known &= pixels != FILL
    for pixels in stored:
        np.copyto(pixels, FILL, where=~known)
