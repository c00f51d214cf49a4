"""Plausibility of calibrated pixels: a scale or offset from a catalogue may be wrong.

Judged once per scene from a fixed sample of the whole scene, so that it does not depend on a tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.radiometry import ALREADY_REFLECTANCE, Calibration, fill_mask

MIN_CLEAR_PIXELS = 500  # of the sample; a share of fewer pixels is not significant
MAX_REFLECTANCE = 3.2767  # what int16 x 1e-4 holds
DARK_PERCENTILE = 1.0


@dataclass(frozen=True, eq=False)
class SampleBand:
    """One band of the sample."""

    dn: NDArray[Any]
    """Digital numbers at the sample's pixels, shape (pixels,)."""

    nodata: float | None
    calibration: Calibration | None
    """Calibration; None: the pixels are reflectance already."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Sample pixels of a scene, in one order for all bands."""

    bands: Mapping[str, SampleBand]
    clear: NDArray[np.bool_]
    """True where the sky is clear and every band could be read, shape (pixels,)."""


@dataclass(frozen=True)
class Plausibility:
    """Verdict on a sample, and its figures."""

    implausible_share: float | None
    """Share of clear pixels that are negative or have |NDVI| > 1; None: too few clear pixels."""

    unscaled_share: float | None
    """Share of clear pixels that are floats beyond any reflectance."""

    clear_pixels: int
    red_dark_dn: float | None
    """First percentile of DN of the clear red pixels."""

    figures: Mapping[str, float | int | None]

    def is_implausible(self, most: float) -> bool:
        """Return True if a greater share than `most` shows that scale or offset is wrong."""
        return self.implausible_share is not None and self.implausible_share > most

    def is_unscaled(self, most: float) -> bool:
        """Return True if a greater share than `most` of the floats cannot be reflectance."""
        return self.unscaled_share is not None and self.unscaled_share > most

    def is_never_dark(self, added_dn: float) -> bool:
        """Return True if red looks as if `added_dn` had been added to every DN.

        Sentinel-2 adds 1000: apart from deserts, no clear land is that bright at its darkest.
        """
        return self.red_dark_dn is not None and self.red_dark_dn >= added_dn


def judge(sample: Sample) -> Plausibility:
    """Judge a sample: red and nir if it has both, else all its bands."""
    clear = sample.clear.copy()
    for band in sample.bands.values():
        clear &= ~fill_mask(band.dn, band.nodata)
    count = int(np.count_nonzero(clear))
    if count < MIN_CLEAR_PIXELS:
        return Plausibility(None, None, count, None, {"clear_sample_pixels": count})
    has_both = {"red", "nir"} <= set(sample.bands)
    judged = ["nir", "red"] if has_both else sorted(sample.bands)
    values = {name: _reflectance(sample.bands[name], clear) for name in judged}
    wrong = np.zeros(count, dtype=np.bool_)
    beyond = np.zeros(count, dtype=np.bool_)
    for name, value in values.items():
        wrong |= value < 0
        if sample.bands[name].calibration is None:
            beyond |= value > MAX_REFLECTANCE
    red = sample.bands.get("red")
    dark = None if red is None else float(np.percentile(red.dn[clear], DARK_PERCENTILE))
    ndvi = _ndvi(values)
    if ndvi is not None:
        wrong |= ~(np.abs(ndvi) <= 1.0)
    share, unscaled = float(wrong.mean()), float(beyond.mean())
    figures = {
        "clear_sample_pixels": count,
        "implausible_share": round(share, 6),
        "unscaled_share": round(unscaled, 6),
        "red_dn_1st_percentile": dark,
        "ndvi_median": None if ndvi is None else _median(ndvi),
    }
    return Plausibility(share, unscaled, count, dark, figures)


def _reflectance(band: SampleBand, clear: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return calibrated values of the clear pixels."""
    calibration = band.calibration or ALREADY_REFLECTANCE
    return band.dn[clear].astype(np.float64) * calibration.scale + calibration.offset


def _ndvi(values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """Return NDVI if both bands are there; a sum of zero counts as implausible."""
    if not {"red", "nir"} <= set(values):
        return None
    red, nir = values["red"], values["nir"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ndvi: NDArray[np.float64] = (nir - red) / (nir + red)
    return ndvi


def _median(values: NDArray[np.float64]) -> float | None:
    """Return the median of the finite values, rounded for display; None: there are none."""
    finite = values[np.isfinite(values)]
    return round(float(np.median(finite)), 6) if finite.size else None
