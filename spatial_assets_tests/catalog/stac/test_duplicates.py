"""The same granule twice."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.catalog.scene import Scene
from spatial_assets.catalog.stac.duplicates import (
    granule_of,
    platform_of,
    without_duplicates,
    without_namesakes,
)
from spatial_assets.catalog.stac.items import RawItem, acquired_of, read_scene, rejected_item
from spatial_assets.errors import SceneError
from spatial_assets.sensor_profiles import SENSOR_PROFILES
from spatial_assets_tests.fixtures.scene_factory import item_of


def scene(name: str, baseline: str, created: str = "2023-08-18T20:00:00Z", **more: Any) -> Scene:  # noqa: ANN401
    geometry = more.pop("geometry", None)
    item = item_of(name, **{"s2:processing_baseline": baseline, "created": created, **more})
    item["geometry"] = geometry or item["geometry"]
    return read_scene(
        RawItem(item, f"/a/{name}.json"), SENSOR_PROFILES["sentinel-2-l2a"], needs=["red"]
    )


def granule(item: dict[str, Any]) -> str:
    acquired = acquired_of(item)
    assert acquired is not None
    return granule_of(item, acquired)


def test_the_highest_baseline_wins() -> None:
    old, new = scene("old", "02.12", created="2024-01-01T00:00:00Z"), scene("new", "05.10")

    kept, superseded = without_duplicates([old, new])

    assert [one.id for one in kept] == ["new"]
    assert [(one.id, one.by) for one in superseded] == [("old", "new")]


def test_of_one_baseline_the_latest_created_wins() -> None:
    strip = {"s2:datastrip_id": "S2A_OPER_MSI_L2A_DS_2APS_20230818T143300_S20230818T100032_N05.09"}
    first = scene("b-first", "05.09", created="2023-08-18T20:00:00Z", **strip)
    second = scene("a-second", "05.09", created="2023-08-19T20:00:00Z", **strip)

    kept, _ = without_duplicates([first, second])

    assert [one.id for one in kept] == ["a-second"]


def test_other_tiles_times_and_satellites_are_other_granules() -> None:
    scenes = [
        scene("here", "05.09"),
        scene("above", "05.09", **{"grid:code": "MGRS-33TWM"}),
        scene("later", "05.09", datetime="2023-08-23T10:08:08Z"),
        scene("other", "05.09", platform="sentinel-2b"),
    ]

    kept, superseded = without_duplicates(scenes)

    assert [one.id for one in kept] == ["above", "here", "later", "other"]
    assert superseded == ()


def test_one_id_is_used_once_even_for_different_granules() -> None:
    here, above = scene("same", "05.09"), scene("same", "05.10", **{"grid:code": "MGRS-33TWM"})

    kept, superseded = without_duplicates([here, above])

    assert [one.baseline for one in kept] == ["05.10"]
    assert len(superseded) == 1


@given(st.permutations(range(6)))
def test_the_answer_does_not_depend_on_the_order_of_the_catalogue(order: list[int]) -> None:
    scenes = [scene(f"s{n}", f"05.{n % 3:02}", created=f"2023-08-1{n % 2}") for n in range(6)]

    assert without_duplicates([scenes[n] for n in order]) == without_duplicates(scenes)


def test_a_bad_item_with_the_id_of_a_good_one_does_not_condemn_it() -> None:
    good = scene("same", "05.09")
    record = rejected_item(RawItem(item_of("same"), "/b.json"), SceneError("", reason="bad_json"))
    other = rejected_item(RawItem(item_of("alone"), "/c.json"), SceneError("", reason="bad_json"))

    bad, replaced = without_namesakes([record, other], [good])

    assert [one.id for one in bad] == ["alone"]
    assert [(one.id, one.href) for one in replaced] == [("same", "/b.json")]


PRODUCT = "S2A_MSIL2A_20230818T100031_N{}_R122_T33TWL_{}.SAFE"


def test_a_reprocessed_sentinel_product_is_the_same_granule() -> None:
    first = {
        "platform": "sentinel-2a",
        "datetime": "2023-08-18T10:08:08.248Z",
        "s2:product_uri": PRODUCT.format("0509", "20230818T143300"),
        "s2:datastrip_id": "S2A_OPER_MSI_L2A_DS_2APS_20230818T143300_S20230818T100032_N05.09",
    }
    again = {
        "platform": "Sentinel-2A",
        "datetime": "2023-08-18T10:00:31.024Z",
        "s2:product_uri": PRODUCT.format("0510", "20241018T110000"),
        "s2:datastrip_id": "S2A_OPER_MSI_L2A_DS_S2RP_20241018T110000_S20230818T100032_N05.10",
    }
    half = {
        **first,
        "s2:datastrip_id": "S2A_OPER_MSI_L2A_DS_MTI__20230818T150000_S20230818T100812_N05.09",
    }

    one, two, three = (granule({"id": "x", "properties": each}) for each in (first, again, half))

    assert one == two
    assert one != three


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {
                "id": "any",
                "properties": {
                    "datetime": "2020-01-14T17:05:46Z",
                    "platform": "LANDSAT_8",
                    "landsat:wrs_path": "028",
                    "landsat:wrs_row": "030",
                },
            },
            "landsat/landsat-8/28/30/20200114",
        ),
        (
            {
                "id": "LC08_L2SP_008059_20191201_20200825_02_T1",
                "properties": {"datetime": "2019-12-01", "platform": "landsat-8"},
            },
            "landsat/landsat-8/8/59/20191201",
        ),
        ({"id": "own", "collection": "c", "properties": {"datetime": "2019-12-01"}}, "c/own"),
    ],
)
def test_granules_of_other_archives(item: dict[str, Any], expected: str) -> None:
    assert granule(item) == expected


def test_a_satellite_is_spelled_one_way() -> None:
    names = ("Sentinel-2B", "sentinel-2b", "SENTINEL_2B", "sentinel 2b")

    assert {platform_of({"platform": name}) for name in names} == {"sentinel-2b"}
    assert platform_of({}) == "unknown"


class Product(NamedTuple):
    """One product of Sentinel-2: a processing of a tile, or of a part of it."""

    satellite: str = "A"
    tile: str = "33TWL"
    datatake: int = 0
    datastrip: int = 0
    baseline: int = 9
    processed: int = 0
    """Number of the processing; each product has its own."""


START = dt.datetime(2023, 8, 18, 10, 0, 31, tzinfo=dt.UTC)
TILE_TIMES = {"33TWL": 457, "33TWM": 443, "07HFE": 460}
"""Seconds from the start of a datatake to a tile."""


def moments(product: Product) -> tuple[dt.datetime, dt.datetime, dt.datetime]:
    """The start of the datatake, the first time of the datastrip, and the processing."""
    start = START + dt.timedelta(days=5 * product.datatake)
    datastrip = start + dt.timedelta(seconds=1 + 5 * product.datastrip)
    return start, datastrip, start + dt.timedelta(days=20 * product.baseline + product.processed)


def names_of(product: Product) -> dict[str, str]:
    """The names of a product as ESA writes them."""
    start, strip, made = (f"{moment:%Y%m%dT%H%M%S}" for moment in moments(product))
    sat, base = f"S2{product.satellite}", f"{product.baseline:02}"
    return {
        "product": f"{sat}_MSIL2A_{start}_N05{base}_R122_T{product.tile}_{made}",
        "datatake": f"G{sat}_{start}_042590_N05.{base}",
        "datastrip": f"{sat}_OPER_MSI_L2A_DS_2APS_{made}_S{strip}_N05.{base}",
        "made": made,
    }


def zone_of(product: Product) -> tuple[str, str, str]:
    return product.tile[:2], product.tile[2], product.tile[3:]


def earth_search_v1(product: Product) -> dict[str, Any]:
    names, (zone, band, square) = names_of(product), zone_of(product)
    tile_time = moments(product)[0] + dt.timedelta(seconds=TILE_TIMES[product.tile])
    number = 2 * product.datastrip + product.processed
    return {
        "id": f"S2{product.satellite}_{product.tile}_{tile_time:%Y%m%d}_{number}_L2A",
        "properties": {
            "datetime": tile_time.isoformat(),
            "platform": f"sentinel-2{product.satellite.lower()}",
            "grid:code": f"MGRS-{product.tile}",
            "mgrs:utm_zone": int(zone),
            "mgrs:latitude_band": band,
            "mgrs:grid_square": square,
            "s2:product_uri": f"{names['product']}.SAFE",
            "s2:datastrip_id": names["datastrip"],
            "s2:datatake_id": names["datatake"],
            "s2:processing_baseline": f"05.{product.baseline:02}",
            "s2:sequence": str(number),
        },
    }


def earth_search_v0(product: Product) -> dict[str, Any]:
    item = earth_search_v1(product)
    zone, band, square = zone_of(product)
    kept = {key: item["properties"][key] for key in ("datetime", "platform")}
    item["properties"] = {
        **kept,
        "sentinel:utm_zone": int(zone),
        "sentinel:latitude_band": band,
        "sentinel:grid_square": square,
        "sentinel:sequence": item["properties"]["s2:sequence"],
        "sentinel:product_id": names_of(product)["product"],
    }
    return item


def collection_1_on_aws(product: Product) -> dict[str, Any]:
    item, start = earth_search_v1(product), moments(product)[0]
    del item["properties"]["s2:product_uri"], item["properties"]["s2:sequence"]
    item["id"] = f"S2{product.satellite}_T{product.tile}_{start:%Y%m%dT%H%M%S}_L2A"
    return item


def planetary_computer(product: Product) -> dict[str, Any]:
    names = names_of(product)
    return {
        "id": re.sub(r"_N\d{4}", "", names["product"]),
        "properties": {
            "datetime": moments(product)[0].isoformat(),
            "platform": f"Sentinel-2{product.satellite}",
            "s2:mgrs_tile": product.tile,
            "s2:product_uri": f"{names['product']}.SAFE",
            "s2:datastrip_id": names["datastrip"],
            "s2:datatake_id": names["datatake"],
            "s2:processing_baseline": f"05.{product.baseline:02}",
        },
    }


def cdse(product: Product) -> dict[str, Any]:
    names = names_of(product)
    return {
        "id": names["product"],
        "properties": {
            "datetime": moments(product)[0].isoformat(),
            "platform": f"sentinel-2{product.satellite.lower()}",
            "grid:code": f"MGRS-{product.tile}",
            "eopf:datastrip_id": names["datastrip"],
            "eopf:datatake_id": names["datatake"],
            "processing:version": f"05.{product.baseline:02}",
        },
    }


def stactools(product: Product) -> dict[str, Any]:
    item = earth_search_v1(product)
    del item["properties"]["s2:sequence"]
    item["id"] = f"S2{product.satellite}_T{product.tile}_{moments(product)[1]:%Y%m%dT%H%M%S}_L2A"
    return item


STATE_THE_DATASTRIP = (earth_search_v1, collection_1_on_aws, planetary_computer, cdse, stactools)
products = st.builds(
    Product,
    satellite=st.sampled_from("ABC"),
    tile=st.sampled_from(sorted(TILE_TIMES)),
    datatake=st.integers(0, 1),
    datastrip=st.integers(0, 1),
    baseline=st.integers(9, 11),
    processed=st.integers(0, 1),
)


@pytest.mark.parametrize("spelled", STATE_THE_DATASTRIP)
@pytest.mark.parametrize("elsewhere", STATE_THE_DATASTRIP)
@given(one=products, other=products)
def test_products_are_duplicates_if_and_only_if_they_are_of_one_datastrip_and_tile(
    spelled: Callable[[Product], dict[str, Any]],
    elsewhere: Callable[[Product], dict[str, Any]],
    one: Product,
    other: Product,
) -> None:
    same = one[:4] == other[:4]

    assert (granule(spelled(one)) == granule(elsewhere(other))) is same


@given(one=products, other=products)
def test_without_a_datastrip_only_an_older_processing_of_one_number_is_a_duplicate(
    one: Product, other: Product
) -> None:
    first, second = earth_search_v0(one), earth_search_v0(other)
    numbers = {item["properties"]["sentinel:sequence"] for item in (first, second)}

    same = one[:3] == other[:3] and len(numbers) == 1

    assert (granule(first) == granule(second)) is same


def halves(**more: Any) -> list[Scene]:  # noqa: ANN401 - item properties
    """Two items of one tile and time that state no datastrip."""
    return [scene(name, "05.09", created=f"2023-08-{name}", **more) for name in ("18", "19")]


def test_items_that_may_be_halves_of_a_tile_are_both_used() -> None:
    older = scene("old", "02.12")

    kept, superseded = without_duplicates([*halves(), older])

    assert [one.id for one in kept] == ["18", "19"]
    assert [one.id for one in superseded] == ["old"]


def test_a_half_of_an_older_baseline_is_used_where_the_newer_one_is_not() -> None:
    def at(west: float, east: float) -> dict[str, Any]:
        box: dict[str, Any] = shapely.geometry.mapping(shapely.box(west, 45.1, east, 46.0))
        return box

    western = scene("west", "05.09", geometry=at(15.0, 15.7))
    eastern = scene("east", "05.10", geometry=at(15.7, 16.4))
    older = scene("older-east", "02.12", geometry=at(15.72, 16.41))

    kept, superseded = without_duplicates([western, eastern, older])

    assert [one.id for one in kept] == ["east", "west"]
    assert [(one.id, one.by) for one in superseded] == [("older-east", "east")]


def test_two_halves_of_a_tile_are_both_used_in_the_spelling_of_cdse() -> None:
    parts = [cdse(Product(datastrip=number, processed=number)) for number in (0, 1)]
    again = cdse(Product(datastrip=1, processed=1, baseline=10))
    scenes = [
        scene(item["id"], "", **{"s2:processing_baseline": None, **item["properties"]})
        for item in (*parts, again)
    ]

    kept, superseded = without_duplicates(scenes)

    assert [one.id for one in kept] == sorted([parts[0]["id"], again["id"]])
    assert [(one.id, one.by) for one in superseded] == [(parts[1]["id"], again["id"])]


def landsat(**more: str) -> dict[str, Any]:
    stated = {"landsat:wrs_path": "028", "landsat:wrs_row": "030", "platform": "LANDSAT_8", **more}
    name = "LC08_L2SP_028030_20200114_20200824_02_T1_SR"
    return {"id": name, "properties": {"datetime": "2020-01-14T17:05:46.7Z", **stated}}


def test_a_landsat_scene_is_one_granule_at_usgs_and_in_the_planetary_computer() -> None:
    usgs = granule(landsat())

    assert (
        granule({**landsat(platform="landsat-8"), "id": "LC08_L2SP_028030_20200114_02_T1"}) == usgs
    )
    assert granule(landsat(**{"landsat:wrs_row": "031"})) != usgs
    assert granule(landsat(datetime="2020-01-15T00:10:00Z")) != usgs
    assert granule(landsat(platform="landsat-9")) != usgs


def test_granules_of_hls_are_known_by_their_ids() -> None:
    names = (
        "HLS.S30.T33TWL.2023230T100031.v2.0",
        "HLS.L30.T33TWL.2023230T094549.v2.0",
        "HLS.S30.T33TWL.2023230T100031.v1.5",
    )
    items = [
        {"id": name, "collection": "HLS", "properties": {"datetime": "2023-08-18T10:00:31Z"}}
        for name in names
    ]

    assert len({granule(item) for item in items}) == len(names)
