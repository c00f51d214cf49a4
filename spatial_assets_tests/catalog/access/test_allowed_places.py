"""A catalogue may not send us to addresses nearer than its own, nor out of its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.address_classes import Proximity
from spatial_assets.catalog.access.allowed_places import AllowedPlaces, proximity_of
from spatial_assets.catalog.access.requests import fetch
from spatial_assets.catalog.access.source_access import SourceAccess, source_access
from spatial_assets.catalog.rasters.gdal_datasets import gdal_settings, open_dataset
from spatial_assets.catalog.scene import BandSource, RejectedScene
from spatial_assets.catalog.sources.documents import read_document
from spatial_assets.errors import SceneError
from spatial_assets_tests.fixtures.scene_factory import (
    clear_vegetation,
    project_in,
    write_raster,
    write_scene,
)
from spatial_assets_tests.fixtures.web_server import WebServer

LINK_LOCAL = "http://169.254.169.254/latest/meta-data/iam"
ON_THE_INTERNET = AllowedPlaces(nearest=Proximity.PUBLIC)


@pytest.mark.parametrize(
    ("url", "nearness"),
    [
        ("https://8.8.8.8/a.tif", Proximity.PUBLIC),
        ("http://10.1.2.3/a.tif", Proximity.PRIVATE),
        ("http://192.168.0.1:8080/", Proximity.PRIVATE),
        ("http://100.100.100.200/", Proximity.LINK),
        ("http://[fd00:ec2::254]/", Proximity.LINK),
        ("http://127.0.0.1/", Proximity.OWN),
        ("http://localhost:6379/", Proximity.OWN),
        ("http://0.0.0.0/", Proximity.OWN),
        ("http://[::1]/", Proximity.OWN),
        ("http://[::ffff:127.0.0.1]/", Proximity.OWN),
        ("http://2130706433/", Proximity.OWN),
        ("http://0x7f.1/", Proximity.OWN),
        (LINK_LOCAL, Proximity.LINK),
        ("http://[fe80::1]/", Proximity.LINK),
        ("http://224.0.0.1/", Proximity.LINK),
        ("s3://bucket/key", Proximity.PUBLIC),
    ],
)
def test_an_address_is_as_near_as_its_network(url: str, nearness: Proximity) -> None:
    assert proximity_of(url) is nearness


@pytest.mark.parametrize("near", list(Proximity))
def test_a_catalogue_may_name_what_is_no_nearer_than_itself(near: Proximity) -> None:
    allowed_places = AllowedPlaces(nearest=near)
    urls = ["http://8.8.8.8/", "http://10.1.2.3/", "http://127.0.0.1/", LINK_LOCAL]

    for level, url in enumerate(urls):
        if level <= near:
            allowed_places.require(url)
        else:
            with pytest.raises(SceneError, match="nearer than") as caught:
                allowed_places.require(url)
            assert caught.value.reason == "forbidden_host"


def test_hosts_of_the_project_file_are_the_only_ones_and_need_not_be_far() -> None:
    allowed_places = AllowedPlaces(
        nearest=Proximity.PUBLIC,
        trusted=frozenset({"127.0.0.1:9000"}),
        hosts=("*.example.org", "10.1.2.3", "s3://scenes-*"),
    )

    for allowed in (
        "https://a.example.org/x.tif",
        "http://10.1.2.3:8080/x.tif",
        "s3://scenes-l2a/x.tif",
        "http://127.0.0.1:9000/bucket/x.tif",
    ):
        allowed_places.require(allowed)
    for refused in (
        "https://example.org.evil.com/x.tif",
        "https://evil.com/?a.example.org",
        "s3://other/x.tif",
        "http://127.0.0.1:22/",
        "s3://127.0.0.1:9000/x.tif",
    ):
        with pytest.raises(SceneError, match="not one of"):
            allowed_places.require(refused)


def test_a_signature_in_a_refused_url_is_not_printed() -> None:
    with pytest.raises(SceneError) as caught:
        ON_THE_INTERNET.require("http://10.1.2.3/x.tif?X-Amz-Signature=hush")

    assert "hush" not in str(caught.value)


def test_a_public_server_cannot_redirect_to_a_nearer_one() -> None:
    local = AllowedPlaces(nearest=Proximity.OWN)  # as a folder of items has it

    local.require("http://127.0.0.1/")
    assert local.connection_of("http://127.0.0.1/b", origin=Proximity.OWN)[0] == ("127.0.0.1",)
    with pytest.raises(SceneError, match="of this machine"):
        local.connection_of("http://127.0.0.1/b", origin=Proximity.PUBLIC)


def test_a_bucket_may_be_reached_in_a_private_network_but_not_on_this_machine() -> None:
    endpoint, here = "https://10.1.2.3/bucket/x.tif", "https://127.0.0.1/bucket/x.tif"
    href = "s3://bucket/x.tif"

    assert ON_THE_INTERNET.connection_of(endpoint, s3_href=href)[0] == ("10.1.2.3",)
    for url, name in ((endpoint, None), (here, href), (LINK_LOCAL, href)):
        with pytest.raises(SceneError, match="nearer than"):
            ON_THE_INTERNET.connection_of(url, s3_href=name)


def of_the_web(access: SourceAccess, **allowed_places: object) -> SourceAccess:
    found = AllowedPlaces(nearest=Proximity.OWN, **allowed_places)  # type: ignore[arg-type]
    return replace(access, allowed_places=found)


def test_a_redirect_to_link_local_is_not_followed(web: WebServer, access: SourceAccess) -> None:
    web.redirects["/item.json"] = LINK_LOCAL

    with pytest.raises(SceneError, match="link") as caught:
        fetch(f"{web.url}/item.json", limit=100, access=of_the_web(access))

    assert caught.value.reason == "forbidden_host"
    assert len(web.asked_for("/item.json")) == 1


@pytest.mark.parametrize("target", [LINK_LOCAL, "file:///etc/passwd"])
def test_gdal_is_not_sent_after_a_redirect_that_is_not_allowed(
    web: WebServer, access: SourceAccess, target: str
) -> None:
    web.redirects["/red.tif"] = target
    allowed = of_the_web(access)

    with gdal_settings(allowed), pytest.raises(SceneError) as caught:
        open_dataset(band(f"{web.url}/red.tif"), allowed)

    assert caught.value.reason in {"forbidden_host", "bad_href"}
    assert {request.method for request in web.asked_for("/red.tif")} == {"HEAD"}


def test_gdal_opens_what_a_redirect_leads_to_where_that_is_allowed(
    web: WebServer, access: SourceAccess
) -> None:
    write_raster(web.folder / "moved" / "red.tif", clear_vegetation()["red"])
    web.redirects["/red.tif"] = f"{web.url}/moved/red.tif"
    allowed = of_the_web(access)

    with gdal_settings(allowed):
        dataset = open_dataset(band(f"{web.url}/red.tif"), allowed)

    assert dataset.width == 64
    assert {request.method for request in web.asked_for("/red.tif")} == {"HEAD"}


def band(href: str) -> BandSource:
    return BandSource(
        name="red", href=href, calibration=None, nodata=None, checksum=None, size=None
    )


def test_a_remote_project_trusts_its_catalogue_and_nothing_nearer(tmp_path: Path) -> None:
    project = project_in(tmp_path, tmp_path)
    scenes = project.scenes.model_copy(update={"catalog": "https://8.8.8.8/v1"})
    allowed_places = source_access(project.model_copy(update={"scenes": scenes})).allowed_places

    allowed_places.require("https://8.8.4.4/x.tif")
    for refused in ("http://127.0.0.1/x.tif", "http://10.0.0.1/x.tif", LINK_LOCAL, "/etc/passwd"):
        with pytest.raises(SceneError):
            allowed_places.require(refused)


@pytest.mark.parametrize(
    "href",
    [
        "../../outside/red.tif",
        "{outside}/red.tif",
        "file://{outside}/red.tif",
        "./../../outside/red.tif",
    ],
)
def test_an_item_cannot_name_files_outside_of_its_catalogue(tmp_path: Path, href: str) -> None:
    write_scene(tmp_path / "catalog" / "s")
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "catalog" / "s" / "B04.tif").rename(outside / "red.tif")
    point_red_at(tmp_path / "catalog", href.format(outside=outside))
    project = project_in(tmp_path / "project", tmp_path / "catalog")

    (scene,) = find_scenes(project).rejected
    trusting = project.scenes.model_copy(update={"folders": (str(outside),)})
    found = find_scenes(project.model_copy(update={"scenes": trusting}))

    assert isinstance(scene, RejectedScene)
    assert scene.reason == "forbidden_folder"
    assert "[scenes] folders" in scene.message
    assert [each.id for each in found.scenes] == [scene.id]


def point_red_at(catalog: Path, href: str) -> None:
    (path,) = catalog.rglob("*.json")
    item = json.loads(path.read_text())
    (asset,) = (each for each in item["assets"].values() if "B04" in each["href"])
    asset["href"] = href
    path.write_text(json.dumps(item))


def test_a_neighbour_whose_name_begins_alike_is_another_folder(access: SourceAccess) -> None:
    allowed_places = AllowedPlaces(folders=("/data/scenes",))

    allowed_places.require("/data/scenes/a.tif")
    for refused in ("/data/scenes-of-others/a.tif", "/data/scenes/../a.tif", "/data"):
        with pytest.raises(SceneError, match="outside"):
            allowed_places.require(refused)
    with pytest.raises(SceneError, match="outside"):
        read_document("/etc/hostname", replace(access, allowed_places=allowed_places))
