"""The kernels on 3 x 3 rasters that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.geo.warp.warp import source_window, warp_average, warp_bilinear

UTM = CRS(32633)
GRID = SourceGrid(transform=Affine(10, 0, 500000, 0, -10, 5000000), width=3, height=3, crs=UTM)
WHOLE = GRID.window
PIXELS = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], dtype=np.uint16)
SEEN = np.ones((3, 3), dtype=np.bool_)


def target(window: Window, *, size: float, right: float = 0.0, down: float = 0.0) -> GeoBox:
    """Pixels of `size` metres from the grid's corner, moved by metres."""
    return GeoBox(window, Affine(size, 0, 500000 + right, 0, -size, 5000000 - down), UTM)


SAME = target(Window(0, 0, 3, 3), size=10)


def bilinear(box: GeoBox, seen: NDArray[np.bool_] = SEEN) -> list[list[float]]:
    values, valid = warp_bilinear(PIXELS, seen, window=WHOLE, source=GRID, target=box)
    assert (np.isfinite(values) == valid).all()
    rounded: list[list[float]] = np.where(valid, values, -1).round(3).tolist()
    return rounded


def average(box: GeoBox, seen: NDArray[np.bool_] = SEEN) -> list[list[float]]:
    values, valid = warp_average(PIXELS, seen, window=WHOLE, source=GRID, target=box)
    assert (np.isfinite(values) == valid).all()
    rounded: list[list[float]] = np.where(valid, values, -1).round(3).tolist()
    return rounded


def hole(row: int, column: int) -> NDArray[np.bool_]:
    seen = SEEN.copy()
    seen[row, column] = False
    return seen


def test_the_same_grid_gives_the_same_pixels() -> None:
    assert bilinear(SAME) == PIXELS.tolist()
    assert average(SAME) == PIXELS.tolist()


def test_half_a_pixel_to_the_right_is_the_mean_of_two_neighbours() -> None:
    box = target(Window(0, 0, 2, 3), size=10, right=5)

    assert bilinear(box) == [[15, 25], [45, 55], [75, 85]]


def test_an_invalid_neighbour_has_no_weight() -> None:
    """A quarter of a pixel to the right: 3/4 own, 1/4 right; without the right one, all own."""
    box = target(Window(0, 0, 2, 3), size=10, right=2.5)

    assert bilinear(box) == [[12.5, 22.5], [42.5, 52.5], [72.5, 82.5]]
    assert bilinear(box, hole(1, 1)) == [[12.5, 22.5], [40.0, -1], [72.5, 82.5]]


def test_a_pixel_whose_container_is_invalid_is_invalid_however_good_its_neighbours() -> None:
    assert bilinear(SAME, hole(1, 1))[1] == [40, -1, 60]


def test_the_outer_half_of_an_edge_pixel_is_valid_and_beyond_the_file_is_not() -> None:
    box = target(Window(-1, 0, 5, 1), size=10, right=4)

    assert bilinear(box) == [[-1, 14, 24, 30, -1]]


def test_a_tie_goes_to_the_pixel_on_the_right_regardless_of_the_last_bit() -> None:
    """Half a pixel to the right the centre lies on an edge: the pixel after it must count."""
    box = target(Window(0, 0, 2, 3), size=10, right=5)

    assert bilinear(box, hole(1, 1)) == [[15, 25], [-1, 60], [75, 85]]


def test_a_south_up_file_is_the_same_scene() -> None:
    flipped = SourceGrid(
        transform=Affine(10, 0, 500000, 0, 10, 4999970), width=3, height=3, crs=UTM
    )
    box = target(Window(0, 0, 2, 3), size=10, right=2.5, down=1)

    values, valid = warp_bilinear(PIXELS[::-1], SEEN, window=WHOLE, source=flipped, target=box)

    assert valid.all()
    assert values.round(3).tolist() == bilinear(box)


def test_a_mirrored_file_is_the_same_scene() -> None:
    mirrored = SourceGrid(
        transform=Affine(-10, 0, 500030, 0, -10, 5000000), width=3, height=3, crs=UTM
    )

    values, _ = warp_bilinear(PIXELS[:, ::-1], SEEN, window=WHOLE, source=mirrored, target=SAME)

    assert values.tolist() == PIXELS.tolist()


