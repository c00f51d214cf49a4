"""Items of a folder: found, filtered, and refused one by one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from spatial_assets.catalog.sources import documents as documents_module
from spatial_assets.errors import SettingsError, SourceUnavailableError
from spatial_assets_tests.catalog.scene_search import LATER, find, ids, reasons, shifted
from spatial_assets_tests.fixtures.scene_factory import (
    FOOTPRINT,
    item_of,
    write_item,
    write_scene,
)


def test_a_folder_is_searched_to_its_depths(tmp_path: Path) -> None:
    write_scene(tmp_path / "s" / "b", item_of("b", **LATER))
    write_scene(tmp_path / "s" / "deep" / "er" / "a", item_of("a"))
    (tmp_path / "s" / "collection.json").write_text(
        '{"type": "Collection", "stac_version": "1.0.0"}'
    )
    (tmp_path / "s" / "fields.json").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "s" / "notes.txt").write_text("not JSON")

    catalogue = find(tmp_path, tmp_path / "s")

    assert ids(catalogue) == ["a", "b"]
    assert catalogue.rejected == ()
    assert Path(catalogue.scenes[0].bands["red"].href).is_file()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "bad_json", id="empty"),
        pytest.param(b'{"type": "Feature", "stac_', "bad_json", id="cut-off"),
        pytest.param(b"\xff\xfe\x00", "bad_json", id="no-utf-8"),
        pytest.param(b"[1, 2, 3]", "bad_json", id="a-list"),
        pytest.param(b"[" * 100_000, "bad_json", id="nested-without-end"),
    ],
)
def test_an_unreadable_item_is_a_record_and_the_others_go_on(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    write_scene(tmp_path / "s" / "good", item_of("good"))
    (tmp_path / "s" / "bad.json").write_bytes(content)

    catalogue = find(tmp_path, tmp_path / "s")

    assert ids(catalogue) == ["good"]
    assert reasons(catalogue) == {"bad": reason}


def test_an_oversized_item_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents_module, "MAX_DOCUMENT_BYTES", 5000)
    write_scene(tmp_path / "s", item_of("good"))
    write_item(tmp_path / "s", {**item_of("bad"), "padding": "x" * 5000})

    catalogue = find(tmp_path, tmp_path / "s")

    assert reasons(catalogue) == {"bad": "too_large"}


def test_a_scene_without_its_file_is_a_record(tmp_path: Path) -> None:
    write_scene(tmp_path / "s")
    (tmp_path / "s" / "B08.tif").unlink()

    assert set(reasons(find(tmp_path, tmp_path / "s")).values()) == {"missing_object"}


@pytest.mark.parametrize(
    ("item", "scenes", "expected"),
    [
        pytest.param(item_of(), {}, 1, id="wanted"),
        pytest.param(item_of(), {"collections": ["sentinel-2-l2a", "x"]}, 1, id="collection"),
        pytest.param(item_of(), {"collections": ["sentinel-2-l1c"]}, 0, id="other-collection"),
        pytest.param(item_of(), {"max_cloud_cover": 45}, 0, id="too-cloudy"),
        pytest.param(item_of(), {"max_cloud_cover": 46}, 1, id="clear-enough"),
        pytest.param(item_of(**{"eo:cloud_cover": None}), {"max_cloud_cover": 1}, 1, id="untold"),
        pytest.param(item_of(), {"datetime": "2023-08-19/.."}, 0, id="before"),
        pytest.param(item_of(), {"datetime": "2023-08-18"}, 1, id="that-day"),
        pytest.param(
            item_of(datetime="2023-08-31T22:57:11.9Z"), {}, 1, id="last-second-of-the-last-day"
        ),
        pytest.param(
            item_of(datetime="2023-08-31T22:57:12Z"), {}, 0, id="first-second-of-the-next-day"
        ),
        pytest.param(
            item_of(datetime="2023-07-31T22:57:12Z"), {}, 1, id="first-second-of-the-first-day"
        ),
        pytest.param({**item_of(), "geometry": shifted(40)}, {}, 0, id="elsewhere"),
    ],
)
def test_only_wanted_items_are_scenes(
    tmp_path: Path, item: dict[str, Any], scenes: dict[str, Any], expected: int
) -> None:
    write_scene(tmp_path / "s", item)

    catalogue = find(tmp_path, tmp_path / "s", **scenes)

    assert len(catalogue.scenes) == expected
    assert catalogue.rejected == ()


def test_the_same_folder_gives_the_same_answer(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        write_scene(
            tmp_path / "s" / name, item_of(name, datetime=f"2023-08-1{ord(name) % 5}T10:00:00Z")
        )

    first, second = (find(tmp_path, tmp_path / "s") for _ in range(2))

    assert ids(first) == ["a", "b", "c"]
    assert first == second


@pytest.mark.parametrize("catalog", ["nowhere", "nowhere.json", "nowhere.parquet"])
def test_a_catalogue_that_is_not_there_is_a_settings_error(tmp_path: Path, catalog: str) -> None:
    with pytest.raises(SettingsError, match="catalog"):
        find(tmp_path, catalog)


def test_a_folder_that_may_not_be_listed_is_named_and_leaves_the_catalogue_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scene(tmp_path / "s" / "a", item_of("a"))
    for name in ("closed", "lost+found"):
        write_scene(tmp_path / "s" / name, item_of(name, **LATER))
    listed = os.scandir

    def scandir(path: str) -> object:
        if path.endswith(("closed", "lost+found")):  # the tests may run as root
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)

    catalogue = find(tmp_path, tmp_path / "s")

    assert ids(catalogue) == ["a"]
    assert reasons(catalogue) == {"closed": "forbidden"}
    assert not catalogue.whole


def test_a_folder_that_vanishes_while_it_is_listed_is_no_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scene(tmp_path / "s" / "a", item_of("a"))
    listed = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("a"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)

    with pytest.raises(SourceUnavailableError, match="cannot be listed"):
        find(tmp_path, tmp_path / "s")


def test_linked_folders_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    write_scene(tmp_path / "s" / "own", item_of("own"))
    write_scene(tmp_path / "elsewhere" / "deep", item_of("linked", **LATER))
    (tmp_path / "s" / "a-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "s" / "again").symlink_to(tmp_path / "elsewhere" / "deep")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "s")
    (tmp_path / "s" / "a-first").symlink_to(tmp_path / "s" / "own")

    catalogue = find(tmp_path, tmp_path / "s")

    assert ids(catalogue) == ["linked", "own"]
    assert catalogue.superseded == ()
    assert Path(catalogue.scenes[1].href).parent == tmp_path / "s" / "own"


def test_a_link_to_a_folder_that_is_not_there_is_a_record(tmp_path: Path) -> None:
    write_scene(tmp_path / "s" / "own", item_of("own"))
    (tmp_path / "s" / "september").symlink_to(tmp_path / "unmounted")
    (tmp_path / "s" / "notes.tif").symlink_to(tmp_path / "unmounted.tif")

    catalogue = find(tmp_path, tmp_path / "s")

    assert reasons(catalogue) == {"september": "missing_object"}
    assert not catalogue.whole


def test_items_named_geojson_are_read_and_other_features_passed_over(tmp_path: Path) -> None:
    item = write_scene(tmp_path / "s", item_of("a"))
    item.rename(item.with_suffix(".geojson"))
    region = {"type": "Feature", "geometry": FOOTPRINT, "properties": {"name": "region"}}
    collection = {"type": "FeatureCollection", "features": [region]}
    (tmp_path / "s" / "regions.GeoJSON").write_text(json.dumps(collection))

    catalogue = find(tmp_path, tmp_path / "s")

    assert ids(catalogue) == ["a"]
    assert catalogue.rejected == ()


def test_boundaries_beside_the_scenes_may_be_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents_module, "MAX_DOCUMENT_BYTES", 5000)
    write_scene(tmp_path / "s", item_of("good"))
    (tmp_path / "s" / "regions.geojson").write_text("x" * 5001)

    catalogue = find(tmp_path, tmp_path / "s")

    assert list(reasons(catalogue).values()) == ["too_large"]
    assert catalogue.whole


def test_a_feature_with_assets_and_no_stac_version_is_named(tmp_path: Path) -> None:
    item = item_of("a")
    del item["stac_version"]
    write_scene(tmp_path / "s", item)

    assert reasons(find(tmp_path, tmp_path / "s")) == {"a": "stac_version"}


def test_items_that_are_not_used_are_counted_by_reason_with_some_ids(tmp_path: Path) -> None:
    write_scene(tmp_path / "s", item_of("used"))
    for number in range(5):
        write_item(tmp_path / "s", {**item_of(f"far-{number}"), "geometry": shifted(40)})
    write_item(tmp_path / "s", item_of("cloudy", **{"eo:cloud_cover": 95, **LATER}))
    write_item(tmp_path / "s", item_of("later", datetime="2024-01-01T10:00:00Z"))
    write_item(tmp_path / "s", {**item_of("other"), "collection": "sentinel-1"})
    write_item(tmp_path / "s", item_of("older", **{"s2:processing_baseline": "02.14"}))

    found = find(tmp_path, tmp_path / "s", max_cloud_cover=90, collections=["sentinel-2-l2a"])

    assert ids(found) == ["used"]
    assert list(found.notes.lines()) == [
        "not used: 1 item of a collection that is not in [scenes] collections (other)",
        "not used: 1 item of a solar day outside of [scenes] datetime (later)",
        "not used: 1 item cloudier than [scenes] max_cloud_cover (cloudy)",
        "not used: 5 items outside of [area] (far-0, far-1, far-2, ...)",
        "not used: 1 item superseded by another processing of the same granule (older)",
    ]


def test_items_that_may_be_duplicates_are_used_and_named(tmp_path: Path) -> None:
    write_scene(tmp_path / "s", item_of("one"))
    write_item(tmp_path / "s", item_of("two"))

    found = find(tmp_path, tmp_path / "s")

    assert ids(found) == ["one", "two"]
    (line,) = found.notes.lines()
    assert line.endswith("(one, two)")
    assert line.startswith("used with a doubt: 2 items with no datastrip")
