"""Conversions from digital numbers to reflectance, and between real numbers and stored int16.

The constants and `Calibration` are read by modules that load no array library, so numpy is
imported where arrays are handled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from spatial_assets.errors import RasterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REFLECTANCE_SCALE: Final = 1e-4
"""Reflectance of one stored step."""

INDEX_SCALE: Final = 1e-4
"""Index value of one stored step."""

FILL: Final = -32768
"""Stored number of a pixel without a valid value; valid values are -32767 to 32767."""

_LARGEST: Final = 32767

LARGEST_FLOAT: Final = float(2**20)
"""Bound of float input; a larger number is no reflectance but undeclared fill."""


@dataclass(frozen=True)
class Calibration:
    """Linear calibration of one band of one scene: reflectance = DN x scale + offset."""

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
    def constants(self) -> NDArray[np.float64]:
        """Numbers that the compiled loops need, as in `numba_loops.warp.store_bilinear`."""
        import numpy as np

        limit, steps = storable_limit(REFLECTANCE_SCALE), 1.0 / REFLECTANCE_SCALE
        return np.array([self.scale, self.offset, limit, steps, FILL], dtype=np.float64)


ALREADY_REFLECTANCE: Final = Calibration(1.0, 0.0)
"""Calibration of float input that already is reflectance."""


def fill_mask(dn: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Mark the fill values of a band: `nodata`, DN 0 of an integer band, no number of a float one.

    Args:
        dn: digital numbers as read, before any scale or offset.
        nodata: value declared by the item or the file, if any; may be NaN.

    Returns:
        True where `dn` holds no observation: in a float band also NaN, infinity and numbers from
        `LARGEST_FLOAT` on.
    """
    import numpy as np

    is_float = np.issubdtype(dn.dtype, np.floating)
    fill: NDArray[np.bool_] = ~(np.abs(dn) < LARGEST_FLOAT) if is_float else dn == 0
    if nodata is not None and math.isfinite(nodata):
        fill |= dn == nodata
    return fill


def reflectance(
    dn: NDArray[Any], calibration: Calibration, *, fill: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Calibrate `dn` and mark the usable results.

    Args:
        dn: digital numbers, integer or resampled.
        calibration: calibration of this band in this scene.
        fill: True where `dn` holds no observation; determined before the offset is added, which
            would make fill look like a measurement.

    Returns:
        Reflectance, NaN where invalid, and True where valid: observed, finite, and within
        the range of int16 at `REFLECTANCE_SCALE`.
    """
    import numpy as np

    values = dn.astype(np.float32)
    values *= np.float32(calibration.scale)
    values += np.float32(calibration.offset)
    valid = ~fill & _is_storable(values, REFLECTANCE_SCALE)
    values[~valid] = np.nan
    return values, valid


def stored_reflectance(
    numbers: NDArray[np.float32], observed: NDArray[np.bool_], calibration: Calibration
) -> NDArray[np.int16]:
    """Calibrate and quantise; `FILL` where nothing was observed or int16 cannot hold the value.

    Args:
        numbers: resampled digital numbers, shape (row, column).
        observed: True where they were observed.
        calibration: calibration of this band in this scene.
    """
    import numpy as np

    # in double precision: DN of 16 bits often end on half a stored step, which float32 misses
    values = numbers.astype(np.float64)
    values *= calibration.scale
    values += calibration.offset
    return quantise(values, observed, REFLECTANCE_SCALE)


def quantise(
    values: NDArray[np.floating[Any]], valid: NDArray[np.bool_], scale: float
) -> NDArray[np.int16]:
    """Round `values` to the nearest step of `scale`; `FILL` where invalid or beyond int16."""
    import numpy as np

    kept = valid & _is_storable(values, scale)
    steps = np.rint(np.where(kept, values, 0) * values.dtype.type(1.0 / scale))
    return np.where(kept, steps, FILL).astype(np.int16)


def dequantise(
    stored: NDArray[np.int16], scale: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Convert stored numbers to real ones, NaN where invalid, with a mask: True where valid."""
    import numpy as np

    valid = stored != FILL
    values = stored.astype(np.float32)
    # Dividing by the whole number of steps per unit gives the float nearest to the decimal.
    values /= np.float32(1.0 / scale)
    np.copyto(values, np.float32("nan"), where=~valid)
    return values, valid


def storable_limit(scale: float) -> float:
    """Smallest magnitude whose nearest step is beyond int16."""
    return (_LARGEST + 0.5) * scale


def _is_storable(values: NDArray[np.floating[Any]], scale: float) -> NDArray[np.bool_]:
    """True where the nearest step exists in int16 and is not `FILL`; False for NaN."""
    limit = values.dtype.type(storable_limit(scale))
    inside: NDArray[np.bool_] = abs(values) < limit
    return inside
