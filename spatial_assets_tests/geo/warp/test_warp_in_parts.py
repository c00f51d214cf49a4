"""Laws of the warp: however the target is cut, a pixel has the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.warp.bilinear import Sampled
from spatial_assets.geo.warp.lattice import Lattice
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.geo.warp.warp import Kernel, Sampling
from spatial_assets_tests.geo.warp_cases import Case, make_case, source_grid

GRIDS = {
    "utm": (source_grid("EPSG:32633", (650000, 5100000), size=60, pixels=300), 11),
    "polar": (source_grid("EPSG:3995", (1500000, -900000), size=200, pixels=300), 8),
    "lonlat": (source_grid("EPSG:4326", (180.0, -15.0), size=0.01, pixels=300), 7),
    "south-up": (source_grid("EPSG:32719", (4e5, 7e6), size=60, pixels=300, south_up=True), 11),
}
SIZE = 150

WHOLE = {name: make_case(grid, "WebMercatorQuad", zoom, size=SIZE)
         for name, (grid, zoom) in GRIDS.items()}  # fmt: skip
KERNELS: tuple[Kernel, ...] = ("bilinear", "average")


@st.composite
def parts(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """(column, row, width, height) of a part of a window of SIZE pixels."""
    column, row = draw(st.integers(0, SIZE - 1)), draw(st.integers(0, SIZE - 1))
    return column, row, draw(st.integers(1, SIZE - column)), draw(st.integers(1, SIZE - row))


def part_of(case: Case, part: tuple[int, int, int, int]) -> GeoBox:
    whole = case.target.window
    window = Window(whole.column + part[0], whole.row + part[1], part[2], part[3])
    return GeoBox(window, case.target.origin, case.target.crs)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", GRIDS)
@settings(deadline=None, max_examples=25)
@given(part=parts())
def test_any_part_has_the_bits_of_the_whole(
    name: str, kernel: str, part: tuple[int, int, int, int]
) -> None:
    case = WHOLE[name]
    whole, whole_valid = case.cut(case.target, kernel=kernel)

    target = part_of(case, part)
    values, valid = case.cut(target, kernel=kernel)

    at = target.window.slices_in(case.target.window)
    assert values.tobytes() == whole[at].tobytes()
    assert valid.tobytes() == whole_valid[at].tobytes()
    assert whole_valid.any()


@pytest.mark.parametrize("name", GRIDS)
@settings(deadline=None, max_examples=25)
@given(part=parts())
def test_the_source_window_is_all_that_is_read(name: str, part: tuple[int, int, int, int]) -> None:
    """Warp from all pixels of the file, or from the required ones: the same bits."""
    case = WHOLE[name]
    target = part_of(case, part)
    sampling = Sampling.of(case.source, target)

    (everything,), valid = sampling.sample(
        "bilinear", [case.pixels], counted=case.observed, window=case.source.window
    )
    asked_for = case.cut(target, kernel="bilinear")

    assert everything.tobytes() == asked_for[0].tobytes()
    assert valid.tobytes() == asked_for[1].tobytes()


@settings(deadline=None, max_examples=30)
@given(
    bits=st.integers(0, 2**32 - 1),
    part=parts(),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
)
def test_no_pattern_of_holes_and_no_type_depends_on_the_cut(
    bits: int, part: tuple[int, int, int, int], dtype: str
) -> None:
    random = np.random.default_rng(bits)
    base = WHOLE["utm"]
    shape = base.pixels.shape
    pixels = (random.random(shape) * 250).astype(dtype)
    holes = random.random(shape) < random.random()
    target = part_of(base, part)
    results = []
    for box in (base.target, target):
        sampling = Sampling.of(base.source, box)
        for kernel in KERNELS:
            (values,), valid = sampling.sample(
                kernel, [pixels], counted=~holes, window=base.source.window
            )
            at = target.window.slices_in(box.window)
            results.append(values[at].tobytes() + valid[at].tobytes())

    assert results[:2] == results[2:]


def test_bands_of_one_grid_share_their_places_and_scenes_their_lattice() -> None:
    case = WHOLE["utm"]
    half = SourceGrid(
        transform=case.source.transform @ case.source.transform.scale(2.0),
        width=150, height=150, crs=case.source.crs,
    )  # fmt: skip
    lattice = Lattice.around(case.target, case.source.crs)
    inputs = [case.pixels, case.pixels // 2]

    def warp(sampling: Sampling, bands: list[NDArray[np.uint16]]) -> Sampled:
        return sampling.sample("bilinear", bands, counted=case.observed, window=case.source.window)

    both, valid = warp(Sampling.of(case.source, case.target, lattice=lattice), inputs)
    for values, band in zip(both, inputs, strict=True):
        (alone,), known = warp(Sampling.of(case.source, case.target), [band])

        assert values.tobytes() == alone.tobytes()
        assert valid.tobytes() == known.tobytes()
    assert Sampling.of(half, case.target, lattice=lattice).source_window("bilinear") is not None
