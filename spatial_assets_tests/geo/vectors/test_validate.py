"""Usable features, and the exact reason for every other one."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import VectorError
from spatial_assets.geo.vectors.features import REASONS, Defect, RawFeature
from spatial_assets.geo.vectors.validate import key_text
from spatial_assets_tests.fixtures.feature_factory import (
    BOW_TIE,
    OVERLAPPING,
    SQUARE,
    FeatureMaker,
    polygon_wkb,
    reasons,
    validated,
)


def test_a_clean_polygon_is_kept_as_a_multipolygon_with_its_geodesic_area(
    raw: FeatureMaker,
) -> None:
    (feature,) = validated(raw((7, SQUARE))).kept

    assert feature.key == "7"
    assert feature.geometry.equals(SQUARE)
    assert feature.geometry.geom_type == "MultiPolygon"
    assert feature.area_m2 == pytest.approx(7733.0 * 11115.0, rel=0.002)
    assert dict(feature.properties) == {"name": "feature 0"}
    assert feature.repairs == ()


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        pytest.param(None, "null_geometry", id="null"),
        pytest.param(shapely.Polygon(), "empty_geometry", id="empty"),
        pytest.param(shapely.Point(15.0, 46.0), "wrong_type", id="point"),
        pytest.param(shapely.LineString([(15, 46), (16, 47)]), "wrong_type", id="line"),
        pytest.param(
            polygon_wkb([(15, 46), (float("nan"), 46), (15.1, 46.1), (15, 46)]),
            "bad_coordinate",
            id="nan",
        ),
        pytest.param(
            polygon_wkb([(15, 46), (float("inf"), 46), (15.1, 46.1), (15, 46)]),
            "bad_coordinate",
            id="infinite",
        ),
        pytest.param(b"\x01\x03\x00\x00\x00\xff\xff", "unreadable_geometry", id="cut-short"),
        pytest.param(b"", "unreadable_geometry", id="no-bytes"),
        pytest.param(struct.pack("<BII", 1, 10, 0), "unreadable_geometry", id="curve"),
        pytest.param(shapely.box(15, 91, 16, 95), "outside_area_of_use", id="latitude-95"),
        pytest.param(shapely.box(190, 46, 191, 47), "outside_area_of_use", id="longitude-190"),
        pytest.param(
            shapely.from_wkt("POLYGON ((15 46, 15.1 46, 15 46, 15 46))"), "no_area", id="spike"
        ),
        pytest.param(OVERLAPPING, "repair_ambiguous", id="union-or-even-odd"),
    ],
)
def test_an_unusable_feature_is_quarantined_and_costs_only_itself(
    raw: FeatureMaker, geometry: BaseGeometry | bytes | None, reason: str
) -> None:
    result = validated(raw(("bad", geometry), ("good", SQUARE)))

    assert reasons(result) == [reason]
    assert [feature.key for feature in result.kept] == ["good"]
    assert result.quarantined[0].key == "bad"
    assert result.quarantined[0].message


def test_a_problem_met_while_reading_is_the_reason(raw: FeatureMaker) -> None:
    broken = RawFeature(
        index=9, properties={"id": 1}, wkb=None, problem=Defect("too_large", "70 MB")
    )

    assert reasons(validated([*raw((0, SQUARE)), broken])) == ["too_large"]


@pytest.mark.parametrize("key", [None, "", "  ", float("nan")])
def test_a_feature_without_a_key_is_quarantined(raw: FeatureMaker, key: object) -> None:
    assert reasons(validated(raw((key, SQUARE)))) == ["missing_key"]


def test_of_two_features_with_one_key_the_first_stays(raw: FeatureMaker) -> None:
    far = shapely.box(15.5, 46.0, 15.6, 46.1)

    result = validated(raw((7, SQUARE), ("7", far), (7.0, SQUARE), (8, far)))

    assert [(f.key, f.index) for f in result.kept] == [("7", 0), ("8", 3)]
    assert reasons(result) == ["duplicate_key", "duplicate_key"]
    assert [f.evidence["same_geometry"] for f in result.quarantined] == [False, True]


def test_a_second_feature_stays_when_the_first_of_its_key_is_unusable(raw: FeatureMaker) -> None:
    result = validated(raw((7, None), (7, SQUARE)))

    assert [(f.key, f.index) for f in result.kept] == [("7", 1)]
    assert reasons(result) == ["null_geometry"]


def test_the_fingerprint_follows_key_geometry_and_columns(raw: FeatureMaker) -> None:
    one = validated(raw((1, SQUARE))).kept[0].fingerprint
    other_key = validated(raw((2, SQUARE))).kept[0].fingerprint
    moved = validated(raw((1, shapely.box(15.0, 46.0, 15.1, 46.2)))).kept[0].fingerprint
    renamed = validated([RawFeature(index=0, properties={"id": 1, "name": "new"}, wkb=SQUARE.wkb)])

    assert len({one, other_key, moved, renamed.kept[0].fingerprint}) == 4
    assert validated(raw(("1", SQUARE))).kept[0].fingerprint == one


def test_the_fingerprint_of_a_set_does_not_depend_on_its_order() -> None:
    far = RawFeature(index=1, properties={"id": 2}, wkb=shapely.box(16, 46, 17, 47).wkb)
    near = RawFeature(index=0, properties={"id": 1}, wkb=SQUARE.wkb)

    assert validated([near, far]).fingerprint == validated([far, near]).fingerprint


def test_the_report_is_json_and_counts_every_feature(raw: FeatureMaker) -> None:
    report = validated(raw((1, SQUARE), (2, BOW_TIE), (3, None), (1, SQUARE))).report

    assert json.loads(json.dumps(report)) == report
    assert report["features"] == 4
    assert report["repairs"] == {"self_intersection": 1}
    assert report["reasons"] == {"duplicate_key": 1, "null_geometry": 1}


def test_every_reason_is_explained_and_an_unknown_one_is_refused() -> None:
    assert all(REASONS.values())
    with pytest.raises(VectorError, match="not a reason code"):
        Defect("because", "no")


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_the_same_key_as_int_float_and_text(number: int) -> None:
    assert key_text(number) == key_text(float(number)) == key_text(f" {number} ") == str(number)


@given(seed=st.integers(0, 100_000))
@settings(deadline=None)
def test_nothing_is_lost_and_everything_kept_is_valid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = []
    for index in range(8):
        corners = rng.uniform((15, 46), (15.5, 46.5), (rng.integers(3, 9), 2)).tolist()
        if rng.uniform() < 0.8:
            corners.append(corners[0])
        wkb = polygon_wkb([tuple(corner) for corner in corners])
        key = int(rng.integers(0, 6))
        features.append(RawFeature(index=index, properties={"id": key}, wkb=wkb))

    result = validated(features)

    indices = [f.index for f in result.kept] + [f.index for f in result.quarantined]
    assert sorted(indices) == list(range(8))
    assert all(shapely.is_valid(f.geometry) and f.area_m2 > 0 for f in result.kept)
    assert len({f.key for f in result.kept}) == len(result.kept)
    assert all(f.reason in REASONS for f in result.quarantined)
