"""Where items come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import stac_geoparquet.arrow

from spatial_assets.catalog import Catalogue, find_scenes
from spatial_assets.catalog import documents as documents_module
from spatial_assets.catalog.access import SourceAccess
from spatial_assets.errors import SettingsError, SourceUnavailableError
from spatial_assets_tests.catalog.making import (
    FOOTPRINT,
    item_of,
    project_in,
    write_item,
    write_scene,
)
from spatial_assets_tests.catalog.web import Request, Web

LATER = {"datetime": "2023-08-23T10:08:08Z"}


def ids(catalogue: Catalogue) -> list[str]:
    return [scene.id for scene in catalogue.scenes]


def reasons(catalogue: Catalogue) -> dict[str, str]:
    return {scene.id: scene.reason for scene in catalogue.rejected}


def shifted(degrees: float) -> dict[str, Any]:
    ring = [[lon + degrees, lat] for lon, lat in FOOTPRINT["coordinates"][0]]
    return {"type": "Polygon", "coordinates": [ring]}


def find(tmp_path: Path, catalog: str | Path, **scenes: object) -> Catalogue:
    access = scenes.pop("use", None)
    assert access is None or isinstance(access, SourceAccess)
    return find_scenes(project_in(tmp_path / "project", catalog, **scenes), access)


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
    monkeypatch.setattr(documents_module, "LARGEST_DOCUMENT", 5000)
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
            item_of(datetime="2023-08-31T23:59:59.9Z"), {}, 1, id="last-second-of-the-last-day"
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


@pytest.mark.parametrize("catalog", ["nowhere", "nowhere.json", "nowhere.parquet", "s3://bucket/x"])
def test_a_catalogue_that_is_not_there_is_a_settings_error(tmp_path: Path, catalog: str) -> None:
    with pytest.raises(SettingsError, match="catalog"):
        find(tmp_path, catalog)


def write_catalogue(folder: Path, *, link: str = "") -> Path:
    """catalog.json -> 2023/catalog.json -> two items, and links that lead nowhere or back."""
    write_scene(folder / "2023" / "a", item_of("a"))
    write_scene(folder / "2023" / "b", item_of("b", **LATER))
    inner = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "inner",
        "links": [
            {"rel": "parent", "href": "../catalog.json"},
            {"rel": "child", "href": "../catalog.json"},
            {"rel": "child", "href": "catalog.json"},
            {"rel": "item", "href": "a/a.json"},
            {"rel": "item", "href": "./b/b.json"},
            {"rel": "item", "href": "./b/b.json"},
            *([{"rel": "item", "href": link}] if link else []),
        ],
    }
    outer = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "outer",
        "links": [{"rel": "child", "href": "2023/catalog.json"}],
    }
    (folder / "2023" / "catalog.json").write_text(json.dumps(inner))
    (folder / "catalog.json").write_text(json.dumps(outer))
    return folder / "catalog.json"


def test_a_static_catalogue_is_walked_and_circles_end(tmp_path: Path) -> None:
    catalogue = find(tmp_path, write_catalogue(tmp_path / "s"))

    assert ids(catalogue) == ["a", "b"]
    assert catalogue.rejected == ()


def test_a_broken_link_of_a_static_catalogue_is_a_record(tmp_path: Path) -> None:
    catalogue = find(tmp_path, write_catalogue(tmp_path / "s", link="c/gone.json"))

    assert ids(catalogue) == ["a", "b"]
    assert reasons(catalogue) == {"gone": "missing_object"}


def test_a_static_catalogue_on_the_web_is_walked(
    tmp_path: Path, web: Web, access: SourceAccess
) -> None:
    write_catalogue(web.folder)
    web.faults["/2023/catalog.json"] = [503, "reset"]

    catalogue = find(tmp_path, f"{web.url}/catalog.json", use=access)

    assert ids(catalogue) == ["a", "b"]
    assert catalogue.scenes[0].bands["red"].href == f"{web.url}/2023/a/B04.tif"


def test_a_catalogue_on_the_web_may_not_name_files_of_this_machine(
    tmp_path: Path, web: Web, access: SourceAccess
) -> None:
    secret = write_scene(tmp_path / "secret", item_of("secret", **LATER))
    write_catalogue(web.folder, link=f"file://{secret}")
    item = item_of("a")
    item["assets"]["red"]["href"] = f"file://{tmp_path}/secret/B04.tif"
    write_item(web.folder / "2023" / "a", item)

    catalogue = find(tmp_path, f"{web.url}/catalog.json", use=access)

    assert ids(catalogue) == ["b"]
    assert set(reasons(catalogue).values()) == {"bad_href"}


def test_a_catalogue_that_does_not_answer_is_away(
    tmp_path: Path, web: Web, access: SourceAccess
) -> None:
    write_catalogue(web.folder)
    web.always["/2023/b/b.json"] = 503

    with pytest.raises(SourceUnavailableError, match="HTTP 503"):
        find(tmp_path, f"{web.url}/catalog.json", use=access)


def test_a_catalogue_on_a_closed_port_is_away(tmp_path: Path, access: SourceAccess) -> None:
    with pytest.raises(SourceUnavailableError, match="3 tries"):
        find(tmp_path, "http://127.0.0.1:9/catalog.json", use=access)


def test_a_stac_geoparquet_file_holds_the_same_scenes(tmp_path: Path) -> None:
    items = []
    for name, properties in (("a", {}), ("b", LATER)):
        write_scene(tmp_path / "s", item_of(name, **properties))
        items.append(item_of(name, **properties))
        items[-1]["bbox"] = [15.0, 45.1, 16.4, 46.0]
    table = stac_geoparquet.arrow.parse_stac_items_to_arrow(items).read_all()
    pq.write_table(table, tmp_path / "s" / "items.parquet")

    listed = find(tmp_path, tmp_path / "s" / "items.parquet")
    walked = find(tmp_path, tmp_path / "s")

    assert ids(listed) == ["a", "b"]
    assert [s.fingerprint for s in listed.scenes] == [s.fingerprint for s in walked.scenes]
    assert [s.bands for s in listed.scenes] == [s.bands for s in walked.scenes]


def test_a_damaged_geoparquet_file_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "items.parquet").write_bytes(b"PAR1 and then nothing")

    with pytest.raises(SettingsError, match="stac-geoparquet"):
        find(tmp_path, tmp_path / "items.parquet")


class Api:
    """A STAC API of one page an item."""

    def __init__(
        self, web: Web, items: list[dict[str, Any]], conforms: tuple[str, ...] = ()
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


def on_the_web(web: Web, *items: dict[str, Any]) -> list[dict[str, Any]]:
    write_scene(web.folder / "files")
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = f"{web.url}/files/{asset['href']}"
    return list(items)


def test_a_stac_api_is_searched_page_by_page(
    tmp_path: Path, web: Web, access: SourceAccess
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
def test_the_cloud_cover_is_asked_of_a_server_that_knows_it(
    tmp_path: Path, web: Web, access: SourceAccess, conforms: str, key: str
) -> None:
    api = Api(web, on_the_web(web, item_of("a")), (conforms,))

    find(tmp_path, f"{web.url}/api", use=access, max_cloud_cover=60)

    assert "60" in json.dumps(api.searches[0][key])


def test_an_api_that_repeats_its_pages_does_not_hold_us_for_ever(
    tmp_path: Path, web: Web, access: SourceAccess
) -> None:
    api = Api(web, on_the_web(web, item_of("a")))
    api.items = api.items * 5000

    with pytest.raises(SourceUnavailableError, match="repeats"):
        find(tmp_path, f"{web.url}/api", use=access)


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, SourceUnavailableError), (404, SettingsError), (401, SettingsError)],
)
def test_an_api_that_is_away_is_told_from_one_that_is_none(
    tmp_path: Path, web: Web, access: SourceAccess, status: int, error: type[Exception]
) -> None:
    Api(web, [])
    web.always["/api"] = status

    with pytest.raises(error):
        find(tmp_path, f"{web.url}/api", use=access)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"type": "Catalog"}', b'"x"'])
def test_an_api_that_answers_nonsense_is_an_error_of_ours(
    tmp_path: Path, web: Web, access: SourceAccess, body: bytes
) -> None:
    web.routes["/api"] = lambda _: (200, body)

    with pytest.raises((SettingsError, SourceUnavailableError)):
        find(tmp_path, f"{web.url}/api", use=access)


def test_an_api_may_not_lead_to_files_of_this_machine(
    tmp_path: Path, web: Web, access: SourceAccess
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
