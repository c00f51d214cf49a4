"""Scene versions: facts of a scene from the catalogue alone, and what counts as a change."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shapely

from spatial_assets.catalog import SceneVersion
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.stac.candidates import candidate_of, scene_versions_of
from spatial_assets.catalog.stac.items import RawItem, read_scene
from spatial_assets.sensor_profiles import SENSOR_PROFILES
from spatial_assets_tests.catalog.scene_search import LATER, find, ids
from spatial_assets_tests.fixtures.scene_factory import FOOTPRINT, item_of, write_item, write_scene
from spatial_assets_tests.fixtures.web_server import WebServer

Edit = Callable[[dict[str, Any]], object]


def seen(tmp_path: Path) -> tuple[SceneVersion, ...]:
    return find(tmp_path, tmp_path / "s").scene_versions


def remote_item() -> dict[str, Any]:
    item = item_of("a", updated="2023-08-19T00:00:00Z")
    for asset in item["assets"].values():
        asset["href"] = f"https://example.org/S2/{asset['href']}"
    return item


def scene_version(item: dict[str, Any]) -> SceneVersion:
    raw = RawItem(item, "https://example.org/a.json")
    scene = read_scene(raw, SENSOR_PROFILES["sentinel-2-l2a"], needs=["red", "nir"])
    (one,) = scene_versions_of([candidate_of(scene)])
    return one


def edited(edit: Edit) -> dict[str, Any]:
    item = copy.deepcopy(remote_item())
    edit(item)
    return item


def test_every_scene_is_sighted_in_the_order_of_ids(tmp_path: Path) -> None:
    write_scene(tmp_path / "s", item_of("b", **LATER))
    write_scene(tmp_path / "s", item_of("a"))
    write_item(tmp_path / "s", {**item_of("c"), "stac_version": "0.9.0"})

    scene_versions = seen(tmp_path)

    assert [one.id for one in scene_versions] == ["a", "b", "c"]
    assert scene_versions == seen(tmp_path)
    footprint = shapely.geometry.shape(FOOTPRINT)
    assert all(
        one.footprint is not None and one.footprint.equals(footprint) for one in scene_versions
    )


def test_the_reach_is_the_footprint_without_the_empty_corners_of_the_rasters() -> None:
    item = remote_item()
    item["properties"] |= {
        "proj:shape": [10_980, 10_980],
        "proj:transform": [10, 0, 499_980, 0, -10, 5_100_000],
    }
    scene = read_scene(
        RawItem(item, "https://e.org/a.json"), SENSOR_PROFILES["sentinel-2-l2a"], needs=[]
    )

    footprint = scene_version(item).footprint

    assert scene.extent is not None
    assert footprint is not None
    assert footprint.equals(scene.footprint)
    assert not footprint.equals(scene.extent.union(scene.footprint))


def test_a_document_that_cannot_be_read_reaches_nowhere(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "torn.json").write_text('{"type": "Feat')

    (one,) = seen(tmp_path)

    assert (one.id, one.footprint) == ("torn", None)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda i: i["properties"].update(updated="2030-01-01T00:00:00Z"), id="update"),
        pytest.param(lambda i: i["properties"].update({"eo:cloud_cover": 1.0}), id="clouds"),
        pytest.param(lambda i: i["links"].append({"rel": "self", "href": "/?token=1"}), id="links"),
        pytest.param(lambda i: i["assets"]["red"].update(href=RED + "?sig=1"), id="signature"),
        pytest.param(lambda i: i["assets"].update(visual={"href": "TCI.tif"}), id="picture"),
    ],
)
def test_what_cannot_reach_a_pixel_is_no_change(edit: Edit) -> None:
    assert scene_version(edited(edit)) == scene_version(remote_item())


RED = "https://example.org/S2/B04.tif"
NARROWER = {"type": "Polygon", "coordinates": [[[15, 45], [16, 45], [16, 46], [15, 46], [15, 45]]]}


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda i: i["assets"]["red"].update(href=RED + "2"), id="href"),
        pytest.param(lambda i: i["assets"]["red"].update({"file:checksum": "1220aa"}), id="sum"),
        pytest.param(lambda i: i["assets"]["red"].update({"file:size": 9}), id="size"),
        pytest.param(lambda i: i["assets"]["red"]["raster:bands"][0].update(nodata=7), id="nodata"),
        pytest.param(
            lambda i: i["properties"].pop("earthsearch:boa_offset_applied"), id="radiometry"
        ),
        pytest.param(lambda i: i["properties"].update(created="2024-01-01T00:00:00Z"), id="made"),
        pytest.param(
            lambda i: i["properties"].update({"s2:processing_baseline": "05.10"}), id="baseline"
        ),
        pytest.param(lambda i: i["properties"].update(datetime="2023-08-20T10:08:08Z"), id="time"),
        pytest.param(lambda i: i["properties"].update({"proj:epsg": 32634}), id="crs"),
        pytest.param(lambda i: i.update(geometry=NARROWER), id="footprint"),
    ],
)
def test_what_may_reach_a_pixel_is_a_change(edit: Edit) -> None:
    assert scene_version(edited(edit)).version != scene_version(remote_item()).version


def test_a_local_file_that_is_touched_taken_away_or_put_back_is_a_change(tmp_path: Path) -> None:
    write_scene(tmp_path / "s")
    red = tmp_path / "s" / "B04.tif"
    content = red.read_bytes()

    (first,) = seen(tmp_path)
    os.utime(red, ns=(1, 1))
    (touched,) = seen(tmp_path)
    red.unlink()
    (without,) = seen(tmp_path)
    red.write_bytes(content)
    os.utime(red, ns=(1, 1))
    (back,) = seen(tmp_path)

    assert len({first.version, touched.version, without.version}) == 3
    assert back == touched


def test_a_reprocessed_item_takes_the_place_of_the_first_and_gives_it_back(tmp_path: Path) -> None:
    write_scene(tmp_path / "s", item_of("old"))
    before = seen(tmp_path)
    again = write_scene(tmp_path / "s", item_of("new", **{"s2:processing_baseline": "05.10"}))
    with_both = seen(tmp_path)
    (tmp_path / "s" / "old.json").unlink()

    assert [one.id for one in with_both] == ["new"]
    assert seen(tmp_path) == with_both
    write_scene(tmp_path / "s", item_of("old"))
    again.unlink()
    assert [one.id for one in seen(tmp_path)] == [one.id for one in before] == ["old"]


def test_a_bad_item_under_the_id_of_a_good_one_is_not_sighted(tmp_path: Path) -> None:
    write_scene(tmp_path / "s" / "b", item_of("a"))
    good = seen(tmp_path)
    write_item(tmp_path / "s" / "a", {**item_of("a"), "stac_version": "0.9.0"})

    assert seen(tmp_path) == good


def test_a_scene_whose_files_are_missing_or_away_is_sighted_all_the_same(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    item = item_of("a")
    for asset in item["assets"].values():
        asset["href"] = f"{web.url}/{asset['href']}"
    write_item(tmp_path / "s", item)
    write_item(tmp_path / "s", item_of("b", **LATER))

    catalogue = find(tmp_path, tmp_path / "s", use=access)

    assert ids(catalogue) == []
    assert [one.id for one in catalogue.scene_versions] == ["a", "b"]
