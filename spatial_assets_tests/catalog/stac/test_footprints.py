"""Footprint and local day of a scene."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.catalog.stac.footprints import extent_of, footprint_of, solar_day, wrapped
from spatial_assets.errors import SceneError


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def day_at(longitude: float, moment: str) -> dt.date:
    west, east = longitude - 0.5, longitude + 0.5
    return solar_day(dt.datetime.fromisoformat(moment), shapely.box(west, 0, east, 1))


@pytest.mark.parametrize(
    ("longitude", "moment", "expected"),
    [
        pytest.param(15.7, "2023-08-18T10:08:08Z", "2023-08-18", id="Slovenia"),
        pytest.param(174.0, "2023-08-17T22:20:00Z", "2023-08-18", id="New-Zealand-next-day"),
        pytest.param(-157.0, "2023-08-19T02:00:00Z", "2023-08-18", id="Hawaii-day-before"),
        pytest.param(180.0, "2023-08-17T12:30:00Z", "2023-08-17", id="180-counts-as-minus-180"),
    ],
)
def test_the_solar_day_is_the_date_under_the_sun(
    longitude: float, moment: str, expected: str
) -> None:
    assert day_at(longitude, moment) == dt.date.fromisoformat(expected)


@given(
    st.floats(-180, 179),
    st.datetimes(dt.datetime(2015, 1, 1), dt.datetime(2030, 1, 1)),  # noqa: DTZ001 - made UTC below
)
def test_the_solar_day_does_not_depend_on_how_longitudes_are_counted(
    west: float, moment: dt.datetime
) -> None:
    moment = moment.replace(tzinfo=dt.UTC)

    days = {
        solar_day(moment, shapely.box(west + turn, 0, west + turn + 1, 1))
        for turn in (-360.0, 0.0, 360.0)
    }

    # an hour angle on the edge of a day may fall to either side by rounding
    assert max(days) - min(days) <= dt.timedelta(days=1)


CROSSING = [
    pytest.param({"geometry": box(179, -18, 181, -17)}, id="past-180"),
    pytest.param({"geometry": box(-181, -18, -179, -17)}, id="before-minus-180"),
    pytest.param(
        {
            "geometry": {
                "type": "MultiPolygon",
                "coordinates": [
                    box(179, -18, 180, -17)["coordinates"],
                    box(-180, -18, -179, -17)["coordinates"],
                ],
            }
        },
        id="cut-as-RFC-7946-asks",
    ),
    pytest.param(
        {
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[179, -18], [-179, -18], [-179, -17], [179, -17], [179, -18]]],
            }
        },
        id="jumping",
    ),
    pytest.param({"geometry": None, "bbox": [179, -18, -179, -17]}, id="bbox-west-above-east"),
]


@pytest.mark.parametrize("item", CROSSING)
def test_a_footprint_across_the_antimeridian_is_two_degrees_wide(item: dict[str, Any]) -> None:
    footprint = footprint_of(item)
    cut = wrapped(footprint)

    assert footprint.area == pytest.approx(2.0)
    assert abs(footprint.centroid.x) == pytest.approx(180.0)
    assert cut.area == pytest.approx(2.0)
    assert cut.bounds == pytest.approx((-180.0, -18.0, 180.0, -17.0))
    assert cut.intersects(shapely.Point(179.5, -17.5))
    assert cut.intersects(shapely.Point(-179.5, -17.5))
    assert not cut.intersects(shapely.Point(0.0, -17.5))


def test_a_footprint_of_the_whole_globe_stays_one() -> None:
    globe = footprint_of({"geometry": box(-180, -90, 180, 90)})

    assert wrapped(globe).area == pytest.approx(360 * 180)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        pytest.param({}, "no_footprint", id="nothing"),
        pytest.param({"geometry": {"type": "Point", "coordinates": [15, 45]}}, "bad_footprint"),
        pytest.param({"geometry": {"type": "Polygon"}}, "bad_footprint", id="no-coordinates"),
        pytest.param({"geometry": {"type": "Polygon", "coordinates": []}}, "bad_footprint"),
        pytest.param({"geometry": "POLYGON EMPTY"}, "bad_footprint", id="text"),
        pytest.param({"geometry": {"type": "EPSG:999999"}}, "bad_footprint", id="unknown-type"),
        pytest.param({"bbox": [10**400, 0, 1, 1]}, "bad_footprint", id="beyond-a-float"),
        pytest.param({"geometry": box(15, 45, float("nan"), 46)}, "bad_footprint", id="nan"),
        pytest.param({"geometry": box(500_000, 5_000_000, 600_000, 5_100_000)}, "bad_footprint"),
        pytest.param({"bbox": [15, 45]}, "bad_footprint", id="half-a-bbox"),
        pytest.param({"bbox": ["a", "b", "c", "d"]}, "bad_footprint", id="bbox-of-letters"),
    ],
)
def test_a_footprint_that_is_no_area_on_the_globe_is_refused(
    item: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SceneError) as caught:
        footprint_of(item)

    assert caught.value.reason == reason


def test_a_bow_tie_is_repaired() -> None:
    ring = [[15, 45], [16, 46], [16, 45], [15, 46], [15, 45]]

    footprint = footprint_of({"geometry": {"type": "Polygon", "coordinates": [ring]}})

    assert footprint.is_valid
    assert footprint.area == pytest.approx(0.5)


@pytest.mark.parametrize("crs", [{"proj:epsg": 32633}, {"proj:code": "EPSG:32633"}])
def test_the_extent_of_a_raster_follows_from_its_shape_and_transform(crs: dict[str, Any]) -> None:
    grid = {"proj:shape": [915, 915], "proj:transform": [120, 0, 499_980, 0, -120, 5_100_000]}

    extent = extent_of({"properties": crs, "assets": {"red": grid}})

    assert extent is not None
    assert extent.bounds == pytest.approx((14.9997, 45.0567, 16.4189, 46.0536), abs=1e-4)


def test_the_extent_of_a_raster_at_the_antimeridian_is_cut() -> None:
    grid = {"proj:shape": [100, 100], "proj:transform": [1000, 0, 150_000, 0, -1000, 8_000_000]}

    extent = extent_of({"properties": {"proj:epsg": 32701, **grid}, "assets": {}})

    assert extent is not None
    assert extent.bounds[0] == -180.0
    assert extent.bounds[2] == 180.0
    assert extent.area < 2


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"proj:epsg": 32633, "proj:shape": [10], "proj:transform": [1, 0, 0, 0, -1, 0]},
        {"proj:epsg": 999_999, "proj:shape": [9, 9], "proj:transform": [1, 0, 0, 0, -1, 0]},
        {"proj:epsg": 32633, "proj:shape": ["a", 9], "proj:transform": [1, 0, 0, 0, -1, 0]},
        {"proj:epsg": 32633, "proj:shape": [9, 9], "proj:transform": [1e30, 0, 0, 0, -1, 0]},
    ],
)
def test_an_extent_that_is_not_stated_is_unknown(properties: dict[str, Any]) -> None:
    assert extent_of({"properties": properties, "assets": None}) is None