def test_a_coarse_pixel_is_the_mean_weighted_by_overlap() -> None:
    """25 m from the corner: two whole pixels and half of the third, each way."""
    box = target(Window(0, 0, 1, 1), size=25)
    w = np.array([1, 1, 0.5])
    wanted = float((PIXELS * np.outer(w, w)).sum() / 6.25)

    assert average(box) == [[pytest.approx(wanted)]]


def test_the_mean_leaves_invalid_pixels_out() -> None:
    box = target(Window(0, 0, 1, 1), size=30)

    assert average(box) == [[50]]
    assert average(box, hole(2, 2)) == [[45]]


def test_a_mean_needs_half_of_the_footprint_and_half_is_enough() -> None:
    box = target(Window(0, 0, 1, 1), size=20)
    left, one = SEEN.copy(), SEEN.copy()
    left[:, 1:] = False
    one[:2, :2] = [[True, False], [False, False]]

    assert average(box, left) == [[25]]
    assert average(box, one) == [[-1]]


def test_a_footprint_half_outside_the_file_counts_what_is_inside() -> None:
    assert average(target(Window(0, 0, 1, 1), size=30, right=15)) == [[pytest.approx(56.667)]]
    assert average(target(Window(0, 0, 1, 1), size=30, right=16)) == [[-1]]


def test_float_pixels_are_averaged_to_a_millionth_and_nan_is_no_pixel() -> None:
    reflectance = (PIXELS * 0.003).astype(np.float32)
    reflectance[2, 2] = np.nan
    box = target(Window(0, 0, 1, 1), size=30)

    values, valid = warp_average(reflectance, SEEN, window=WHOLE, source=GRID, target=box)

    assert valid.all()
    assert values[0, 0] == pytest.approx(0.135, abs=1e-6)


def test_the_source_window_has_a_halo_and_is_none_beside_the_file() -> None:
    fine = SourceGrid(transform=Affine(1, 0, 5e5, 0, -1, 5e6), width=100, height=100, crs=UTM)
    box = target(Window(4, 4, 1, 1), size=10)

    window = source_window(fine, box, kernel="average")

    assert window is not None
    assert window.column <= 40
    assert window.column_stop >= 50
    assert window.width < 20
    assert source_window(GRID, target(Window(9, 0, 3, 3), size=10), kernel="bilinear") is None
    assert source_window(GRID, SAME, kernel="bilinear") == WHOLE


def test_reading_too_little_is_refused_instead_of_leaving_a_seam() -> None:
    small = Window(0, 0, 2, 3)

    with pytest.raises(RasterError, match="source_window") as caught:
        warp_bilinear(PIXELS[:, :2], SEEN[:, :2], window=small, source=GRID, target=SAME)
    with pytest.raises(RasterError, match="shape"):
        warp_average(PIXELS, SEEN, window=small, source=GRID, target=SAME)

    assert caught.value.reason == "window_too_small"


def test_a_grid_turned_by_45_degrees_still_has_footprints() -> None:
    """GDAL's box between opposite corners has no area there; ours is at least half as wide."""
    turned = SourceGrid(
        transform=Affine(10, 0, -5000, 0, -10, 1505000), width=1000, height=1000,
        crs=CRS.from_proj4("+proj=stere +lat_0=90 +lon_0=-45 +k=1 +ellps=WGS84"),
    )  # fmt: skip
    crs = CRS.from_proj4("+proj=stere +lat_0=90 +lon_0=0 +k=1 +ellps=WGS84")
    half = 1500000 / np.sqrt(2)  # the centre of `turned`, an eighth of a turn further round
    box = GeoBox(Window(-20, -20, 40, 40), Affine(50, 0, half, 0, -50, half), crs)
    pixels = np.full((1000, 1000), 7, dtype=np.uint8)
    seen = np.ones((1000, 1000), dtype=np.bool_)

    values, valid = warp_average(pixels, seen, window=turned.window, source=turned, target=box)

    assert valid.all()
    assert (values == 7).all()
