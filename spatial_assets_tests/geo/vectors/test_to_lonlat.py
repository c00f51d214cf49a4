"""Axis order, areas of use, the antimeridian and the poles."""

from __future__ import annotations

import pytest
import shapely
from pyproj import CRS

from spatial_assets.errors import VectorError
from spatial_assets.geo.vectors.validate import validate_features
from spatial_assets_tests.fixtures.feature_factory import (
    SQUARE,
    FeatureMaker,
    reasons,
    validated,
)


def test_a_swapped_feature_is_found_by_its_neighbours(raw: FeatureMaker) -> None:
    squares = [shapely.box(15 + i / 50, 46, 15.01 + i / 50, 46.01) for i in range(5)]
    swapped = shapely.box(46.0, 15.02, 46.01, 15.03)

    result = validated(raw(*enumerate(squares), ("swapped", swapped)))

    assert [(f.key, f.reason) for f in result.quarantined] == [("swapped", "axes_swapped")]


def test_a_far_island_is_not_called_swapped(raw: FeatureMaker) -> None:
    squares = [shapely.box(15 + i / 50, 46, 15.01 + i / 50, 46.01) for i in range(5)]
    reunion = shapely.box(55.2, -21.4, 55.9, -20.8)

    assert len(validated(raw(*enumerate(squares), ("far", reunion))).kept) == 6


def test_a_projected_feature_with_swapped_axes_lies_outside_its_area_of_use(
    raw: FeatureMaker,
) -> None:
    slovenia = CRS("EPSG:3794")
    right = shapely.box(460_000, 100_000, 461_000, 101_000)
    swapped = shapely.box(100_000, 460_000, 101_000, 461_000)

    result = validated(raw((1, right), (2, swapped)), crs=slovenia)

    assert reasons(result) == ["outside_area_of_use"]
    assert result.kept[0].geometry.bounds == pytest.approx((14.48, 46.04, 14.5, 46.05), abs=0.02)


def test_a_country_may_reach_into_the_next_utm_zone(raw: FeatureMaker) -> None:
    croatia_in_zone_33 = shapely.box(400_000, 4_700_000, 830_000, 5_150_000)

    assert len(validated(raw((1, croatia_in_zone_33)), crs=CRS("EPSG:32633")).kept) == 1


def test_longitude_comes_first_regardless_of_the_axis_order_of_the_crs(raw: FeatureMaker) -> None:
    (feature,) = validated(raw((1, SQUARE)), crs=CRS("EPSG:4258")).kept

    assert feature.geometry.bounds == pytest.approx(SQUARE.bounds, abs=1e-6)


def test_a_polygon_over_the_antimeridian_is_cut_in_two(raw: FeatureMaker) -> None:
    fiji = CRS("EPSG:3460")
    crossing = shapely.box(1_950_000, 3_900_000, 2_200_000, 4_000_000)

    (feature,) = validated(raw((1, crossing)), crs=fiji).kept

    west, _, east, _ = feature.geometry.bounds
    assert (west, east) == (-180.0, 180.0)
    assert feature.area_m2 == pytest.approx(crossing.area, rel=0.01)
    assert shapely.is_valid(feature.geometry)


def test_a_ring_around_the_pole_is_quarantined(raw: FeatureMaker) -> None:
    around = shapely.Point(0.0, 0.0).buffer(1_000_000.0)

    assert reasons(validated(raw((1, around)), crs=CRS("EPSG:3413"))) == ["contains_pole"]


@pytest.mark.parametrize(
    "crs",
    [
        pytest.param(None, id="none"),
        pytest.param(CRS('LOCAL_CS["Undefined Cartesian SRS",UNIT["metre",1]]'), id="cartesian"),
        pytest.param(CRS("EPSG:4978"), id="geocentric"),
    ],
)
def test_a_file_without_a_place_on_the_earth_is_refused(raw: FeatureMaker, crs: CRS | None) -> None:
    with pytest.raises(VectorError, match="CRS"):
        validate_features(raw((1, SQUARE)), source_crs=crs, key="id")


def test_a_compound_crs_counts_by_its_horizontal_part(raw: FeatureMaker) -> None:
    (feature,) = validated(raw((1, SQUARE)), crs=CRS("EPSG:4326+5773")).kept

    assert feature.geometry.equals(SQUARE)
