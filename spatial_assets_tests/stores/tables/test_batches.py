"""Rows prepared for a table: values stored unchanged, and the one bad value among many."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.tables.batches import Batch, prepare, refuse_repeated_keys
from spatial_assets.stores.tables.declarations import declare
from spatial_assets_tests.stores.tables.sample_rows import REGIONS, region

MANY = 5


def batch(**odd: object) -> Batch:
    """Some regions, the last of them with something odd."""
    rows = [region(str(number)) for number in range(MANY)]
    rows[-1] |= odd
    return prepare(declare([REGIONS], ["ndvi"]).table("regions"), rows, {})


def test_plain_columns_are_taken_as_they_are() -> None:
    columns = batch().columns

    assert columns["name"] == [f"Region {number}" for number in range(MANY)]
    assert columns["area_m2"] == [100.0] * MANY


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        pytest.param("a\0b", "a\ufffdb", id="nul"),
        pytest.param("\ud800", "?", id="half-a-surrogate-pair"),
        pytest.param(7, "7", id="not-text"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_one_odd_text_among_plain_ones_is_still_made_fit(given: object, stored: object) -> None:
    assert batch(name=given).columns["name"][-1] == stored


@pytest.mark.parametrize("area", [float("nan"), float("inf"), None, "wide"])
def test_one_number_that_is_none_is_refused_among_good_ones(area: object) -> None:
    with pytest.raises(DatabaseError, match="row 4, column 'area_m2'"):
        batch(area_m2=area)


def test_a_polygon_of_another_reference_system_is_refused_by_its_row() -> None:
    elsewhere = shapely.set_srid(shapely.box(15.0, 46.0, 15.1, 46.1), 3857)

    with pytest.raises(DatabaseError, match=r"row 4, column 'geometry' is 'SRID 3857'"):
        batch(geometry=elsewhere)


def test_heights_are_dropped_and_the_others_left_as_they_were() -> None:
    deep = shapely.force_3d(shapely.box(15.0, 46.0, 15.1, 46.1), 100.0)

    shapes = np.array(batch(geometry=deep).columns["geometry"], dtype=object)

    assert shapely.get_coordinate_dimension(shapes).tolist() == [2] * MANY
    assert shapely.get_srid(shapes).tolist() == [4326] * MANY
    assert shapes[-1] == shapes[0]


def test_two_rows_of_one_key_are_named() -> None:
    rows = [region("a"), region("b"), region("a")]
    repeating = prepare(declare([REGIONS], ["ndvi"]).table("regions"), rows, {})

    with pytest.raises(DatabaseError, match="rows 0 and 2 have the same key"):
        refuse_repeated_keys(repeating)
