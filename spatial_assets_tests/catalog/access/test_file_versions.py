"""Changes that make a scene a new input, and changes that do not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from spatial_assets.catalog import Scene, find_scenes
from spatial_assets.catalog.access.file_versions import (
    UNREACHABLE_VERSION,
    version_of,
    with_fingerprint,
    with_fingerprints,
)
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.geo.radiometry import Calibration
from spatial_assets_tests.fixtures.scene_factory import (
    FILES,
    item_of,
    project_in,
    source_of,
    with_band,
    write_item,
    write_scene,
)
from spatial_assets_tests.fixtures.web_server import WebServer


def the_scene(tmp_path: Path) -> Scene:
    project = project_in(tmp_path / "project", tmp_path / "s")
    (scene,) = find_scenes(project).scenes
    return scene


def again(scene: Scene, access: SourceAccess) -> str:
    found = with_fingerprint(scene, access)
    assert isinstance(found, Scene)
    return found.fingerprint


def test_what_does_not_reach_a_pixel_does_not_change_the_fingerprint(tmp_path: Path) -> None:
    write_scene(tmp_path / "s")
    first = the_scene(tmp_path)
    changed = item_of(updated="2024-01-01T00:00:00Z", created="2023-09-01T00:00:00Z")
    changed["properties"]["eo:cloud_cover"] = 12.0
    changed["links"] = [{"rel": "self", "href": "https://example.org/?token=1"}]
    changed["assets"]["visual"] = {"href": "TCI.tif"}
    write_item(tmp_path / "s", changed)

    assert the_scene(tmp_path).fingerprint == first.fingerprint


def test_a_touched_file_is_another_input(tmp_path: Path) -> None:
    write_scene(tmp_path / "s")
    first = the_scene(tmp_path)
    os.utime(tmp_path / "s" / "SCL.tif", ns=(1, 1))

    assert the_scene(tmp_path).fingerprint != first.fingerprint


def test_everything_that_reaches_a_pixel_changes_the_fingerprint(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    scene = the_scene(tmp_path)
    variants = [
        scene,
        replace(scene, id="other"),
        with_band(scene, "red", calibration=Calibration(0.0001, -0.1)),
        with_band(scene, "red", calibration=Calibration(0.0002, 0.0)),
        with_band(scene, "red", calibration=None),
        with_band(scene, "red", nodata=None),
        with_band(scene, "red", index=2),
        with_band(scene, "red", checksum="1220aa"),
        with_band(scene, "scl", href=scene.bands["red"].href),
        replace(scene, class_band=None),
    ]

    assert len({again(variant, access) for variant in variants}) == len(variants)


def on_the_web(scene: Scene, web: WebServer, query: str = "") -> Scene:
    write_scene(web.folder)
    for name, file in (("red", "B04"), ("nir", "B08"), ("scl", "SCL")):
        scene = with_band(scene, name, href=f"{web.url}/{file}.tif", query=query)
    return scene


def test_a_signature_does_not_change_the_fingerprint_and_a_new_etag_does(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    scene = the_scene(tmp_path)

    first = again(on_the_web(scene, web, "sig=1"), access)
    second = again(on_the_web(scene, web, "sig=2"), access)
    (web.folder / "B04.tif").write_bytes(b"other")
    third = again(replace(on_the_web(scene, web), bands=scene.bands), access)

    assert first == second
    assert first != third


def test_a_checksum_spares_the_question(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    scene = on_the_web(the_scene(tmp_path), web)
    for name in ("red", "nir", "scl"):
        scene = with_band(scene, name, checksum="1220aa")

    again(scene, access)

    assert web.requests == []


def test_a_server_without_head_is_queried_for_one_byte(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    scene = on_the_web(the_scene(tmp_path), web)
    expected = again(scene, access)
    for name in ("B04", "B08", "SCL"):
        web.faults[f"/{name}.tif"] = [405]

    assert again(scene, access) == expected
    assert web.requests[-1].headers["range"] == "bytes=0-0"


def test_a_scene_whose_server_is_away_is_kept_and_unlike_any_other(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    scene = on_the_web(the_scene(tmp_path), web)
    known = again(scene, access)
    web.always["/B04.tif"] = 503

    found = with_fingerprint(scene, access)

    assert isinstance(found, Scene)
    assert found.bands["red"].version == UNREACHABLE_VERSION
    assert found.fingerprint != known


def test_a_host_that_is_away_is_not_waited_for_scene_by_scene(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    scene = on_the_web(the_scene(tmp_path), web)
    for name in FILES.values():
        web.always[f"/{name}"] = 503
    scenes = [replace(scene, id=f"s{number}") for number in range(200)]

    found = list(with_fingerprints(scenes, access))

    assert {one.bands["red"].version for one in found if isinstance(one, Scene)} == {
        UNREACHABLE_VERSION
    }
    assert len(web.requests) < 200


@pytest.mark.parametrize(("status", "reason"), [(404, "missing_object"), (403, "forbidden")])
def test_a_scene_whose_file_cannot_be_had_is_refused_until_it_can(
    tmp_path: Path, web: WebServer, access: SourceAccess, status: int, reason: str
) -> None:
    write_scene(tmp_path / "s")
    scene = on_the_web(the_scene(tmp_path), web)
    web.always["/B04.tif"] = status

    refused = [with_fingerprint(scene, access) for _ in range(2)]
    del web.always["/B04.tif"]

    first, second = refused
    assert isinstance(first, RejectedScene)
    assert first.reason == reason
    assert first == second
    assert again(scene, access) != first.fingerprint


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501])
def test_a_server_that_refuses_head_is_asked_for_the_first_byte(
    web: WebServer, access: SourceAccess, status: int
) -> None:
    (web.folder / "b.tif").write_bytes(b"0123456789")
    source = source_of(f"{web.url}/b.tif")
    expected = version_of(source, access)
    web.only, web.always["/b.tif"] = (lambda request: request.method == "HEAD"), status

    assert version_of(source, access) == expected
    assert expected.endswith(":10")
