"""The compiled composite and the numpy one agree in every bit, so it does not matter which ran."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from spatial_assets.geo import numba_loader
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.pixels.composite import Composite, compose_index
from spatial_assets.geo.pixels.evaluate_index import SpectralIndex
from spatial_assets.geo.pixels.mosaic import GranuleReflectance
from spatial_assets.geo.radiometry import FILL
from spatial_assets.indices import INDICES

compiled = pytest.importorskip("spatial_assets.geo.numba_loops", reason="numba is not installed")

ROWS, COLUMNS = 13, 41
TARGET = GeoBox(Window(0, 0, COLUMNS, ROWS), Affine(10, 0, 5e5, 0, -10, 5e6), CRS(32633))


def layers_of(index: SpectralIndex, days: int, seed: int) -> list[list[GranuleReflectance]]:
    """Days of one or two granules, with fill, zeros, negatives and the largest numbers."""
    random = np.random.default_rng(seed)
    layers = []
    for day in range(days):
        granules = []
        for part in range(1 + day % 2):
            bands = {}
            for name in index.needs:
                pixels = random.integers(-300, 6000, (ROWS, COLUMNS)).astype(np.int16)
                pixels[random.random(pixels.shape) < 0.2] = FILL
                pixels[random.random(pixels.shape) < 0.05] = 0
                pixels[random.random(pixels.shape) < 0.02] = 32767
                bands[name] = pixels
            granules.append(GranuleReflectance(f"{day}-{part}", TARGET.crs, bands))
        layers.append(granules)
    return layers


def composed(
    module: ModuleType | None, index: SpectralIndex, layers: list[list[GranuleReflectance]]
) -> Composite:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba_loader, "loaded", lambda: module)
        return compose_index(index, layers, target=TARGET, method="median")


@given(
    name=st.sampled_from(sorted(INDICES)),
    days=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_composite_has_the_same_bits(name: str, days: int, seed: int) -> None:
    index = INDICES[name]
    layers = layers_of(index, days, seed)

    found, expected = (composed(module, index, layers) for module in (compiled, None))

    assert found.values.tobytes() == expected.values.tobytes()
    assert found.observations.tobytes() == expected.observations.tobytes()
    assert (found.computed, found.kept) == (expected.computed, expected.kept)
    assert (found.values != FILL).any()
    assert found.kept < found.computed
