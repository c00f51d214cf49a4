"""From one item to a scene, or the reason for its rejection."""

from __future__ import annotations

import copy
import datetime as dt
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from spatial_assets.catalog.scene import Scene
from spatial_assets.catalog.stac.items import RawItem, read_scene, rejected_item
from spatial_assets.errors import SceneError
from spatial_assets.sensor_profiles import SENSOR_PROFILES
from spatial_assets_tests.fixtures.scene_factory import item_of

SENTINEL_2 = SENSOR_PROFILES["sentinel-2-l2a"]
PLACE = "/archive/scene/item.json"


def read(item: dict[str, Any], *needs: str) -> Scene:
    return read_scene(RawItem(item, PLACE), SENTINEL_2, needs=needs or ("red", "nir"))


def without(item: dict[str, Any], *path: str) -> dict[str, Any]:
    changed = copy.deepcopy(item)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return changed


def test_an_item_becomes_a_scene() -> None:
    scene = read(item_of())

    assert scene.id == "S2A_33TWL_20230818_0_L2A"
    assert scene.acquired == dt.datetime(2023, 8, 18, 10, 8, 8, 248_000, tzinfo=dt.UTC)
    assert scene.solar_day == dt.date(2023, 8, 18)
    assert scene.platform == "sentinel-2a"
    assert scene.cloud_cover == 45.7
    assert scene.crs == "EPSG:32633"
    assert list(scene.bands) == ["nir", "red"]
    assert scene.bands["red"].href == "/archive/scene/B04.tif"
    assert scene.class_band is not None
    assert scene.class_band.name == "scl"
    assert pickle.loads(pickle.dumps(scene)) == scene  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "../../etc/passwd", "a\\b", "x" * 201, "a\x00b", "a b", "-rf", None, 7],
)
def test_an_id_that_is_no_folder_name_is_refused_and_replaced(name: object) -> None:
    item = {**item_of(), "id": name}

    with pytest.raises(SceneError) as caught:
        read(item)
    record = rejected_item(RawItem(item, PLACE), caught.value)

    assert caught.value.reason == "bad_id"
    assert record.id.startswith("bad-id-")
    assert "/" not in record.id
    assert record.footprint is not None


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        pytest.param(without(item_of(), "assets", "nir"), "missing_band", id="no-nir"),
        pytest.param(without(item_of(), "assets", "scl"), "missing_band", id="no-classes"),
        pytest.param(without(item_of(), "assets"), "missing_band", id="no-assets"),
        pytest.param({**item_of(), "assets": []}, "missing_band", id="assets-are-a-list"),
        pytest.param(item_of(datetime=None), "bad_datetime", id="no-datetime"),
        pytest.param(item_of(datetime="yesterday"), "bad_datetime", id="datetime-is-text"),
        pytest.param({**item_of(), "properties": None}, "bad_datetime", id="no-properties"),
        pytest.param({**item_of(), "geometry": None}, "no_footprint", id="no-geometry"),
        pytest.param({**item_of(), "stac_version": "0.7.0"}, "stac_version", id="stac-0.7"),
        pytest.param({**item_of(), "stac_version": 1}, "stac_version", id="version-is-a-number"),
        pytest.param(without(item_of(), "assets", "red", "href"), "bad_href", id="no-href"),
    ],
)
def test_a_bad_item_is_refused_with_its_reason(item: dict[str, Any], reason: str) -> None:
    with pytest.raises(SceneError) as caught:
        read(item)

    assert caught.value.reason == reason


def test_an_interval_stands_for_a_missing_datetime() -> None:
    scene = read(item_of(datetime=None, start_datetime="2023-08-18T10:00:00Z"))

    assert scene.acquired == dt.datetime(2023, 8, 18, 10, tzinfo=dt.UTC)


def test_a_date_without_a_time_is_not_moved_to_another_day() -> None:
    west = {"type": "Polygon", "coordinates": [[[-76, 0], [-74, 0], [-74, 2], [-76, 2], [-76, 0]]]}

    scene = read({**item_of(datetime="2019-12-01"), "geometry": west})

    assert scene.solar_day == dt.date(2019, 12, 1)


def test_bands_are_found_by_common_name_where_no_key_fits() -> None:
    item = item_of()
    red = item["assets"].pop("red")
    item["assets"] |= {
        "preview": {**red, "roles": ["overview"], "eo:bands": [{"common_name": "red"}]},
        "stack60": {**red, "href": "60.tif", "gsd": 60, "eo:bands": [{"common_name": "red"}]},
        "stack10": {
            "href": "10.tif",
            "gsd": 10,
            "eo:bands": [
                {"name": "B02", "common_name": "blue"},
                {"name": "R", "common_name": "red"},
            ],
        },
    }

    band = read(item).bands["red"]

    assert (band.href, band.index) == ("/archive/scene/10.tif", 2)


