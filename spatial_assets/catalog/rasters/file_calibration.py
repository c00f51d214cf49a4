"""Calibration of a band: what its item states, else its file, else the rule of the sensor.

GDAL keeps scale and offset of a band in the file's metadata; 1 and 0 mean that it has none.
"""

from __future__ import annotations

import math

from spatial_assets.catalog.rasters.gdal_datasets import Dataset
from spatial_assets.catalog.rasters.headers import is_float
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import RasterError, SceneError
from spatial_assets.geo.radiometry import Calibration
from spatial_assets.project.secrets import mask_secrets

ROUNDING = 1e-5
"""Relative difference of two spellings of one number: a float32 has seven digits."""


def calibration_of(dataset: Dataset, source: BandSource) -> tuple[Calibration | None, bool]:
    """Return the calibration of a reflective band, and True if any of it is the file's.

    None: the pixels are floats without scale and offset in the file, so they are reflectance.

    Raises:
        SceneError: `radiometry_disagrees`: item and file state different numbers;
            `radiometry_unknown`: neither of them, nor the sensor, has any that is usable.
    """
    scale, offset = _of_file(dataset, source)
    if scale is None and offset is None and is_float(dataset, source):
        return None, False
    if scale is not None and source.stated_scale is not None:
        _require_equal(scale, (source.stated_scale,), "scale", source=source)
    if offset is not None and source.stated_offsets:
        _require_equal(offset, source.stated_offsets, "offset", source=source)
    known, stated_offset = source.calibration, next(iter(source.stated_offsets), None)
    if known is None and scale is None and not is_float(dataset, source):
        raise SceneError(
            f"{source.uncalibrated or 'the item says that the pixels are reflectance'}; and "
            f"{mask_secrets(source.href)} holds integers without a scale",
            reason="radiometry_unknown",
        )
    try:
        resolved = Calibration(
            _choose(scale, source.stated_scale, known.scale if known else None, default=1.0),
            _choose(offset, stated_offset, known.offset if known else None, default=0.0),
        )
    except RasterError as error:
        raise SceneError(
            f"{mask_secrets(source.href)}, band {source.index}: {error}",
            reason="radiometry_unknown",
        ) from error
    return resolved, is_float(dataset, source) or resolved != known


def _of_file(dataset: Dataset, source: BandSource) -> tuple[float | None, float | None]:
    """Return scale and offset in the file's metadata; None where it states none."""
    scale, offset = dataset.scales[source.index - 1], dataset.offsets[source.index - 1]
    return None if scale == 1.0 else float(scale), None if offset == 0.0 else float(offset)


def _choose(
    of_file: float | None, stated: float | None, known: float | None, *, default: float
) -> float:
    """Return the number that counts: stated by the item, else by the file, else known."""
    is_same = (
        of_file is None or stated is not None or (known is not None and _equal(of_file, known))
    )
    if known is not None and is_same:
        return known
    return next(number for number in (stated, of_file, default) if number is not None)


def _equal(one: float, other: float) -> bool:
    """Return True if two numbers differ by rounding only."""
    return math.isclose(one, other, rel_tol=ROUNDING)


def _require_equal(
    of_file: float, stated: tuple[float, ...], what: str, *, source: BandSource
) -> None:
    """Refuse a number of the file that none of those of the item equals.

    Raises:
        SceneError: `radiometry_disagrees`.
    """
    if not any(_equal(of_file, one) for one in stated):
        raise SceneError(
            f"band {source.name}: the item states {what} {stated[0]:.9g}, and "
            f"{mask_secrets(source.href)} {of_file:.9g}; correct the one that is wrong",
            reason="radiometry_disagrees",
        )
