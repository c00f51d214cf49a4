"""Red and near-infrared reflectance of each land cover on a day of the year."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatial_assets.demo.landscape import LandCover, Landscape
from spatial_assets.demo.noise import FloatGrid

# Days of the year on which a crop has closed half its canopy, and has lost half of it again.
_SEASONS = {
    LandCover.MEADOW: (85.0, 330.0),
    LandCover.WHEAT: (92.0, 177.0),
    LandCover.RAPESEED: (80.0, 168.0),
    LandCover.MAIZE: (163.0, 262.0),
    LandCover.SUNFLOWER: (158.0, 232.0),
    LandCover.SOY: (170.0, 255.0),
    LandCover.ALFALFA: (75.0, 330.0),
    LandCover.VINEYARD: (125.0, 300.0),
    LandCover.FALLOW: (140.0, 240.0),
}
_MAX_CANOPY = {
    LandCover.MEADOW: 0.72,
    LandCover.WHEAT: 0.93,
    LandCover.RAPESEED: 0.92,
    LandCover.MAIZE: 0.96,
    LandCover.SUNFLOWER: 0.90,
    LandCover.SOY: 0.95,
    LandCover.ALFALFA: 0.88,
    LandCover.VINEYARD: 0.52,
    LandCover.FALLOW: 0.34,
}
_RIPENS_TO_STRAW = {LandCover.WHEAT, LandCover.RAPESEED}
_DAYS_OF_RIPENING = 20.0
_DAYS_OF_A_CUT = 38.0  # from one cut of alfalfa to the next

# (red, near-infrared) of full canopy, bare soil, straw
_LEAF = (0.030, 0.470)
_SOIL = (0.135, 0.205)
_STRAW = (0.185, 0.300)
_CONSTANT = {LandCover.WATER: (0.042, 0.021), LandCover.ROAD: (0.150, 0.215)}


def canopy(cover: LandCover, day: float, delay: FloatGrid) -> FloatGrid:
    """Share of the ground under green leaves, 0 to 1; `delay` is in days."""
    start, end = _SEASONS[cover]
    grown = 1 / (1 + np.exp(-(day - start - delay) / 6.5))
    lost = 1 / (1 + np.exp((day - end - delay) / 5.0))
    share: FloatGrid = (np.float32(_MAX_CANOPY[cover]) * grown * lost).astype(np.float32)
    if cover is LandCover.ALFALFA:
        since_cut = np.mod(day - delay * 5.0, _DAYS_OF_A_CUT) / _DAYS_OF_A_CUT
        share *= np.clip(0.35 + 1.3 * since_cut, 0, 1)
    return share


def reflectances(landscape: Landscape, day: float) -> tuple[FloatGrid, FloatGrid]:
    """Red and near-infrared reflectance of the ground on a day of the year, without clouds."""
    red, nir = np.empty((2, *landscape.cover.shape), dtype=np.float32)
    for cover in LandCover:
        here = landscape.cover == cover
        vigour, soil = landscape.vigour[here], landscape.soil[here]
        red[here], nir[here] = _cover_reflectances(
            cover, day, landscape.delay[here], vigour=vigour, soil=soil
        )
    return red, nir


def _cover_reflectances(
    cover: LandCover, day: float, delay: FloatGrid, *, vigour: FloatGrid, soil: FloatGrid
) -> tuple[FloatGrid, FloatGrid]:
    """Red and near-infrared reflectance of the cells of one land cover."""
    if cover in _CONSTANT:
        red, nir = _CONSTANT[cover]
        return red * (0.7 + 0.3 * soil), nir * (0.7 + 0.3 * soil)
    if cover is LandCover.FOREST:
        return 0.027 * _stretched(vigour, -4.0), 0.385 * _stretched(vigour, 2.2)
    if cover is LandCover.TOWN:
        gardens = np.clip(0.36 + 5.0 * (vigour - 1.0), 0.05, 0.8).astype(np.float32)
        return _mixed(gardens, (0.170, 0.215), soil)
    weeds = np.clip(0.05 + vigour - 1, 0, 0.2)
    share = np.clip(canopy(cover, day, delay) * _stretched(vigour, 1.2) + weeds, 0, 0.97)
    bare = _SOIL
    if cover in _RIPENS_TO_STRAW and day > _SEASONS[cover][1] - _DAYS_OF_RIPENING:
        bare = _STRAW
    return _mixed(share.astype(np.float32), bare, soil)


def _mixed(
    share: FloatGrid, bare: tuple[float, float], soil: FloatGrid
) -> tuple[FloatGrid, FloatGrid]:
    """Mix leaves and bare ground, by the share of leaves."""
    red, nir = (
        share * np.float32(leaf) + (1 - share) * np.float32(ground) * soil
        for leaf, ground in zip(_LEAF, bare, strict=True)
    )
    return red, nir


def _stretched(values: NDArray[np.float32], factor: float) -> FloatGrid:
    """Multiply the differences from 1 by `factor`."""
    return 1 + np.float32(factor) * (values - 1)
