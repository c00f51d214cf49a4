"""One mask for all bands of a scene, on rasters that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.warp.scene_mask import (
    GridMask,
    GridWindow,
    carried,
    counted_pixels,
    related_window,
    window_to_read,
)
from spatial_assets.geo.warp.source_grid import SourceGrid

UTM = CRS(32633)


def grid(size: float, pixels: int, *, shift: float = 0.0, south_up: bool = False) -> SourceGrid:
    """A square grid from one corner, moved east and south by metres."""
    side = size * pixels
    vertical = (size, 5e6 - shift - side) if south_up else (-size, 5e6 - shift)
    transform = Affine(size, 0, 5e5 + shift, 0, *vertical)
    return SourceGrid(transform=transform, width=pixels, height=pixels, crs=UTM)


FINE, COARSE = grid(10, 4), grid(20, 2)


def mask(on: SourceGrid, rows: list[str]) -> GridMask:
    """A mask of the whole file; "x" is a pixel that is not good."""
    return GridMask(on, on.window, np.array([[each != "x" for each in row] for row in rows]))


def drawn(good: NDArray[np.bool_]) -> list[str]:
    return ["".join(".x"[not each] for each in row) for row in good]


def whole(on: SourceGrid) -> GridWindow:
    return GridWindow(on, on.window)


def test_a_fine_pixel_is_as_good_as_the_coarse_one_around_it() -> None:
    assert drawn(carried(mask(COARSE, [".x", ".."]), whole(FINE))) == [
        "..xx",
        "..xx",
        "....",
        "....",
    ]


def test_a_coarse_pixel_is_good_only_if_all_fine_ones_in_it_are() -> None:
    assert drawn(carried(mask(FINE, ["...x", "....", "....", "...."]), whole(COARSE))) == [
        ".x",
        "..",
    ]


def test_sixty_metres_are_six_pixels_of_ten_each_way() -> None:
    fine = np.ones((12, 12), dtype=np.bool_)
    fine[5, 6] = False

    found = carried(GridMask(grid(10, 12), Window(0, 0, 12, 12), fine), whole(grid(60, 2)))

    assert drawn(found) == [".x", ".."]


def test_a_south_up_file_is_the_same_mask() -> None:
    flipped = mask(grid(20, 2, south_up=True), ["..", ".x"])

    assert drawn(carried(flipped, whole(FINE))) == ["..xx", "..xx", "....", "...."]


def test_a_shift_of_half_a_pixel_is_honoured() -> None:
    """Coarse pixels that begin 10 m to the east and south: the fine rim lies outside the file."""
    assert drawn(carried(mask(grid(20, 2, shift=10), ["x.", ".."]), whole(FINE))) == [
        "xxxx",
        "xxx.",
        "xxx.",
        "x...",
    ]


def test_outside_the_file_nothing_is_good() -> None:
    assert not carried(mask(COARSE, ["..", ".."]), whole(grid(10, 2, shift=500))).any()
    assert drawn(carried(mask(grid(10, 3), ["...", "...", "..."]), whole(COARSE))) == [".x", "xx"]


def test_all_bands_of_one_grid_see_the_same_pixels() -> None:
    red, nir = (
        mask(FINE, ["x...", "....", "....", "...."]),
        mask(FINE, ["....", ".x..", "....", "...."]),
    )

    both = counted_pixels([red, nir], [whole(FINE), whole(FINE)])

    assert [drawn(each.good) for each in both] == [["x...", ".x..", "....", "...."]] * 2


def test_bands_of_two_resolutions_see_the_same_ground() -> None:
    """A fine pixel that is fill takes the coarse pixel with it, and so its three neighbours."""
    fine, coarse = mask(FINE, ["....", "....", "x...", "...."]), mask(COARSE, [".x", ".."])

    found = counted_pixels([fine, coarse], [whole(FINE), whole(COARSE)])

    assert drawn(found[1].good) == [".x", "x."]
    assert drawn(found[0].good) == ["..xx", "..xx", "xx..", "xx.."]


def test_coarse_classes_do_not_take_clear_fine_pixels_along() -> None:
    """Without a coarse band, a fine pixel that is fill is left out alone."""
    fine, classes = mask(FINE, ["....", "....", "x...", "...."]), mask(COARSE, [".x", ".."])

    (found,) = counted_pixels([fine, classes], [whole(FINE)])

    assert drawn(found.good) == ["..xx", "..xx", "x...", "...."]


@settings(deadline=None, max_examples=60)
@given(
    ratio=st.sampled_from([2, 3, 6]),
    class_size=st.sampled_from([10, 20, 60]),
    south_up=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    part=st.tuples(*[st.integers(0, 3)] * 2, *[st.integers(1, 4)] * 2),
)
def test_every_band_sees_one_sky_however_the_area_is_cut(
    ratio: int, *, class_size: int, south_up: bool, seed: int, part: tuple[int, int, int, int]
) -> None:
    random = np.random.default_rng(seed)
    grids = [
        grid(10, 48),
        grid(10.0 * ratio, 48 // ratio, south_up=south_up),
        grid(class_size, 480 // class_size),
    ]
    masks = [GridMask(each, each.window, random.random(each.window.shape) > 0.1) for each in grids]
    fine, coarse = grids[:2]
    everywhere = counted_pixels(masks, [whole(fine), whole(coarse)])

    sky = everywhere[1].good[::-1] if south_up else everywhere[1].good
    assert (everywhere[0].good == np.kron(sky, np.ones((ratio, ratio))).astype(bool)).all()

    # a part of each grid, from no more pixels than it needs
    sampled = [
        GridWindow(fine, Window(part[0] * 5, part[1] * 5, part[2] * 3, part[3] * 2)),
        GridWindow(coarse, Window(part[0], part[1], part[2], part[3])),
    ]
    needed = [window_to_read(each.grid, sampled) for each in masks]
    cut = [
        GridMask(each.grid, window, each.good[window.slices_in(each.window)])
        for each, window in zip(masks, needed, strict=True)
        if window is not None
    ]

    for one, all_of_it in zip(counted_pixels(cut, sampled), everywhere, strict=True):
        at = one.window.slices_in(all_of_it.window)
        assert (one.good == all_of_it.good[at]).all()


def test_reading_too_little_is_refused() -> None:
    small = GridMask(COARSE, Window(0, 0, 1, 2), np.ones((2, 1), dtype=np.bool_))

    with pytest.raises(RasterError) as caught:
        counted_pixels([small], [whole(FINE)])

    assert caught.value.reason == "window_too_small"


def test_bands_of_different_crss_are_refused() -> None:
    other = SourceGrid(transform=FINE.transform, width=4, height=4, crs=CRS(32634))

    with pytest.raises(RasterError) as caught:
        related_window(other, whole(FINE))

    assert caught.value.reason == "crs_mismatch"
