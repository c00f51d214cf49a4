"""True pixel areas against geodesic polygons of pyproj."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Transformer

from spatial_assets.errors import GridError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.vectors.areas import pixel_areas


def geobox_at(code: str, x: float, y: float, *, size: float, pixels: int = 70) -> GeoBox:
    window = Window(int(x // size), int(-y // size), pixels, pixels)
    return GeoBox(window, Affine(size, 0.0, 0.0, 0.0, -size, 0.0), CRS(code))


def geodesic_area(geobox: GeoBox, row: int, column: int) -> float:
    """Area of the polygon around one pixel, 50 vertices a side."""
    share = np.linspace(0.0, 1.0, 50, endpoint=False)
    across = np.concatenate([share, 1.0 + 0.0 * share, 1.0 - share, 0.0 * share])
    down = np.concatenate([0.0 * share, share, 1.0 + 0.0 * share, 1.0 - share])
    origin, window = geobox.origin, geobox.window
    x = origin.c + (window.column + column + across) * origin.a
    y = origin.f + (window.row + row + down) * origin.e
    geodetic = geobox.crs.geodetic_crs
    assert geodetic is not None
    longitude, latitude = Transformer.from_crs(geobox.crs, geodetic, always_xy=True).transform(x, y)
    geod = geobox.crs.get_geod()
    assert geod is not None
    return abs(float(geod.polygon_area_perimeter(longitude, latitude)[0]))


@pytest.mark.parametrize("latitude", [0.0, 46.0, -46.0, 80.0])
@pytest.mark.parametrize("size", [10.0, 152.874])
def test_web_mercator_pixels_have_their_area_on_the_ellipsoid(latitude: float, size: float) -> None:
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(15.0, latitude)
    geobox = geobox_at("EPSG:3857", x, y, size=size)

    areas = pixel_areas(geobox)

    for row, column in [(0, 0), (35, 20), (69, 69)]:
        assert areas[row, column] == pytest.approx(geodesic_area(geobox, row, column), rel=1e-7)


def test_the_sphere_would_be_seven_per_mille_off_at_the_equator() -> None:
    geobox = geobox_at("EPSG:3857", 0.0, 0.0, size=10.0, pixels=1)

    assert pixel_areas(geobox)[0, 0] / 100.0 == pytest.approx(1.0 - 0.0067, abs=1e-4)


@pytest.mark.parametrize(
    ("code", "x", "y", "size"),
    [
        pytest.param("EPSG:32633", 500_000.0, 5e6, 10.0, id="utm-centre"),
        pytest.param("EPSG:32633", 100_000.0, 5e6, 500.0, id="utm-rim-coarse"),
        pytest.param("EPSG:3035", 4e6, 3e6, 30.0, id="equal-area"),
        pytest.param("EPSG:3395", 1e6, 5e6, 10.0, id="world-mercator"),
        pytest.param("EPSG:3413", 1e6, -1e6, 30.0, id="polar-stereographic"),
        pytest.param("EPSG:3031", -1000.0, 1000.0, 1000.0, id="over-the-south-pole"),
        pytest.param("EPSG:4326", 15.0, 46.0, 1e-4, id="lonlat"),
        pytest.param("EPSG:4326", 15.0, -80.0, 0.01, id="lonlat-south"),
        pytest.param("EPSG:2263", 1e6, 2e5, 30.0, id="us-survey-feet"),
    ],
)
def test_pixels_of_other_grids_match_geodesic_polygons(
    code: str, x: float, y: float, size: float
) -> None:
    geobox = geobox_at(code, x, y, size=size)

    areas = pixel_areas(geobox)

    for row, column in [(0, 0), (35, 20), (69, 69)]:
        assert areas[row, column] == pytest.approx(geodesic_area(geobox, row, column), rel=1e-6)


@pytest.mark.parametrize("code", ["EPSG:3857", "EPSG:32633", "EPSG:3035"])
def test_a_pixel_has_one_area_however_the_grid_is_cut(code: str) -> None:
    whole = geobox_at(code, 4e5, 5e6, size=60.0, pixels=100)
    window = Window(whole.window.column + 13, whole.window.row + 29, 40, 50)

    part = pixel_areas(GeoBox(window, whole.origin, whole.crs))

    np.testing.assert_array_equal(part, pixel_areas(whole)[window.slices_in(whole.window)])


def test_a_rotated_grid_is_refused() -> None:
    box = GeoBox(Window(0, 0, 2, 2), Affine.rotation(10.0), CRS("EPSG:3857"))

    with pytest.raises(GridError, match="north-up"):
        pixel_areas(box)
