"""The filter of items: by solar day, collection, cloud cover and place."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.catalog.item_notes import OTHER_DAY, OUTSIDE_AREA, UNUSED
from spatial_assets.catalog.stac.footprints import place_of
from spatial_assets.catalog.stac.item_filter import ItemFilter
from spatial_assets.catalog.stac.items import acquired_of, moment_of, solar_day_of
from spatial_assets.errors import SceneError
from spatial_assets.project.sections.scenes import parse_interval

EVERYWHERE = shapely.box(-180, -90, 180, 90)
AUGUST = "2023-08-01/2023-08-31"


def item_filter(datetime: str = AUGUST, area: Any = EVERYWHERE) -> ItemFilter:  # noqa: ANN401 - shapely's
    return ItemFilter(
        collections=(), interval=parse_interval(datetime), max_cloud_cover=100.0, area=area
    )


def item(lon: float, lat: float = 0.0, /, **properties: object) -> dict[str, Any]:
    """An item with a footprint of a degree around a place."""
    box = shapely.box(lon - 0.5, lat - 0.5, lon + 0.5, lat + 0.5)
    return {"id": "x", "geometry": shapely.geometry.mapping(box), "properties": properties}


def solar_day(one: dict[str, Any]) -> dt.date:
    acquired = acquired_of(one)
    assert acquired is not None
    return solar_day_of(one, acquired, place_of(one))


FIRST = dt.datetime(2023, 7, 28, tzinfo=dt.UTC)
moments = st.integers(0, 38 * 86_400).map(lambda seconds: FIRST + dt.timedelta(seconds=seconds))


@given(lon=st.floats(-179.4, 179.4), acquired=moments)
def test_an_item_matches_if_and_only_if_its_solar_day_is_asked_for(
    lon: float, acquired: dt.datetime
) -> None:
    one = item(lon, datetime=acquired.isoformat())

    reason = item_filter().reason_against(one)

    assert reason == (None if solar_day(one).month == 8 else OTHER_DAY)


@given(lon=st.floats(-179.4, 179.4), acquired=moments)
def test_an_api_is_asked_for_every_item_that_matches(lon: float, acquired: dt.datetime) -> None:
    one = item(lon, datetime=acquired.isoformat())
    asked = item_filter().datetime
    assert asked is not None
    start, end = (dt.datetime.fromisoformat(moment) for moment in asked.split("/"))

    if item_filter().matches(one):
        assert start <= acquired <= end


@pytest.mark.parametrize(
    ("asked", "acquired", "matches"),
    [
        # 176 E: local time is 11:44 ahead.
        ("2023-08-01/2023-08-31", "2023-07-31T22:20:31Z", True),
        ("2023-08-01/2023-08-31", "2023-08-31T22:20:31Z", False),
        ("2023-08-01/..", "2023-07-31T22:20:31Z", True),
        ("../2023-08-31", "2023-08-31T22:20:31Z", False),
        ("2023-08-15", "2023-08-14T22:20:31Z", True),
        ("2023-08-01T00:00:00Z/2023-08-31T23:59:59Z", "2023-07-31T22:20:31Z", True),
        # A time of day is one of UTC.
        ("2023-07-31T22:00:00Z/2023-07-31T22:30:00Z", "2023-07-31T22:20:31Z", True),
        ("2023-07-31T22:00:00Z/2023-07-31T22:20:31Z", "2023-07-31T22:20:31.9Z", True),
        ("2023-07-31T22:00:00Z/2023-07-31T22:20:30Z", "2023-07-31T22:20:31Z", False),
        ("2023-08-01T10:00:00Z/..", "2023-07-31T22:20:31Z", False),
    ],
)
def test_days_are_solar_and_times_are_utc(asked: str, acquired: str, matches: bool) -> None:  # noqa: FBT001 - a parameter
    assert item_filter(asked).matches(item(176.0, datetime=acquired)) is matches


@pytest.mark.parametrize("lon", [-179.4, -120.0, 0.0, 120.0, 179.4])
@pytest.mark.parametrize(
    "times",
    [
        {"start_datetime": "2023-08-13T00:00:00Z", "end_datetime": "2023-08-28T23:59:59Z"},
        {"start_datetime": "2023-08-13T00:00:00Z", "end_datetime": "2023-08-13T23:59:59Z"},
        {"start_datetime": "2023-08-13", "end_datetime": "2023-08-28"},
        {
            "datetime": "2023-08-13T00:00:00Z",
            "start_datetime": "2023-08-13T00:00:00Z",
            "end_datetime": "2023-08-29T00:00:00Z",
        },
    ],
)
def test_an_interval_of_days_is_dated_by_its_first_day_anywhere(
    lon: float, times: dict[str, str]
) -> None:
    one = item(lon, **{"datetime": None, **times})

    assert solar_day(one) == dt.date(2023, 8, 13)


def test_a_short_interval_is_dated_by_its_solar_day() -> None:
    times = {"start_datetime": "2023-08-13T22:20:00Z", "end_datetime": "2023-08-13T22:20:30Z"}

    assert solar_day(item(176.0, datetime=None, **times)) == dt.date(2023, 8, 14)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_a_date_at_the_end_of_the_calendar_is_a_bad_item(text: str) -> None:
    one = item(176.0 if text.startswith("9") else -176.0, datetime=text)

    with pytest.raises(SceneError, match="end of the calendar"):
        solar_day(one)


def test_a_date_beyond_the_calendar_is_none() -> None:
    one = item(0.0, datetime="9999-12-31T23:59:59-05:00")

    assert acquired_of(one) is None
    assert moment_of(one, "datetime") is None


AREA = shapely.box(14.5, -0.5, 15.5, 0.5)
MIDDLE_OF_RASTER = shapely.box(14.9, -0.1, 15.1, 0.1)
RASTER = {  # one degree around 15 E on the equator
    "proj:code": "EPSG:32633",
    "proj:shape": [1100, 1100],
    "proj:transform": [100.0, 0.0, 445_000.0, 0.0, -100.0, 55_000.0],
}
BOX = {"proj:epsg": 32633, "proj:bbox": [445_000.0, -55_000.0, 555_000.0, 55_000.0]}
OUTLINE = {
    "proj:epsg": 32633,
    "proj:geometry": shapely.geometry.mapping(shapely.box(445_000, -55_000, 555_000, 55_000)),
}


@pytest.mark.parametrize("described", [RASTER, BOX, OUTLINE])
@pytest.mark.parametrize("by", ["properties", "assets"])
def test_a_geometry_beside_its_rasters_does_not_hide_them(
    described: dict[str, object], by: str
) -> None:
    beside = item(15.0, 3.0, datetime="2023-08-13T10:00:00Z")
    assert item_filter(area=AREA).reason_against(beside) == OUTSIDE_AREA
    if by == "properties":
        beside["properties"] |= described
    else:
        beside["assets"] = {"red": {"href": "x.tif", **described}}

    assert item_filter(area=AREA).matches(beside)
    assert place_of(beside).is_beside_rasters


@given(lon=st.floats(-20, 20), lat=st.floats(-20, 20))
def test_an_item_is_found_by_its_geometry_or_else_by_its_rasters(lon: float, lat: float) -> None:
    stated = item(15.0 + lon, lat, datetime="2023-08-13T10:00:00Z", **RASTER)

    place = place_of(stated)

    assert shapely.covers(place.footprint.buffer(1e-9), shapely.geometry.shape(stated["geometry"]))
    assert shapely.intersects(place.footprint, MIDDLE_OF_RASTER)


def test_the_edge_of_a_swath_lies_in_its_raster() -> None:
    edge = item(15.0, datetime="2023-08-13T10:00:00Z", **RASTER)
    sliver = shapely.box(14.51, -0.49, 14.53, 0.49)
    edge["geometry"] = shapely.geometry.mapping(sliver)

    assert not place_of(edge).is_beside_rasters
    assert shapely.equals(place_of(edge).footprint, sliver)
    assert item_filter(area=shapely.box(15.1, -0.1, 15.2, 0.1)).reason_against(edge) == OUTSIDE_AREA


def test_rasters_across_the_antimeridian_are_no_contradiction() -> None:
    ring = [[179.6, -0.5], [-179.4, -0.5], [-179.4, 0.5], [179.6, 0.5], [179.6, -0.5]]
    described = {**RASTER, "proj:code": "EPSG:32660"}
    described["proj:transform"] = [100.0, 0.0, 790_000.0, 0.0, -100.0, 55_000.0]
    across = item(0.0, datetime="2023-08-13T10:00:00Z", **described)
    across["geometry"] = {"type": "Polygon", "coordinates": [ring]}

    assert not place_of(across).is_beside_rasters


def test_every_reason_has_a_text() -> None:
    assert {OTHER_DAY, OUTSIDE_AREA} < set(UNUSED)
