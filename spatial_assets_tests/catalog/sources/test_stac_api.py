"""Items of a STAC API: searched, paged, and no trusted host."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

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
    assert first["datetime"] == "2023-07-31T00:00:00Z/2023-09-01T23:59:59Z"
    assert "query" not in first
    assert catalogue.scenes[0].href.endswith("/api/collections/sentinel-2-l2a/items/a")


@pytest.mark.parametrize("extension", ["query", "filter"])
def test_the_cloud_cover_is_filtered_by_a_server_that_can_keep_items_without_one(
    tmp_path: Path, web: WebServer, access: SourceAccess, extension: str
) -> None:
    api = Api(web, on_the_web(web, item_of("a")), (f"/item-search#{extension}",))

    find(tmp_path, f"{web.url}/api", use=access, max_cloud_cover=60)

    assert "query" not in api.searches[0]
    if extension == "filter":
        cover = {"property": "eo:cloud_cover"}
        clear, unknown = api.searches[0]["filter"]["args"]
        assert clear == {"op": "<=", "args": [cover, 60]}
        assert unknown == {"op": "isNull", "args": [cover]}


def test_an_api_that_repeats_its_pages_does_not_hold_us_for_ever(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    api = Api(web, on_the_web(web, item_of("a")))
    api.items = api.items * 5000

    with pytest.raises(SourceUnavailableError, match="repeats"):
        find(tmp_path, f"{web.url}/api", use=access)


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (503, SourceUnavailableError, "did not answer.*HTTP 503"),
        (404, SettingsError, "/api is not there: .*name the landing page"),
        (401, SettingsError, r"/api refuses this login, or wants one: .*\[scenes.source\]"),
        (403, SettingsError, r"/api refuses this login, or wants one: .*\[scenes.source\]"),
        (418, SettingsError, "/api cannot be asked: .*HTTP 418"),
    ],
)
def test_an_unavailable_api_differs_from_one_that_refuses_and_from_a_url_that_is_no_api(
    tmp_path: Path,
    web: WebServer,
    access: SourceAccess,
    status: int,
    error: type[Exception],
    told: str,
) -> None:
    Api(web, [])
    web.always["/api"] = status

    with pytest.raises(error, match=told):
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


class OddApi(Api):
    """An API of 130 items in pages of up to 100, that fails in one way."""

    def __init__(self, web: WebServer, *, how: str = "", counts: str = "numberMatched") -> None:
        items = [
            item_of(
                f"s{number:03}", datetime=f"2023-08-{1 + number % 28:02}T10:{number % 60:02}:00Z"
            )
            for number in range(130)
        ]
        super().__init__(web, on_the_web(web, *items))
        self.how, self.counts, self.methods = how, counts, list[str]()
        if how == "twice":
            self.items.append(self.items[99])

    def root(self, request: Request) -> tuple[int, bytes]:
        status, body = super().root(request)
        root = json.loads(body)
        root["links"].append({"rel": "search", "href": f"{self.web.url}/api/search"})
        if self.how == "get-only":
            root["links"] = [{**root["links"][2], "method": "GET"}]
        if self.how == "unconformant":
            del root["conformsTo"]
        return status, json.dumps(root).encode()

    def search(self, request: Request) -> tuple[int, bytes]:
        self.methods.append(request.method)
        if request.method == "POST" and self.how.startswith("post-"):
            return int(self.how.removeprefix("post-")), b"{}"
        asked = (
            json.loads(request.body or b"{}")
            if request.method == "POST"
            else {key: values[0] for key, values in parse_qs(request.query).items()}
        )
        self.searches.append(asked)
        first, limit = int(asked.get("token", 0)), 7 if self.how == "limit-ignored" else 100
        start, _, end = asked["datetime"].partition("/")
        matching = [one for one in self.items if start <= one["properties"]["datetime"] <= end]
        items, next_page = self._page(matching, first, limit)
        page: dict[str, Any] = {"type": "FeatureCollection", "features": items, "links": []}
        if next_page is not None:
            page["links"] = [self._next(request.method, asked, next_page)]
        if self.counts == "context":
            page["context"] = {"matched": len(matching), "returned": len(items)}
        elif self.counts:
            page[self.counts] = len(matching)
        if self.how == "no-features":
            del page["features"]
        return 200, json.dumps(page).encode()

    def _page(
        self, matching: list[dict[str, Any]], first: int, limit: int
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return the items of a page, and the token of the next."""
        items, following = matching[first : first + limit], first + limit
        if self.how == "shifted" and len(self.searches) == 2:
            return matching[first - 1 : -1], None
        if self.how == "short" and first:
            return items[:20], None
        if self.how == "same-items":
            return matching[:limit], following
        if self.how in ("same-next", "endless-empty"):
            return items, 100 if self.how == "same-next" else following
        is_last = following >= len(matching) or self.how == "no-next"
        return items, None if is_last else following

    def _next(self, method: str, asked: dict[str, Any], token: int) -> dict[str, Any]:
        href = f"{self.web.url}/api/search"
        if method == "POST":
            body = {**asked, "token": str(token)}
            return {"rel": "next", "href": href, "method": "POST", "body": body}
        return {"rel": "next", "href": f"{href}?{urlencode({**asked, 'token': token})}"}


