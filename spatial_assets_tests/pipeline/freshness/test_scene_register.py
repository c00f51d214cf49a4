"""The register of scenes: a filter judges its entries as it judges the items themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.catalog.scene import Catalogue, RejectedScene, Scene
from spatial_assets.catalog.stac.item_filter import ItemFilter
from spatial_assets.catalog.stac.items import RawItem, read_scene
from spatial_assets.errors import SceneError
from spatial_assets.pipeline.freshness.scene_register import RegisteredScene, SceneRegister
from spatial_assets.project.sections.scenes import Interval, parse_interval
from spatial_assets.sensor_profiles import SENSOR_PROFILES
from spatial_assets_tests.fixtures.two_zone_project import EAST

PROFILE = SENSOR_PROFILES["sentinel-2-l2a"]
WORLD = ItemFilter(
    collections=(),
    interval=Interval(None, None),
    max_cloud_cover=100.0,
    area=shapely.box(-180, -90, 180, 90),
)


@st.composite
def items(draw: st.DrawFn) -> dict[str, object]:
    """Items anywhere, with a time, a date, or an interval of days."""
    west = draw(st.floats(-180, 179))
    south = draw(st.floats(-80, 78))
    outline = shapely.box(west, south, west + draw(st.floats(0.01, 3)), south + 1)
    day = draw(st.dates(dt.date(2023, 7, 30), dt.date(2023, 9, 2)))
    time = draw(st.times()).replace(microsecond=0)
    times: dict[str, object] = draw(
        st.sampled_from(
            [
                {"datetime": f"{day}T{time}Z"},
                {"datetime": str(day)},
                {
                    "datetime": None,
                    "start_datetime": f"{day}T00:00:00Z",
                    "end_datetime": f"{day + dt.timedelta(days=7)}T23:59:59Z",
                },
            ]
        )
    )
    cloud = draw(st.none() | st.floats(0, 100))
    item = EAST.item(**{**times, "eo:cloud_cover": cloud})
    return {**item, "geometry": shapely.geometry.mapping(outline)}


def filters() -> st.SearchStrategy[ItemFilter]:
    """Filters of time, cloud cover, collection and area."""
    spans = ["2023-08-01/2023-08-31", "2023-08-10T06:00:00Z/..", "../2023-08-20T18:30:00Z"]
    parts = [shapely.box(0, 0, 180, 80), shapely.box(170, -50, 180, 0)]
    return st.builds(
        ItemFilter,
        collections=st.sampled_from([(), ("sentinel-2-l2a",), ("other",)]),
        interval=st.sampled_from([Interval(None, None), *map(parse_interval, spans)]),
        max_cloud_cover=st.sampled_from([100.0, 50.0, 1.0]),
        area=st.sampled_from([WORLD.area, *parts]),
    )


@given(items(), filters())
def test_a_filter_asks_for_an_entry_exactly_if_it_matches_the_item(
    item: dict[str, object], item_filter: ItemFilter
) -> None:
    try:
        scene = read_scene(RawItem(item, "/c/a.json"), PROFILE, needs=["red", "nir"])
    except SceneError:
        return

    entry = RegisteredScene.of(scene, used=True)

    assert entry.is_asked_for(item_filter) == item_filter.matches(item)
    copy = SceneRegister({entry.id: entry})
    assert SceneRegister.from_bytes(copy.to_bytes()) == copy


def scene(name: str) -> Scene:
    item = EAST.item() | {"id": name}
    return read_scene(RawItem(item, f"/c/{name}.json"), PROFILE, needs=["red", "nir"])


def register_of(*names: str, used: Iterable[str] = ()) -> SceneRegister:
    return SceneRegister().updated([scene(name) for name in names], used=set(used))


def rejected(name: str, *, unread: bool) -> RejectedScene:
    return RejectedScene(
        id=name, href=f"/c/{name}.json", reason="r", message="m", fingerprint="f", unread=unread
    )


def test_scenes_are_told_apart_by_what_is_known_of_them() -> None:
    register = register_of("present", "gone", "old", used=["present", "gone", "old"])
    register = register.releasing(["old"])
    catalogue = Catalogue((scene("present"),), (rejected("bad", unread=False),))
    doubtful = replace(catalogue, unread=("/c/x.json",))
    typo = replace(WORLD, collections=("typo",))

    whole = register.absent_from(catalogue.listed, WORLD, whole=catalogue.whole)
    partial = register.absent_from(doubtful.listed, WORLD, whole=doubtful.whole)
    narrow = register.absent_from(frozenset(), typo, whole=True)

    assert whole.withdrawn == {"gone"}
    assert whole.released == {"old"}
    assert whole.asked_for == 2
    assert not partial.withdrawn
    assert partial.unknown == {"gone"}
    assert not narrow.withdrawn
    assert narrow.not_asked_for == {"present", "gone"}
    assert whole.dropped == {"gone", "old"}


@pytest.mark.parametrize(
    ("lost", "of", "share", "stops"),
    [
        pytest.param(1, 2, 0.5, False, id="half"),
        pytest.param(2, 3, 0.5, True, id="most"),
        pytest.param(1, 1, 0.5, True, id="the only one"),
        pytest.param(1, 10, 0.0, True, id="one, where none may go"),
        pytest.param(3, 3, 1.0, False, id="all, where all may go"),
    ],
)
def test_the_share_that_may_be_missing_is_the_one_in_the_settings(
    lost: int, of: int, share: float, *, stops: bool
) -> None:
    names = [f"s{number}" for number in range(of)]
    absent = register_of(*names).absent_from(set(names[lost:]), WORLD, whole=True)

    assert len(absent.withdrawn) == lost
    assert absent.is_too_much(share) is stops


def test_a_scene_that_no_tile_was_made_from_is_forgotten_and_a_listed_one_comes_back() -> None:
    register = register_of("used", "unused", used=["used"]).releasing(["used", "unused", "other"])
    assert {name: each.released for name, each in register.scenes.items()} == {
        "used": True,
        "other": True,
    }

    again = register.updated([scene("used"), scene("unused")], used=set())

    assert not again.scenes["used"].released
    assert again.scenes["used"].used
    assert not again.scenes["unused"].used
