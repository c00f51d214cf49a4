"""Plausibility of calibrated pixels: a scale or offset from a catalogue may be wrong.

Judged once per scene from a fixed sample of the whole scene, so that it does not depend on a tile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.radiometry import ALREADY_REFLECTANCE, Calibration, fill_mask

MIN_CLEAR_PIXELS = 500  # of the sample; a share of fewer pixels is not significant
MAX_STORED = 3.2767  # what int16 x 1e-4 holds
MAX_REFLECTANCE = 1.6
"""Largest reflectance of a real surface, tilted snow included: that of the largest DN of Landsat's
level-2 product. Vegetation and soil of a scale ten times too large lie beyond it."""

MAX_SATURATED_SHARE = 0.01  # some glint and roofs; such pixels are stored as fill
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
    """Share of clear pixels that are negative, brighter than any surface, or have |NDVI| > 1; None:
    too few clear pixels."""

    unscaled_share: float | None
    """Share of clear pixels that are floats beyond any reflectance."""

    saturated_share: float | None
    """Share of clear pixels beyond what is stored, which become fill."""

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

    @property
    def is_saturated(self) -> bool:
        """True if more pixels than few are lost, as they are beyond what is stored."""
        return self.saturated_share is not None and self.saturated_share > MAX_SATURATED_SHARE

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
        return Plausibility(None, None, None, count, None, {"clear_sample_pixels": count})
    values = {name: _reflectance(band, clear) for name, band in sample.bands.items()}
    ndvi = _ndvi(values)
    negative = _any(values[name] < 0 for name in _judged(values))
    bright = _any(value > MAX_REFLECTANCE for value in values.values())
    saturated = _any(np.abs(value) > MAX_STORED for value in values.values())
    floats = [name for name, band in sample.bands.items() if band.calibration is None]
    unscaled = _any([np.zeros(count, np.bool_), *(values[one] > MAX_STORED for one in floats)])
    wrong = negative | bright
    if ndvi is not None:
        wrong |= ~(np.abs(ndvi) <= 1.0)
    red = sample.bands.get("red")
    dark = None if red is None else float(np.percentile(red.dn[clear], DARK_PERCENTILE))
    figures = {
        "clear_sample_pixels": count,
        "implausible_share": _share(wrong),
        "negative_share": _share(negative),
        "bright_share": _share(bright),
        "saturated_share": _share(saturated),
        "unscaled_share": _share(unscaled),
        "red_dn_1st_percentile": dark,
        "ndvi_median": None if ndvi is None else _median(ndvi),
    }
    return Plausibility(
        implausible_share=float(wrong.mean()),
        unscaled_share=float(unscaled.mean()),
        saturated_share=float(saturated.mean()),
        clear_pixels=count,
        red_dark_dn=dark,
        figures=figures,
    )


def _judged(values: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """Return the bands whose sign is judged: the blue of dark land is often below zero."""
    return ["nir", "red"] if {"red", "nir"} <= set(values) else sorted(values)


def _any(masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Return True where any of the masks is."""
    found: NDArray[np.bool_] = np.logical_or.reduce(list(masks))
    return found


def _share(mask: NDArray[np.bool_]) -> float:
    """Return the share of pixels where a mask is True, rounded for display."""
    return round(float(mask.mean()), 6)


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
