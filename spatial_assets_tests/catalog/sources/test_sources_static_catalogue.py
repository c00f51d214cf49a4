"""Items of a static catalogue, on disk and on the web."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.errors import SourceUnavailableError
from spatial_assets_tests.catalog.scene_search import LATER, find, ids, reasons
from spatial_assets_tests.fixtures.scene_factory import (
    item_of,
    write_item,
    write_scene,
)
from spatial_assets_tests.fixtures.web_server import WebServer


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
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    write_catalogue(web.folder)
    web.faults["/2023/catalog.json"] = [503, "reset"]

    catalogue = find(tmp_path, f"{web.url}/catalog.json", use=access)

    assert ids(catalogue) == ["a", "b"]
    assert catalogue.scenes[0].bands["red"].href == f"{web.url}/2023/a/B04.tif"


def test_a_catalogue_on_the_web_may_not_name_files_of_this_machine(
    tmp_path: Path, web: WebServer, access: SourceAccess
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
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    write_catalogue(web.folder)
    web.always["/2023/b/b.json"] = 503

    with pytest.raises(SourceUnavailableError, match="HTTP 503"):
        find(tmp_path, f"{web.url}/catalog.json", use=access)


def test_a_catalogue_on_a_closed_port_is_away(tmp_path: Path, access: SourceAccess) -> None:
    with pytest.raises(SourceUnavailableError, match="3 attempts"):
        find(tmp_path, "http://127.0.0.1:9/catalog.json", use=access)
