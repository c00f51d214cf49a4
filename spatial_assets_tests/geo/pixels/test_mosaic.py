"""Granules of one day: the nearest zone wins, then the id, and holes are filled."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.pixels.mosaic import GranuleReflectance, Longitudes, mosaic
from spatial_assets_tests.geo.warp_cases import matrix_origin

NAN = float("nan")


def layer(*values: float) -> NDArray[np.float32]:
    return np.array([values], dtype=np.float32)


def granule(name: str, epsg: int) -> GranuleReflectance:
    return GranuleReflectance(name, CRS(epsg), {})


def test_each_pixel_comes_from_the_zone_whose_meridian_is_nearest() -> None:
    zones = [granule("a", 32634), granule("b", 32633)]

    found = mosaic(
        [layer(34, 34, 34), layer(33, 33, 33)], zones, longitudes=np.array([[17.9, 18.1, 15.0]])
    )

    assert found.tolist() == [[33, 34, 33]]


def test_halfway_between_two_zones_the_id_decides_in_any_order() -> None:
    zones = [granule("b", 32633), granule("a", 32634)]
    layers = [layer(33), layer(34)]
    halfway = np.array([[18.0]])

    forward = mosaic(layers, zones, longitudes=halfway)
    backward = mosaic(layers[::-1], zones[::-1], longitudes=halfway)

    assert forward.tolist() == backward.tolist() == [[34]]


def test_a_hole_is_filled_from_the_next_granule() -> None:
    zones = [granule("a", 32633), granule("b", 32633), granule("c", 32634)]

    found = mosaic(
        [layer(NAN, NAN, NAN, 1), layer(NAN, 2, NAN, 2), layer(3, 3, NAN, 3)],
        zones,
        longitudes=np.full((1, 4), 15.0),
    )

    np.testing.assert_array_equal(found, layer(3, 2, NAN, 1))


def test_within_one_zone_the_id_decides_and_no_longitude_is_needed() -> None:
    found = mosaic(
        [layer(2, NAN), layer(1, 1)], [granule("b", 32633), granule("a", 32633)], longitudes=None
    )

    assert found.tolist() == [[1, 1]]


def test_across_the_antimeridian_near_is_near() -> None:
    zones = [granule("a", 32660), granule("b", 32601)]  # 177 and -177

    found = mosaic([layer(60, 60), layer(1, 1)], zones, longitudes=np.array([[179.9, -179.9]]))

    assert found.tolist() == [[60, 1]]


def test_several_zones_without_longitudes_are_refused() -> None:
    with pytest.raises(RasterError):
        mosaic([layer(1), layer(2)], [granule("a", 32633), granule("b", 32634)], longitudes=None)


@pytest.mark.parametrize(
    ("tiles", "zoom"), [("WebMercatorQuad", 10), ("EuropeanETRS89_LAEAQuad", 8)]
)
def test_longitudes_are_exact_and_the_same_in_any_window(tiles: str, zoom: int) -> None:
    crs, origin = matrix_origin(tiles, zoom)
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(15.0, 46.0)
    column, row = (int(place) for place in ~origin @ (x, y))
    window = Window(column, row, 90, 70)
    part = Window(column + 41, row + 33, 7, 5)

    whole = Longitudes(GeoBox(window, origin, crs)).of(window)
    small = Longitudes(GeoBox(part, origin, crs)).of(part)
    u, v = np.meshgrid(np.arange(90) + column + 0.5, np.arange(70) + row + 0.5)
    back = Transformer.from_crs(crs, 4326, always_xy=True)
    exact, _ = back.transform(u * origin.a + origin.c, v * origin.e + origin.f)

    assert whole[part.slices_in(window)].tobytes() == small.tobytes()
    assert np.abs(whole - exact).max() < 1e-8