@pytest.mark.parametrize("counts", ["numberMatched", "context"])
@pytest.mark.parametrize("how", ["no-next", "short"])
def test_fewer_items_than_the_server_states_are_not_whole(
    tmp_path: Path, web: WebServer, access: SourceAccess, how: str, counts: str
) -> None:
    OddApi(web, how=how, counts=counts)

    with pytest.raises(
        SourceUnavailableError, match=r"130 items, but its pages end after 1(00|20)"
    ):
        find(tmp_path, f"{web.url}/api", use=access)


@pytest.mark.parametrize("how", ["same-next", "same-items"])
def test_a_page_that_repeats_is_an_error(
    tmp_path: Path, web: WebServer, access: SourceAccess, how: str
) -> None:
    api = OddApi(web, how=how, counts="")

    with pytest.raises(SourceUnavailableError, match="repeats"):
        find(tmp_path, f"{web.url}/api", use=access)

    assert len(api.searches) <= 3


@pytest.mark.parametrize(
    ("how", "counts"),
    [
        *product(["", "limit-ignored", "endless-empty"], ["numberMatched", "context", ""]),
        # Without a count, nothing tells that the pages moved and an item is missing.
        *product(["shifted"], ["numberMatched", "context"]),
    ],
)
def test_all_items_are_found_whatever_the_size_of_the_pages(
    tmp_path: Path, web: WebServer, access: SourceAccess, how: str, counts: str
) -> None:
    OddApi(web, how=how, counts=counts)

    assert len(ids(find(tmp_path, f"{web.url}/api", use=access))) == 130


def test_an_item_that_the_server_lists_twice_counts_once(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    OddApi(web, how="twice")

    assert len(ids(find(tmp_path, f"{web.url}/api", use=access))) == 130


@pytest.mark.parametrize("how", ["get-only", "post-405", "post-501", "post-404", "post-403"])
def test_an_api_without_post_is_searched_by_get(
    tmp_path: Path, web: WebServer, access: SourceAccess, how: str
) -> None:
    api = OddApi(web, how=how)

    found = find(tmp_path, f"{web.url}/api", use=access, collections=["sentinel-2-l2a"])

    assert len(ids(found)) == 130
    assert api.methods == (["GET", "GET"] if how == "get-only" else ["POST", "GET", "GET"])
    assert api.searches[0]["collections"] == "sentinel-2-l2a"
    assert api.searches[0]["bbox"] == "15.0,45.06,16.44,46.95"


def test_an_api_without_item_search_is_refused_in_one_line(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    OddApi(web, how="unconformant")

    with pytest.raises(SettingsError, match="no STAC API with item search") as refusal:
        find(tmp_path, f"{web.url}/api", use=access)

    assert "\n" not in str(refusal.value)


def test_a_page_without_items_is_an_error(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    OddApi(web, how="no-features")

    with pytest.raises(SourceUnavailableError, match="expected a FeatureCollection"):
        find(tmp_path, f"{web.url}/api", use=access)


def test_a_next_page_that_is_refused_is_not_whole(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    api = OddApi(web)
    search = api.search
    web.routes["/api/search"] = lambda request: (403, b"") if api.searches else search(request)

    with pytest.raises(SourceUnavailableError, match="refused the next page"):
        find(tmp_path, f"{web.url}/api", use=access)
