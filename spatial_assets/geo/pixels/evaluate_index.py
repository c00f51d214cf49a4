"""Evaluation of a spectral index on reflectance, and the check of its range.

The definition of an index belongs in `geo/spectral.py`, formulas in `spatial_assets.indices`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo.radiometry import FILL, INDEX_SCALE
from spatial_assets.geo.spectral import Band, SpectralIndex
from spatial_assets.geo.verdict import Verdict

__all__ = [
    "Band",
    "SpectralIndex",
    "apply_index",
    "evaluate_index",
    "index_spread",
    "judge_range",
    "within_range",
]


MIN_SPREAD_PIXELS: Final = 1000
"""Fewest valid pixels whose spread is judged: one small field may well have one value."""

_SPREAD_SAMPLE_PIXELS = 1 << 16
_SPREAD_PERCENTILES = (5, 95)


def evaluate_index(
    index: SpectralIndex, bands: Mapping[str, Band], *, valid: NDArray[np.bool_]
) -> Band:
    """Evaluate `index` wherever all bands are `valid`, even if the value is out of range.

    Returns:
        Values, NaN where an input is invalid or the denominator is not positive.

    Raises:
        RasterError: a band that the index needs is missing.
    """
    missing = [band for band in index.needs if band not in bands]
    if missing:
        message = (
            f"{index.name} needs {', '.join(index.needs)}; "
            f"missing {', '.join(missing)} (have {', '.join(bands)})"
        )
        raise RasterError(message, reason="missing_band")
    inputs = [bands[band] for band in index.needs]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values = index.formula(*inputs).astype(np.float32, copy=False)
        usable = valid & (index.denominator(*inputs) > 0) & np.isfinite(values)
    return np.where(usable, values, np.float32("nan"))


def within_range(index: SpectralIndex, values: Band) -> NDArray[np.bool_]:
    """True where a value is known and in the index's range; others are dropped, not clipped."""
    low, high = index.expected_range
    inside: NDArray[np.bool_] = (values >= np.float32(low)) & (values <= np.float32(high))
    return inside


def apply_index(
    index: SpectralIndex, bands: Mapping[str, Band], valid: NDArray[np.bool_]
) -> tuple[Band, NDArray[np.bool_]]:
    """Evaluate `index` wherever the inputs are valid and the value is in the index's range.

    Args:
        index: index to evaluate.
        bands: reflectance by common band name, all of one shape.
        valid: True where every band was observed under a clear sky.

    Returns:
        Values, NaN where invalid, and True where valid. A pixel is invalid if an input is, if the
        denominator is not positive, or if the value lies outside the index's range; it never gets
        an invented or clipped value.

    Raises:
        RasterError: a band that the index needs is missing.
    """
    values = evaluate_index(index, bands, valid=valid)
    kept = within_range(index, values)
    return np.where(kept, values, np.float32("nan")), kept


def judge_range(
    index: SpectralIndex, computed: int, *, kept: int, most_removed_share: float
) -> Verdict:
    """Check that few pixels were removed for lying outside the index's range.

    Args:
        index: index with the expected range.
        computed: number of pixels with valid inputs.
        kept: number of those whose value is in the range.
        most_removed_share: largest share of them that may be removed.
    """
    removed = (computed - kept) / max(computed, 1)
    low, high = index.expected_range
    return Verdict(
        passed=removed <= most_removed_share,
        evidence={
            "removed_fraction": round(removed, 6),
            "computed_pixels": computed,
            "kept_pixels": kept,
            "largest_removed_fraction": most_removed_share,
            "expected_range": f"{low} to {high}",
        },
    )


def index_spread(values: NDArray[np.int16]) -> float | None:
    """Return the difference between the 5th and the 95th percentile of the valid values.

    Nothing on clear land is that uniform: 0 shows two bands that are alike, or a constant.

    Args:
        values: quantised index, shape (row, column); of many, a regular sample is taken.

    Returns:
        The difference as a number of the index; None: fewer than `MIN_SPREAD_PIXELS` are valid.
    """
    step = max(1, math.isqrt(values.size // _SPREAD_SAMPLE_PIXELS))
    sample = values[::step, ::step]
    valid = sample[sample != FILL]
    if valid.size < MIN_SPREAD_PIXELS:
        return None
    low, high = np.percentile(valid, _SPREAD_PERCENTILES)
    return round(float(high - low) * INDEX_SCALE, 6)
