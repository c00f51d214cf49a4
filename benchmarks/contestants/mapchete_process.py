"""Process file of the mapchete contestant: inputs are named red_0, nir_0, scl_0, red_1, ..."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ma
from numpy.typing import NDArray

from benchmarks.contestants.arrays import median_of, ndvi_of
from benchmarks.contestants.task import CLEAR


def execute(mp: Any, days: int) -> NDArray[np.int16]:  # noqa: ANN401 - as mapchete calls it
    """Bands of the output: the index, the observations, and red and nir of each day."""
    found, kept = [], []
    for day in range(days):
        red, nir = (filled(mp, f"{band}_{day}", "bilinear") for band in ("red", "nir"))
        clear = np.isin(filled(mp, f"scl_{day}", "nearest"), CLEAR) & (red > 0) & (nir > 0)
        found.append(ndvi_of(red, nir, clear))
        kept += [np.where(clear, band, 0).astype(np.int16) for band in (red, nir)]
    stacked = np.stack(found)
    observations = np.isfinite(stacked).sum(axis=0, dtype=np.int16)
    return np.stack([median_of(stacked), observations, *kept])


def filled(mp: Any, name: str, resampling: str) -> NDArray[Any]:  # noqa: ANN401
    """Read a band on the pixels of the process tile; 0 is nodata."""
    with mp.open(name) as source:
        pixels: NDArray[Any] = ma.filled(source.read(1, resampling=resampling), 0)
        return pixels
