"""A value is stored unchanged, or refused by name, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
import shapely

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.stores.tables.sample_rows import NOON, region, state


@pytest.mark.parametrize(
    ("column", "value", "read"),
    [
        pytest.param("name", None, None, id="null"),
        pytest.param("name", float("nan"), None, id="nan-is-no-value"),
        pytest.param("name", "", "", id="empty-text"),
        pytest.param("name", "a\0b", "a\ufffdb", id="nul-in-text"),
        pytest.param("name", "half \ud800", "half ?", id="half-a-surrogate-pair"),
        pytest.param("name", 7, "7", id="number-as-text"),
        pytest.param("people", np.int32(3), 3, id="numpy-integer"),
        pytest.param("people", 3.0, 3, id="whole-float"),
        pytest.param("area_m2", np.float32(0.5), 0.5, id="numpy-float"),
        pytest.param("area_m2", 1 / 3, 1 / 3, id="every-bit-of-a-float"),
    ],
)
def test_values_are_stored_the_same_by_both(
    database: Database, column: str, value: object, read: object
) -> None:
    database.replace_all("regions", [{**region("a"), column: value}])

    assert database.rows("regions")[0][column] == read


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"people": 2.5}, "people.*2.5.*whole number", id="half-a-person"),
        pytest.param({"people": 2**63}, "64 bits", id="too-many-people"),
        pytest.param({"area_m2": float("inf")}, "area_m2.*not finite", id="infinite"),
        pytest.param({"area_m2": None}, "area_m2.*wanted a value", id="missing"),
        pytest.param({"founded": "last year"}, "founded", id="not-a-date"),
        pytest.param({"geometry": None}, "geometry.*wanted a value", id="no-geometry"),
        pytest.param({"geometry": shapely.Point(1, 2)}, "Point.*wanted", id="point"),
        pytest.param(
            {"geometry": shapely.box(500_000, 5e6, 500_100, 5.1e6)}, "lon/lat", id="metres"
        ),
        pytest.param(
            {"geometry": shapely.set_srid(shapely.box(0, 0, 1, 1), 3794)}, "SRID 3794", id="srid"
        ),
        pytest.param({"nmae": "x"}, "nmae.*the table lacks", id="unknown-column"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_name(
    database: Database, change: dict[str, object], told: str
) -> None:
    database.replace_all("regions", [region("old")])

    with pytest.raises(DatabaseError, match=f"(?s)regions: row 1.*{told}"):
        database.replace_all("regions", [region("a"), {**region("b"), **change}])

    assert [row["region_id"] for row in database.rows("regions")] == ["old"]


def test_an_empty_polygon_and_a_third_dimension_do_no_harm(database: Database) -> None:
    flat = shapely.box(1, 2, 3, 4)
    raised = shapely.force_3d(flat, 5.0)

    database.replace_all(
        "regions",
        [{**region("a"), "geometry": shapely.Polygon()}, {**region("b"), "geometry": raised}],
    )

    empty, solid = (row["geometry"] for row in database.rows("regions"))
    assert isinstance(empty, shapely.MultiPolygon)
    assert empty.is_empty
    assert isinstance(solid, shapely.MultiPolygon)
    assert not solid.has_z
    assert shapely.equals(solid, flat)


def test_evidence_may_hold_what_json_lacks(database: Database) -> None:
    evidence: dict[str, Any] = {
        "mean": float("nan"),
        "range": np.array([0.5, np.inf]),
        "day": NOON.date(),
        "nested": {"flags": (True, None), 3: "x\0"},
    }

    database.set_states([state(evidence=evidence)])

    assert database.rows("tile_state")[0]["evidence"] == {
        "mean": None,
        "range": [0.5, None],
        "day": "2023-08-31",
        "nested": {"flags": [True, None], "3": "x\ufffd"},
    }


def test_a_moment_is_read_in_utc_and_never_written_without_a_zone(database: Database) -> None:
    cest = timezone(timedelta(hours=2))
    database.set_states([state(since=datetime(2023, 8, 31, 14, tzinfo=cest))])

    found = database.rows("tile_state")[0]["since"]
    assert found == NOON
    assert isinstance(found, datetime)
    assert found.tzinfo is UTC
    with pytest.raises(DatabaseError, match=r"since.*no time zone"):
        database.set_states([state(since=datetime(2023, 8, 31, 14))])  # noqa: DTZ001