def test_bands_of_stac_1_1_are_found_and_calibrated() -> None:
    item = without(item_of(), "properties", "earthsearch:boa_offset_applied")
    item["stac_version"] = "1.1.0"
    item["assets"]["red"] = {
        "href": "B04.tif",
        "data_type": "uint16",
        "nodata": 0,
        "raster:scale": 0.0001,
        "bands": [{"name": "B04", "eo:common_name": "red", "raster:offset": -0.1}],
    }

    band = read(item).bands["red"]

    assert band.calibration is not None
    assert (band.calibration.scale, band.calibration.offset) == (0.0001, -0.1)
    assert band.nodata == 0


def test_a_signature_in_an_href_is_kept_out_of_sight() -> None:
    item = item_of()
    item["assets"]["red"]["href"] = "https://example.org/B04.tif?sv=2021&sig=SECRET"

    scene = read(item)

    assert scene.bands["red"].href == "https://example.org/B04.tif"
    assert scene.bands["red"].query == "sv=2021&sig=SECRET"
    assert "SECRET" not in repr(scene)


def test_the_fingerprint_of_a_bad_item_ignores_what_changes_by_itself() -> None:
    error = SceneError("bad", reason="bad")
    item = item_of(updated="2023-08-18T20:04:17Z")
    again = item_of(updated="2024-01-01T00:00:00Z")
    again["links"] = [{"rel": "self", "href": "https://example.org/?token=1"}]
    again["assets"]["red"]["href"] = "B04.tif?sig=other"
    other = item_of(**{"s2:processing_baseline": "05.10"})

    first, second, third = (
        rejected_item(RawItem(one, PLACE), error).fingerprint for one in (item, again, other)
    )

    assert first == second
    assert first != third


@pytest.mark.samples
def test_a_provider_item_of_stac_0_7_is_refused_by_its_version(samples: Path) -> None:
    (path,) = (samples / "scenes" / "landsat-c2-l2").rglob("*_SR_stac.json")

    with pytest.raises(SceneError) as caught:
        read_scene(
            RawItem(json.loads(path.read_text()), str(path)),
            SENSOR_PROFILES["landsat-c2-l2"],
            needs=["red"],
        )

    assert caught.value.reason == "stac_version"


HTTPS = "https://landsatlook.example.org/B4.TIF"
S3 = "s3://usgs-landsat/B4.TIF"


@pytest.mark.parametrize(
    ("own", "alternates", "preferred", "expected"),
    [
        pytest.param(HTTPS, {"s3": {"href": S3}}, (), HTTPS, id="its-own"),
        pytest.param(HTTPS, {"s3": {"href": S3}}, ("s3",), S3, id="s3-by-name"),
        pytest.param(HTTPS, {"aws": {"href": S3}}, ("s3",), S3, id="s3-by-scheme"),
        pytest.param(S3, {"https": {"href": HTTPS}}, ("https", "s3"), HTTPS, id="the-best-first"),
        pytest.param(S3, {"https": {"href": HTTPS}}, ("s3",), S3, id="its-own-is-preferred"),
        pytest.param(HTTPS, {"nfs": {"href": "B4.TIF"}}, ("s3",), HTTPS, id="none-of-them"),
        pytest.param("gs://b/B4.TIF", {"s3": {"href": S3}}, (), S3, id="its-own-cannot-be-read"),
        pytest.param(HTTPS, {"gs": {"href": "gs://b/B4.TIF"}}, ("gs",), HTTPS, id="unreadable"),
        pytest.param(HTTPS, "nonsense", ("s3",), HTTPS, id="nonsense"),
        pytest.param(HTTPS, {"s3": "nonsense", "b": {}}, ("s3", "b"), HTTPS, id="nonsense-inside"),
    ],
)
def test_an_alternate_href_is_read_where_it_is_preferred(
    own: str, alternates: object, preferred: tuple[str, ...], expected: str
) -> None:
    item = item_of()
    item["assets"]["red"] |= {"href": own, "alternate": alternates}

    scene = read_scene(RawItem(item, PLACE), SENTINEL_2, needs=["red"], alternates=preferred)

    assert scene.bands["red"].href == expected
    assert scene.bands["red"].calibration is not None


def test_an_alternate_states_its_own_checksum() -> None:
    item = item_of()
    stated = {"s3": {"href": S3, "file:checksum": "1220" + "CD" * 32}}
    item["assets"]["red"] |= {"file:checksum": "1220" + "ab" * 32, "alternate": stated}

    scene = read_scene(RawItem(item, PLACE), SENTINEL_2, needs=["red"], alternates=["s3"])

    assert scene.bands["red"].checksum == "1220" + "cd" * 32
