"""The compiled loops and the numpy ones agree in every bit, so it does not matter which ran."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.errors import RasterError
from spatial_assets.geo import numba_loader
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.radiometry import FILL, Calibration
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.geo.warp.warp import CalibratedBand, Sampling
from spatial_assets_tests.geo.warp_cases import Case, make_case, matrix_origin, source_grid

compiled = pytest.importorskip("spatial_assets.geo.numba_loops", reason="numba is not installed")

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
        patch.setattr(numba_loader, "loaded", lambda: module)
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


Stored = tuple[NDArray[np.int16], NDArray[np.bool_]]


def store(
    case: Case,
    bands: list[NDArray[Any]],
    counted: NDArray[np.bool_],
    *,
    wanted: NDArray[np.bool_],
    calibration: Calibration,
) -> Stored:
    """Stored reflectance of bands, shape (band, row, column), and what is known of the pixels."""
    sampling = Sampling.of(case.source, case.target)
    stored = np.empty((len(bands), *case.target.window.shape), dtype=np.int16)
    known = wanted.copy()
    sampling.store(
        "bilinear",
        [CalibratedBand(pixels, calibration) for pixels in bands],
        counted=counted,
        window=case.source.window,
        stored=list(stored),
        known=known,
    )
    return stored, known


@pytest.mark.parametrize("name", CASES)
def test_the_cases_are_such_that_the_compiled_loops_run(name: str) -> None:
    assert (
        Sampling.of(CASES[name].source, CASES[name].target).coordinates.lattice_rows() is not None
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
@settings(deadline=None, max_examples=4)
@given(
    seed=st.integers(0, 2**32 - 1),
    holes=st.sampled_from([0.0, 0.05, 0.6]),
    unwanted=st.sampled_from([0.0, 0.4]),
    calibration=st.builds(Calibration, st.floats(1e-6, 1.0), st.floats(-1.0, 1.0)),
)
def test_reflectance_has_the_same_bits(
    name: str,
    kind: str,
    *,
    seed: int,
    holes: float,
    unwanted: float,
    calibration: Calibration,
) -> None:
    case, random = CASES[name], np.random.default_rng(seed)
    bands = [of_kind(case, kind, seed + number) for number in range(2)]
    counted = random.random(case.pixels.shape) >= holes
    wanted = random.random(case.target.window.shape) >= unwanted

    (stored, known), (expected, expected_known) = both(
        lambda: store(case, bands, counted, wanted=wanted, calibration=calibration)
    )

    assert known.tobytes() == expected_known.tobytes()
    assert stored.tobytes() == expected.tobytes()
    assert not (known & ~wanted).any()


def test_where_cells_need_exact_places_numpy_stands_in() -> None:
    """Around the pole a cubic misses: the answer is the same, whatever is loaded."""
    cap = SourceGrid(
        transform=Affine(0.9, 0, -180, 0, -0.0125, 90), width=400, height=400, crs=CRS(4326)
    )
    crs, origin = matrix_origin("UPSArcticWGS84Quad", 7)
    column, row = ~origin @ (2000000.0, 2000000.0)
    target = GeoBox(Window(round(column) - 100, round(row) - 100, 200, 200), origin, crs)
    pixels = np.random.default_rng(1).integers(500, 4500, (400, 400)).astype(np.uint16)
    case = Case(cap, target, pixels)
    sampling = Sampling.of(case.source, case.target)
    assert sampling.coordinates.lattice_rows() is None
    everywhere = np.ones(case.target.window.shape, dtype=np.bool_)
    plain = Calibration(1e-4, 0.0)

    found, expected = both(
        lambda: store(case, [pixels], case.observed, wanted=everywhere, calibration=plain)
    )

    assert found[0].tobytes() == expected[0].tobytes()
    assert (found[0] != FILL).any()


@pytest.mark.parametrize("module", [compiled, None], ids=["compiled", "numpy"])
def test_stored_reflectance_is_the_sampled_one_calibrated(module: ModuleType | None) -> None:
    case, calibration = CASES["utm"], Calibration(1e-4, -0.01)
    everywhere = np.ones(case.target.window.shape, dtype=np.bool_)
    sampling = Sampling.of(case.source, case.target)
    bands = [case.pixels, case.pixels]

    stored, known = with_loops(
        module,
        lambda: store(case, bands, case.observed, wanted=everywhere, calibration=calibration),
    )

    (numbers,), seen = sampling.sample(
        "bilinear", bands[:1], counted=case.observed, window=case.source.window
    )
    expected = np.where(seen, np.rint((numbers * 1e-4 - 0.01) * 1e4), FILL)
    np.testing.assert_array_equal(known, seen)
    for each in stored:
        assert np.abs(each - expected).max() <= 1  # float32 and float64 may round a half apart
        np.testing.assert_array_equal(each == FILL, ~seen)


def test_bands_of_several_types_are_stored_too() -> None:
    case = CASES["utm"]
    everywhere = np.ones(case.target.window.shape, dtype=np.bool_)
    bands: list[NDArray[Any]] = [case.pixels, case.pixels.astype(np.float32)]
    plain = Calibration(1e-4, 0.0)

    (stored, known), (expected, expected_known) = both(
        lambda: store(case, bands, case.observed, wanted=everywhere, calibration=plain)
    )

    assert stored.tobytes() == expected.tobytes()
    assert known.tobytes() == expected_known.tobytes()


@pytest.mark.parametrize("kernel", ["bilinear", "stored"])
@pytest.mark.parametrize("module", [compiled, None], ids=["compiled", "numpy"])
def test_too_small_a_window_is_refused(kernel: str, module: ModuleType | None) -> None:
    case = CASES["utm"]
    sampling = Sampling.of(case.source, case.target)
    whole = sampling.source_window("bilinear")
    assert whole is not None
    less = Window(whole.column, whole.row, whole.width - 8, whole.height)
    at = less.slices_in(case.source.window)

    def warp() -> object:
        if kernel == "stored":
            band = CalibratedBand(case.pixels[at], Calibration(1e-4, 0.0))
            stored = np.empty(case.target.window.shape, dtype=np.int16)
            known = np.ones(stored.shape, dtype=np.bool_)
            sampling.store(
                "bilinear",
                [band],
                counted=case.observed[at],
                window=less,
                stored=[stored],
                known=known,
            )
            return stored
        return sampling.sample(
            "bilinear", [case.pixels[at]], counted=case.observed[at], window=less
        )

    with pytest.raises(RasterError, match="needs source") as raised:
        with_loops(module, warp)
    assert raised.value.reason == "window_too_small"


def test_a_small_target_does_not_load_the_compiler() -> None:
    program = """if True:
        import sys
        from spatial_assets.geo import numba_loader
        from spatial_assets.pipeline.tile import walk
        numba_loader.load_for(512 * 512)
        assert numba_loader.loaded() is None and "numba" not in sys.modules
        numba_loader.load_for(2048 * 2048)
        assert numba_loader.loaded() is not None
    """
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_compiled_loop_calls_none_of_another_file() -> None:
    """A loop cached on disk would not be recompiled after a change in another file."""
    folder = Path(compiled.__file__).parent
    for file in sorted(folder.glob("*.py")):
        imported = {
            node.module
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(compiled.__name__)
        }
        if file.name != "__init__.py":
            assert imported <= {f"{compiled.__name__}.compiler"}, file.name
