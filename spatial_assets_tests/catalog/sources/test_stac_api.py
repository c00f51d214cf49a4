"""Items of a STAC API: searched, paged, and no trusted host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.errors import SettingsError, SourceUnavailableError
from spatial_assets_tests.catalog.scene_search import LATER, find, ids, shifted
from spatial_assets_tests.fixtures.scene_factory import (
    item_of,
    write_scene,
)
from spatial_assets_tests.fixtures.web_server import Request, WebServer


class Api:
    """A STAC API of one page an item."""

    def __init__(
        self, web: WebServer, items: list[dict[str, Any]], conforms: tuple[str, ...] = ()
    ) -> None:
        self.web, self.items, self.searches = web, items, list[dict[str, Any]]()
        base = "https://api.stacspec.org/v1.0.0"
        self.conforms = [f"{base}/core", f"{base}/item-search", *(f"{base}{c}" for c in conforms)]
        web.routes["/api"] = self.root
        web.routes["/api/search"] = self.search

    def root(self, _: Request) -> tuple[int, bytes]:
        links = [
            {"rel": "root", "href": f"{self.web.url}/api"},
            {"rel": "search", "href": f"{self.web.url}/api/search", "method": "POST"},
        ]
        root = {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "api",
            "description": "of the tests",
            "conformsTo": self.conforms,
            "links": links,
        }
        return 200, json.dumps(root).encode()

    def search(self, request: Request) -> tuple[int, bytes]:
        body = json.loads(request.body or b"{}")
        self.searches.append(body)
        number = int(body.get("token", 0))
        links = []
        if number + 1 < len(self.items):
            href = f"{self.web.url}/api/search"
            token = {"token": str(number + 1)}
            links = [{"rel": "next", "href": href, "method": "POST", "merge": True, "body": token}]
        page = {"type": "FeatureCollection", "features": [self.items[number]], "links": links}
        return 200, json.dumps(page).encode()


def on_the_web(web: WebServer, *items: dict[str, Any]) -> list[dict[str, Any]]:
    write_scene(web.folder / "files")
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = f"{web.url}/files/{asset['href']}"
    return list(items)


def test_a_stac_api_is_searched_page_by_page(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    elsewhere = {**item_of("elsewhere"), "geometry": shifted(40)}
    api = Api(web, on_the_web(web, item_of("b", **LATER), elsewhere, item_of("a")))
    web.faults["/api/search"] = [503, "reset"]

    catalogue = find(tmp_path, f"{web.url}/api", use=access, collections=["sentinel-2-l2a"])

    assert ids(catalogue) == ["a", "b"]
    first = api.searches[0]
    assert first["bbox"] == [15.0, 45.06, 16.44, 46.95]
    assert first["collections"] == ["sentinel-2-l2a"]
    assert first["datetime"] == "2023-08-01T00:00:00Z/2023-08-31T23:59:59Z"
    assert "query" not in first
    assert catalogue.scenes[0].href.endswith("/api/collections/sentinel-2-l2a/items/a")


@pytest.mark.parametrize(
    ("conforms", "key"), [("/item-search#query", "query"), ("/item-search#filter", "filter")]
)
def test_the_cloud_cover_is_filtered_by_a_server_that_supports_it(
    tmp_path: Path, web: WebServer, access: SourceAccess, conforms: str, key: str
) -> None:
    api = Api(web, on_the_web(web, item_of("a")), (conforms,))

    find(tmp_path, f"{web.url}/api", use=access, max_cloud_cover=60)

    assert "60" in json.dumps(api.searches[0][key])


def test_an_api_that_repeats_its_pages_does_not_hold_us_for_ever(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    api = Api(web, on_the_web(web, item_of("a")))
    api.items = api.items * 5000

    with pytest.raises(SourceUnavailableError, match="repeats"):
        find(tmp_path, f"{web.url}/api", use=access)


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, SourceUnavailableError), (404, SettingsError), (401, SettingsError)],
)
def test_an_unavailable_api_differs_from_a_url_that_is_no_api(
    tmp_path: Path, web: WebServer, access: SourceAccess, status: int, error: type[Exception]
) -> None:
    Api(web, [])
    web.always["/api"] = status

    with pytest.raises(error):
        find(tmp_path, f"{web.url}/api", use=access)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"type": "Catalog"}', b'"x"'])
def test_an_api_that_answers_nonsense_is_an_error_of_ours(
    tmp_path: Path, web: WebServer, access: SourceAccess, body: bytes
) -> None:
    web.routes["/api"] = lambda _: (200, body)

    with pytest.raises((SettingsError, SourceUnavailableError)):
        find(tmp_path, f"{web.url}/api", use=access)


def test_an_api_may_not_lead_to_files_of_this_machine(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    page = {
        "type": "FeatureCollection",
        "features": [item_of("a")],
        "links": [{"rel": "next", "href": "/etc/hostname"}],
    }
    Api(web, [])
    web.routes["/api/search"] = lambda _: (200, json.dumps(page).encode())

    with pytest.raises(SourceUnavailableError, match="no URL"):
        find(tmp_path, f"{web.url}/api", use=access)
