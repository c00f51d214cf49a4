"""Defects that are repaired, the options of `on_invalid`, and defects that are never repaired."""

from __future__ import annotations

import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import VectorError
from spatial_assets.geo.vectors.areas import area_m2
from spatial_assets_tests.fixtures.feature_factory import (
    BOW_TIE,
    SQUARE,
    FeatureMaker,
    polygon_wkb,
    reasons,
    validated,
)

REPAIRABLE = [
    pytest.param(BOW_TIE, "self_intersection", id="bow-tie"),
    pytest.param(
        polygon_wkb([(15, 46), (15.1, 46), (15.1, 46.1), (15, 46.1)]),
        "unclosed_ring",
        id="unclosed",
    ),
    pytest.param(
        shapely.GeometryCollection([SQUARE, shapely.Point(15, 46)]),
        "mixed_collection",
        id="polygon-and-point",
    ),
    pytest.param(
        shapely.from_wkt(
            "POLYGON ((15 46, 15.2 46, 15.2 46.2, 15.1 46.1, 15 46.2, 15 46),"
            "(15.1 46.1, 15.05 46.05, 15.15 46.05, 15.1 46.1))"
        ),
        None,
        id="touching-hole",
    ),
]


@pytest.mark.parametrize(("geometry", "reason"), REPAIRABLE)
def test_repair_keeps_the_feature_and_reports_the_defect(
    raw: FeatureMaker, geometry: BaseGeometry | bytes, reason: str | None
) -> None:
    (feature,) = validated(raw((1, geometry))).kept

    assert [defect.reason for defect in feature.repairs] == ([reason] if reason else [])
    assert shapely.is_valid(feature.geometry)


@pytest.mark.parametrize(("geometry", "reason"), REPAIRABLE[:3])
def test_quarantine_repairs_nothing(
    raw: FeatureMaker, geometry: BaseGeometry | bytes, reason: str
) -> None:
    result = validated(raw((1, geometry), (2, SQUARE)), on_invalid="quarantine")

    assert reasons(result) == [reason]
    assert result.repaired == 0
    assert [feature.key for feature in result.kept] == ["2"]


def test_refuse_names_what_is_wrong(raw: FeatureMaker) -> None:
    features = raw((1, BOW_TIE), (2, SQUARE), (3, None))

    with pytest.raises(VectorError, match=r"2 features cannot be used.*self_intersection.*null"):
        validated(features, on_invalid="refuse")


def test_a_bow_tie_is_both_of_its_triangles(raw: FeatureMaker) -> None:
    (feature,) = validated(raw((1, BOW_TIE))).kept

    assert feature.area_m2 == pytest.approx(area_m2(SQUARE) / 2.0, rel=1e-3)
    assert len(feature.geometry.geoms) == 2


def test_repairs_that_disagree_by_less_than_a_thousandth_are_made(raw: FeatureMaker) -> None:
    nearly = shapely.MultiPolygon([shapely.box(15, 46, 16, 47), shapely.box(15.9999, 46, 17, 47)])

    (feature,) = validated(raw((1, nearly))).kept

    assert feature.repairs[0].reason == "self_intersection"
    assert feature.geometry.equals(shapely.box(15, 46, 17, 47))


def test_heights_and_measures_are_dropped(raw: FeatureMaker) -> None:
    solid = shapely.force_3d(SQUARE, 300.0)

    (feature,) = validated(raw((1, solid))).kept

    assert not feature.geometry.has_z
    assert feature.fingerprint == validated(raw((1, SQUARE))).kept[0].fingerprint


def test_a_collection_of_polygons_is_a_multipolygon(raw: FeatureMaker) -> None:
    far = shapely.box(16, 46, 16.1, 46.1)
    nested = shapely.GeometryCollection([SQUARE, shapely.MultiPolygon([far])])

    (feature,) = validated(raw((1, nested))).kept

    assert len(feature.geometry.geoms) == 2
    assert feature.repairs == ()
