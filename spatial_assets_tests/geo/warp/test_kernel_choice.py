"""Decisions for a whole scene: the kernel, and the alignment of its bands."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.warp.kernel_choice import class_window_of, classes_on_band_grid, pixel_ratio
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.geo.warp.warp import choose_kernel
from spatial_assets_tests.geo.warp_cases import matrix_origin, source_grid

UTM = CRS(32633)
BAND = SourceGrid(transform=Affine(10, 0, 500000, 0, -10, 5000000), width=60, height=60, crs=UTM)


def utm_target(size: float) -> GeoBox:
    return GeoBox(Window(0, 0, 1, 1), Affine(size, 0, 5e5, 0, -size, 5e6), UTM)


@pytest.mark.parametrize(
    ("size", "kernel"), [(5, "bilinear"), (20, "bilinear"), (20.1, "average"), (600, "average")]
)
def test_up_to_twice_the_source_pixel_is_bilinear(size: float, kernel: str) -> None:
    assert choose_kernel(BAND, utm_target(size)) == kernel


def test_the_ratio_is_that_of_the_scenes_centre_on_the_ground() -> None:
    """38.2 m of web-mercator zoom 12 are 26.6 m at 46 degrees north."""
    crs, origin = matrix_origin("WebMercatorQuad", 12)
    box = GeoBox(Window(0, 0, 1, 1), origin, crs)

    ratio = pixel_ratio(source_grid("EPSG:32633", (5e5, 5094000), size=10, pixels=400), box)

    assert ratio == pytest.approx(2.66, abs=0.003)


def test_the_ratio_is_the_same_however_the_grids_are_turned() -> None:
    crs, origin = matrix_origin("WebMercatorQuad", 8)
    box = GeoBox(Window(0, 0, 1, 1), origin, crs)
    ratios = [
        pixel_ratio(source_grid("EPSG:3995", centre, size=200, pixels=10), box)
        for centre in ((0.0, -1500000.0), (1060660.17, -1060660.17))
    ]

    assert ratios[0] == pytest.approx(ratios[1], rel=1e-4)


def test_a_scene_whose_centre_has_no_place_on_the_grid_is_refused() -> None:
    crs, origin = matrix_origin("WebMercatorQuad", 8)
    cap = source_grid("EPSG:4326", (0.0, 95.0), size=0.1, pixels=10)

    with pytest.raises(RasterError) as caught:
        choose_kernel(cap, GeoBox(Window(0, 0, 1, 1), origin, crs))

    assert caught.value.reason == "off_the_grid"


def test_coarser_classes_are_repeated_over_the_band_pixels_they_contain() -> None:
    classes = SourceGrid(transform=Affine(20, 0, 5e5, 0, -20, 5e6), width=2, height=2, crs=UTM)

    found = classes_on_band_grid(
        np.array([[4, 9], [3, 5]], dtype=np.uint8), classes.window,
        class_grid=classes, band_grid=BAND, band_window=Window(0, 0, 5, 4), fill_value=0,
    )  # fmt: skip

    assert found.tolist() == [[4, 4, 9, 9, 0], [4, 4, 9, 9, 0], [3, 3, 5, 5, 0], [3, 3, 5, 5, 0]]


def test_a_half_pixel_shift_of_the_classes_is_honoured() -> None:
    """Class pixels of 20 m that begin 10 m to the west: every other column moves on."""
    classes = SourceGrid(transform=Affine(20, 0, 499990, 0, -20, 5e6), width=3, height=1, crs=UTM)

    found = classes_on_band_grid(
        np.array([[1, 2, 3]], dtype=np.uint8), classes.window,
        class_grid=classes, band_grid=BAND, band_window=Window(0, 0, 5, 1), fill_value=0,
    )  # fmt: skip

    assert found.tolist() == [[1, 2, 2, 3, 3]]


@given(
    left=st.integers(0, 50), top=st.integers(0, 50),
    shift=st.floats(-30, 30), size=st.sampled_from([10.0, 20.0, 60.0]),
)  # fmt: skip
def test_classes_of_any_part_are_those_of_the_whole(
    left: int, top: int, *, shift: float, size: float
) -> None:
    grid = SourceGrid(
        transform=Affine(size, 0, 5e5 + shift, 0, -size, 5e6 - shift), width=12, height=12, crs=UTM
    )
    classes = np.arange(144, dtype=np.uint8).reshape(12, 12)
    whole = classes_on_band_grid(
        classes, grid.window, class_grid=grid, band_grid=BAND, band_window=BAND.window,
        fill_value=200,
    )  # fmt: skip
    part = Window(left, top, 10, 10)
    needed = class_window_of(grid, BAND, band_window=part) or Window(0, 0, 1, 1)

    found = classes_on_band_grid(
        classes[needed.slices_in(grid.window)], needed, class_grid=grid, band_grid=BAND,
        band_window=part, fill_value=200,
    )  # fmt: skip

    assert found.tolist() == whole[part.slices_in(BAND.window)].tolist()


def test_bands_of_different_crss_are_refused() -> None:
    other = SourceGrid(transform=BAND.transform, width=60, height=60, crs=CRS(32634))

    with pytest.raises(RasterError) as caught:
        class_window_of(other, BAND, band_window=BAND.window)

    assert caught.value.reason == "crs_mismatch"
