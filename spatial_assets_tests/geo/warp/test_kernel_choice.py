"""The kernel, chosen for a whole scene."""

from __future__ import annotations

import pytest
from affine import Affine
from pyproj import CRS

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.warp.kernel_choice import pixel_ratio
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
