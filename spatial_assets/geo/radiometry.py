"""Digital numbers to reflectance, and real numbers to the int16 we store and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError

REFLECTANCE_SCALE: Final = 1e-4
"""Reflectance of one stored step."""

INDEX_SCALE: Final = 1e-4
"""Index value of one stored step."""

FILL: Final = -32768
"""Stored where nothing valid is known. The values are -32767 to 32767."""

_LARGEST: Final = 32767


@dataclass(frozen=True)
class Calibration:
    """Reflectance = DN x scale + offset, as resolved for one band of one scene."""

    scale: float
    """Reflectance of one DN step, positive."""

    offset: float
    """Reflectance of DN 0."""

    def __post_init__(self) -> None:
        """Refuse numbers that no archive means."""
        if not (math.isfinite(self.scale) and self.scale > 0 and math.isfinite(self.offset)):
            message = f"need a positive scale and a finite offset, got {self.scale}, {self.offset}"
            raise RasterError(message, reason="bad_calibration")

    @cached_property
    def constants(self) -> NDArray[np.float32]:
        """What the compiled loops take: see `compiled.store_bilinear`."""
        limit, steps = storable_limit(REFLECTANCE_SCALE), 1.0 / REFLECTANCE_SCALE
        return np.array([self.scale, self.offset, limit, steps, FILL], dtype=np.float32)


ALREADY_REFLECTANCE: Final = Calibration(1.0, 0.0)
"""For float input that is reflectance as it comes."""


def fill_mask(dn: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """True where `dn` holds no observation: `nodata`, not a number, or DN 0 of an integer band.

    Args:
        dn: digital numbers as read, before any scale or offset.
        nodata: what the item or the file declares, if it does; may be NaN.
    """
    is_float = np.issubdtype(dn.dtype, np.floating)
    fill: NDArray[np.bool_] = ~np.isfinite(dn) if is_float else dn == 0
    if nodata is not None and math.isfinite(nodata):
        fill |= dn == nodata
    return fill


def reflectance(
    dn: NDArray[Any], calibration: Calibration, *, fill: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Calibrate `dn` and say where the result can be used.

    Args:
        dn: digital numbers, whole or resampled.
        calibration: of this band in this scene.
        fill: True where `dn` holds no observation, decided before the offset makes it look real.

    Returns:
        Reflectance, NaN where invalid, and True where valid: observed, finite, and within
        what int16 holds at `REFLECTANCE_SCALE`.
    """
    values = dn.astype(np.float32)
    values *= np.float32(calibration.scale)
    values += np.float32(calibration.offset)
    valid = ~fill & _representable(values, REFLECTANCE_SCALE)
    values[~valid] = np.nan
    return values, valid


def stored_reflectance(
    numbers: NDArray[np.float32], seen: NDArray[np.bool_], calibration: Calibration
) -> NDArray[np.int16]:
    """`quantise` of `reflectance`: `FILL` where nothing was seen or int16 cannot hold it.

    Args:
        numbers: resampled digital numbers, shape (row, column).
        seen: True where they were observed.
        calibration: of this band in this scene.
    """
    values, usable = reflectance(numbers, calibration, fill=~seen)
    return quantise(values, usable, REFLECTANCE_SCALE)


def quantise(
    values: NDArray[np.floating[Any]], valid: NDArray[np.bool_], scale: float
) -> NDArray[np.int16]:
    """Store `values` to the nearest step of `scale`; `FILL` where invalid or beyond int16."""
    kept = valid & _representable(values, scale)
    steps = np.rint(np.where(kept, values, 0) * values.dtype.type(1.0 / scale))
    return np.where(kept, steps, FILL).astype(np.int16)


def dequantise(
    stored: NDArray[np.int16], scale: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Real numbers of `stored`, NaN where invalid, and True where valid."""
    valid = stored != FILL
    values = stored.astype(np.float32)
    # A division by the whole number of steps per unit gives the float nearest to the decimal.
    values /= np.float32(1.0 / scale)
    np.copyto(values, np.float32("nan"), where=~valid)
    return values, valid


def _representable(values: NDArray[np.floating[Any]], scale: float) -> NDArray[np.bool_]:
    """True where the nearest step exists in int16 and is not `FILL`; NaN is not representable."""
    inside: NDArray[np.bool_] = np.abs(values) < values.dtype.type(storable_limit(scale))
    return inside


def storable_limit(scale: float) -> float:
    """The least number whose nearest step is beyond int16."""
    return (_LARGEST + 0.5) * scale
