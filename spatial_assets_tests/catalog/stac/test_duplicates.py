"""The same granule twice."""

from __future__ import annotations

from typing import Any

import pytest
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
    item = item_of(name, **{"s2:processing_baseline": baseline, "created": created, **more})
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
    first = scene("b-first", "05.09", created="2023-08-18T20:00:00Z")
    second = scene("a-second", "05.09", created="2023-08-19T20:00:00Z")

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
