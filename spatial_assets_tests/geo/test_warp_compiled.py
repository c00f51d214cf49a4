"""The compiled loops and the numpy ones agree in every bit, so it does not matter which ran."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo import loops
from spatial_assets.geo.geobox import Window
from spatial_assets.geo.radiometry import FILL, Calibration, stored_reflectance
from spatial_assets.geo.warp import Sampling
from spatial_assets_tests.geo.warping import Case, make_case, source_grid

compiled = pytest.importorskip("spatial_assets.geo.compiled", reason="numba is not installed")

GRIDS = {
    "utm": (source_grid("EPSG:32633", (650000, 5100000), size=60, pixels=200), 11),
    "polar": (source_grid("EPSG:3995", (1500000, -900000), size=200, pixels=200), 8),
    "lonlat": (source_grid("EPSG:4326", (180.0, -15.0), size=0.01, pixels=200), 7),
    "south-up": (source_grid("EPSG:32719", (4e5, 7e6), size=60, pixels=200, south_up=True), 11),
}
CASES = {
    name: make_case(grid, "WebMercatorQuad", zoom, size=220) for name, (grid, zoom) in GRIDS.items()
}
KINDS = ("uint16", "int16", "uint8", "float32", "float64")

Answer = TypeVar("Answer")


def with_loops(module: ModuleType | None, answer: Callable[[], Answer]) -> Answer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loops, "loaded", lambda: module)
        return answer()


def both(answer: Callable[[], Answer]) -> tuple[Answer, Answer]:
    return with_loops(compiled, answer), with_loops(None, answer)


def of_kind(case: Case, kind: str, seed: int) -> NDArray[Any]:
    """Pixels of a type, with the odd numbers that a float file may hold."""
    random = np.random.default_rng(seed)
    shape = case.pixels.shape
    if kind.startswith("float"):
        pixels = random.normal(0.2, 0.2, shape).astype(kind)
        pixels[random.random(shape) < 0.02] = np.nan
        pixels[random.random(shape) < 0.01] = np.inf
        pixels[random.random(shape) < 0.01] = {"float32": 1e30, "float64": 1e300}[kind]
        return pixels
    limits = np.iinfo(kind)
    return random.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.05, 0.6]))
def test_bilinear_has_the_same_bits(name: str, kind: str, seed: int, share: float) -> None:
    case = CASES[name]
    pixels = of_kind(case, kind, seed)
    valid = np.random.default_rng(seed).random(pixels.shape) >= share

    def warped() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        sampling = Sampling.of(case.source, case.target)
        return sampling.bilinear([(pixels, valid)], window=case.source.window)[0]

    (values, kept), (expected, expected_kept) = both(warped)

    assert kept.tobytes() == expected_kept.tobytes()
    assert values.tobytes() == expected.tobytes()
    assert kept.any()


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("name", CASES)
def test_nearest_has_the_same_classes(name: str, kind: str) -> None:
    case = CASES[name]
    classes = of_kind(case, kind, 1)

    def warped() -> NDArray[Any]:
        sampling = Sampling.of(case.source, case.target)
        return sampling.nearest(classes, window=case.source.window, fill_value=0)

    found, expected = both(warped)

    assert found.tobytes() == expected.tobytes()
    assert found.any()


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(1e-6, 1.0),
    offset=st.floats(-1.0, 1.0),
    spread=st.sampled_from([1e-3, 1.0, 1e4, 1e36]),
)
@settings(deadline=None, max_examples=60)
def test_calibration_stores_the_same_steps(
    seed: int, scale: float, offset: float, spread: float
) -> None:
    random = np.random.default_rng(seed)
    numbers = random.normal(0.0, spread, (7, 64)).astype(np.float32)
    numbers[0, :3] = (np.nan, np.inf, -np.inf)
    seen = random.random(numbers.shape) > 0.1

    found, expected = both(lambda: stored_reflectance(numbers, seen, Calibration(scale, offset)))

    assert found.tobytes() == expected.tobytes()
    assert (found[~seen] == FILL).all()


@pytest.mark.parametrize("kernel", ["bilinear", "nearest"])
@pytest.mark.parametrize("module", [compiled, None], ids=["compiled", "numpy"])
def test_too_small_a_window_is_refused(kernel: str, module: ModuleType | None) -> None:
    case = CASES["utm"]
    sampling = Sampling.of(case.source, case.target)
    whole = sampling.source_window("bilinear")
    assert whole is not None
    less = Window(whole.column, whole.row, whole.width - 8, whole.height)
    at = less.slices_in(case.source.window)

    def warp() -> object:
        if kernel == "nearest":
            return sampling.nearest(case.pixels[at], window=less, fill_value=0)
        return sampling.bilinear([(case.pixels[at], case.observed[at])], window=less)

    with pytest.raises(RasterError, match="needs source") as raised:
        with_loops(module, warp)
    assert raised.value.reason == "window_too_small"


def test_a_small_target_does_not_load_the_compiler() -> None:
    program = """if True:
        import sys
        from spatial_assets.geo import loops
        from spatial_assets.pipeline import walk
        loops.load_for(512 * 512)
        assert loops.loaded() is None and "numba" not in sys.modules
        loops.load_for(2048 * 2048)
        assert loops.loaded() is not None
    """
    subprocess.run([sys.executable, "-c", program], check=True)
