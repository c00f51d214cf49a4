"""Areas of lon/lat polygons against geodesic polygons with very short edges."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from spatial_assets.geo.vectors.areas import area_m2

WGS84 = Geod(ellps="WGS84")


def geodesic_area(geometry: BaseGeometry, *, vertex_every: float) -> float:
    fine = shapely.segmentize(shapely.orient_polygons(geometry), vertex_every)
    return abs(float(WGS84.geometry_area_perimeter(fine)[0]))


@given(
    seed=st.integers(0, 10_000),
    latitude=st.sampled_from([-80.0, -46.0, 0.0, 46.0, 80.0]),
    size=st.sampled_from([1e-4, 1e-2, 0.1]),
)
@settings(max_examples=40, deadline=None)
def test_a_polygon_has_its_geodesic_area(seed: int, latitude: float, size: float) -> None:
    corners = np.random.default_rng(seed).uniform(-size, size, (12, 2))
    hull = shapely.convex_hull(shapely.MultiPoint(corners + np.array([15.0, latitude])))

    expected = geodesic_area(hull, vertex_every=size / 400.0)

    # the oracle itself rounds: 1e-16 of the Earth's surface is 0.05 m2
    assert area_m2(hull) == pytest.approx(expected, rel=1e-6, abs=0.01)


def test_holes_are_not_counted_and_parts_add_up() -> None:
    outer, inner = shapely.box(15, 46, 15.2, 46.2), shapely.box(15.05, 46.05, 15.1, 46.1)
    far = shapely.box(100, -20, 100.1, -19.9)

    area = area_m2(shapely.union(shapely.difference(outer, inner), far))

    assert area == pytest.approx(area_m2(outer) - area_m2(inner) + area_m2(far), rel=1e-12)


def test_the_direction_of_a_ring_does_not_matter() -> None:
    box = shapely.box(15, 46, 15.2, 46.2)

    assert area_m2(box.reverse()) == area_m2(box)


def test_the_world_has_the_area_of_the_ellipsoid() -> None:
    assert area_m2(shapely.box(-180, -90, 180, 90)) == pytest.approx(
        510_065_621_724_088.4, rel=1e-9
    )


def test_a_box_is_bounded_by_its_parallels_and_not_by_great_circles() -> None:
    wide = shapely.box(0, 49, 60, 50)

    assert area_m2(wide) == pytest.approx(60 * area_m2(shapely.box(0, 49, 1, 50)), rel=1e-9)


def test_nothing_has_no_area() -> None:
    assert area_m2(shapely.Polygon()) == 0.0
