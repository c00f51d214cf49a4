"""What a spectral index is, and its evaluation on reflectance.

The formulas themselves are files of facts in `spatial_assets.indices`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo.verdict import Verdict

Band: TypeAlias = "NDArray[np.float32]"
"""Reflectance of one spectral band, NaN where unknown."""


@dataclass(frozen=True, kw_only=True)
class SpectralIndex:
    """A number made of reflectances, and when it means something."""

    name: str
    """Name of the asset, the array and the table column, such as "ndvi"."""

    needs: tuple[str, ...]
    """Common band names, in the order in which `formula` takes them."""

    formula: Callable[..., Band]
    """Bands in the order of `needs` -> index values."""

    denominator: Callable[..., Band]
    """Bands in the order of `needs` -> what `formula` divides by; the index needs it positive."""

    expected_range: tuple[float, float]
    """Lowest and highest value that reflectances from 0 to 1 of a real surface give."""

    reference: str
    """Where the formula is published."""

    description: str
    """One sentence for people who have not met it."""

    def __post_init__(self) -> None:
        """Refuse an index that could not be named or checked."""
        low, high = self.expected_range
        if not self.name.isidentifier() or not self.needs or not low < high:
            message = (
                f"index {self.name!r} needs an identifier for a name, at least one band "
                f"(has {self.needs}) and a rising range (has {low} to {high})"
            )
            raise RasterError(message, reason="bad_index")


def evaluate_index(
    index: SpectralIndex, bands: Mapping[str, Band], *, valid: NDArray[np.bool_]
) -> Band:
    """Evaluate `index` wherever all bands are `valid`, however odd the answer.

    Returns:
        Values; NaN where an input was invalid or the denominator was not positive.

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
    """True where a value is known and inside the index's range. Never clip: drop."""
    low, high = index.expected_range
    inside: NDArray[np.bool_] = (values >= np.float32(low)) & (values <= np.float32(high))
    return inside


def apply_index(
    index: SpectralIndex, bands: Mapping[str, Band], valid: NDArray[np.bool_]
) -> tuple[Band, NDArray[np.bool_]]:
    """Evaluate `index` wherever the inputs are valid and the answer means something.

    Args:
        index: what to evaluate.
        bands: reflectance by common band name, all of one shape.
        valid: True where every band was observed under a clear sky.

    Returns:
        Values, NaN where invalid, and True where valid. A pixel is invalid if an input was, if
        the denominator was not positive, or if the answer lies outside the index's range; it is
        never a made-up or clipped number.

    Raises:
        RasterError: a band that the index needs is missing.
    """
    values = evaluate_index(index, bands, valid=valid)
    kept = within_range(index, values)
    return np.where(kept, values, np.float32("nan")), kept


def judge_range(index: SpectralIndex, computed: int, *, kept: int, most: float) -> Verdict:
    """Whether too many pixels were removed for lying outside the index's range.

    Args:
        index: whose range it is.
        computed: number of pixels with valid inputs.
        kept: number of those whose answer meant something.
        most: share of them that may be removed.
    """
    removed = (computed - kept) / max(computed, 1)
    low, high = index.expected_range
    return Verdict(
        passed=removed <= most,
        evidence={
            "removed_fraction": round(removed, 6),
            "computed_pixels": computed,
            "kept_pixels": kept,
            "largest_removed_fraction": most,
            "expected_range": f"{low} to {high}",
        },
    )
