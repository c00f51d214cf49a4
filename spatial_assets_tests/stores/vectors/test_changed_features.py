"""A file of which some features changed: the rest keeps its judgement, and nothing else differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from spatial_assets.geo.vectors.earlier import EarlierResults, JudgedGeometry, nothing_earlier
from spatial_assets.geo.vectors.features import RawFeature, ValidatedFeatures
from spatial_assets.geo.vectors.validate import validate_features
from spatial_assets.stores.vectors.validated import (
    JUDGEMENT_COLUMNS,
    StoredValidation,
    read_validated,
    write_validated,
)
from spatial_assets_tests.fixtures.feature_factory import BOW_TIE, LONLAT, OVERLAPPING, polygon_wkb

NATIONAL = CRS("EPSG:27700")  # PROJ chooses among several operations by the place
UNCLOSED = polygon_wkb([(15.0, 46.0), (15.1, 46.0), (15.1, 46.1), (15.0, 46.1)])


def crossing_antimeridian() -> BaseGeometry:
    return shapely.Polygon([(179.9, 10), (-179.9, 10), (-179.9, 11), (179.9, 11)])


wkbs = st.one_of(
    st.builds(
        lambda x, y, size: shapely.to_wkb(shapely.box(x, y, x + size, y + size)),
        st.integers(-4, 4),
        st.integers(50, 58),
        st.sampled_from([0.5, 1, 2]),
    ),
    st.sampled_from(
        [
            shapely.to_wkb(BOW_TIE),
            shapely.to_wkb(OVERLAPPING),
            shapely.to_wkb(crossing_antimeridian()),
            shapely.to_wkb(shapely.Point(1, 2)),
            shapely.to_wkb(shapely.box(46, 15, 46.1, 15.1)),  # axes swapped, beside the others
            UNCLOSED,
            b"damaged",
            None,
        ]
    ),
)
features = st.lists(
    st.builds(
        lambda key, name, wkb: RawFeature(index=0, properties={"id": key, "name": name}, wkb=wkb),
        st.integers(0, 12),
        st.sampled_from(["a", "b", None]),
        wkbs,
    ),
    max_size=12,
)


def numbered(found: Sequence[RawFeature]) -> list[RawFeature]:
    return [replace(each, index=index) for index, each in enumerate(found)]


def validated(
    found: Sequence[RawFeature], earlier: EarlierResults = nothing_earlier, *, crs: CRS = LONLAT
) -> ValidatedFeatures:
    return validate_features(
        numbered(found), source_crs=crs, key="id", columns=["name"], earlier=earlier
    )


def written(found: ValidatedFeatures) -> bytes:
    return write_validated(found, columns=["name"], facts={})


@settings(max_examples=60, deadline=None)
@given(features, features, st.randoms(use_true_random=False), st.sampled_from([LONLAT, NATIONAL]))
def test_a_changed_file_gives_what_a_new_one_gives(
    before: list[RawFeature], added: list[RawFeature], chance: object, crs: CRS
) -> None:
    """Features are added, removed, reordered, renamed and given other geometries."""
    stored = StoredValidation.of(written(validated(before, crs=crs)))
    after = [*before[: len(before) // 2], *added, *before[len(before) // 2 + 1 :]]
    chance.shuffle(after)  # type: ignore[attr-defined]  # hypothesis's Random

    again, fresh = validated(after, stored.earlier_results(), crs=crs), validated(after, crs=crs)

    assert written(again) == written(fresh)
    assert again.quarantined == fresh.quarantined
    assert again.crs_accuracy == fresh.crs_accuracy


def squares(count: int) -> list[RawFeature]:
    return [
        RawFeature(
            index=number,
            properties={"id": number, "name": "a"},
            wkb=shapely.to_wkb(shapely.box(-2 + number / 1e3, 52, -1.99 + number / 1e3, 52.5)),
        )
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("crs", [LONLAT, CRS("EPSG:4277")], ids=["one", "several"])
def test_only_the_changed_geometries_are_judged(crs: CRS) -> None:
    before = squares(3000)
    results = StoredValidation.of(written(validated(before, crs=crs))).earlier_results()
    unknown: list[bytes] = []

    def counted(digest: bytes) -> JudgedGeometry | None:
        found = results(digest)
        if found is None:
            unknown.append(digest)
        return found

    changed = replace(before[7], wkb=shapely.to_wkb(shapely.box(-1, 51, -0.9, 51.1)))
    renamed = replace(before[9], properties={"id": "other", "name": "b"})
    after = [*before[:7], changed, before[8], renamed, *before[10:]]
    again = validated(after, counted, crs=crs)

    assert len(unknown) == 1
    assert written(again) == written(validated(after, crs=crs))


def test_the_columns_for_the_next_validation_are_not_shown() -> None:
    frame = read_validated(written(validated(squares(2))))

    assert not {*JUDGEMENT_COLUMNS} & {*frame.columns}


def test_a_file_of_earlier_code_or_with_such_columns_has_no_earlier_results() -> None:
    found = validate_features(
        [replace(each, properties={"id": 1, "_judgement": "mine"}) for each in squares(1)],
        source_crs=LONLAT,
        key="id",
        columns=["_judgement"],
    )

    data = write_validated(found, columns=["_judgement"], facts={})

    assert StoredValidation.of(data).earlier_results() is nothing_earlier
