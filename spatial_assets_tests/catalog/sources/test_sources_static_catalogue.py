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


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="gone"),
        pytest.param(b'{"type": "Cat', id="cut-off"),
        pytest.param(b'{"message": "Forbidden"}', id="an error page"),
    ],
)
def test_an_unreadable_child_is_no_catalogue_with_fewer_scenes(
    tmp_path: Path, content: bytes | None
) -> None:
    catalog = write_catalogue(tmp_path / "s")
    child = tmp_path / "s" / "2023" / "catalog.json"
    child.unlink()
    if content is not None:
        child.write_bytes(content)

    with pytest.raises(SourceUnavailableError, match=r"2023/catalog.json"):
        find(tmp_path, catalog)


def test_an_unreadable_item_leaves_the_catalogue_not_whole(tmp_path: Path) -> None:
    catalog = write_catalogue(tmp_path / "s", link="c/gone.json")

    catalogue = find(tmp_path, catalog)

    assert catalogue.unread == (str(tmp_path / "s" / "2023" / "c" / "gone.json"),)
    assert not catalogue.whole
    assert find(tmp_path, write_catalogue(tmp_path / "t")).whole


def test_a_linked_document_that_is_no_item_is_a_record(tmp_path: Path) -> None:
    catalog = write_catalogue(tmp_path / "s", link="c.json")
    (tmp_path / "s" / "2023" / "c.json").write_text('{"message": "Forbidden"}')

    catalogue = find(tmp_path, catalog)

    assert ids(catalogue) == ["a", "b"]
    assert reasons(catalogue) == {"c": "not_an_item"}
    assert not catalogue.whole


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"numberMatched": 3}, id="numberMatched"),
        pytest.param({"context": {"matched": 3}}, id="context"),
        pytest.param({"links": [{"rel": "next", "href": "page2.json"}]}, id="next"),
    ],
)
def test_one_saved_page_of_a_search_is_not_the_whole(
    tmp_path: Path, more: dict[str, object]
) -> None:
    items = [item_of("a"), item_of("b", **LATER)]
    write_scene(tmp_path / "s", items[0])
    saved = {"type": "FeatureCollection", "features": items}
    (tmp_path / "s" / "saved.json").write_text(json.dumps({**saved, **more}))
    (tmp_path / "s" / "all.json").write_text(json.dumps({**saved, "numberMatched": 2}))

    catalogue = find(tmp_path, tmp_path / "s" / "saved.json")

    assert ids(catalogue) == ["a", "b"]
    assert reasons(catalogue) == {"saved": "one_page_of_more"}
    assert not catalogue.whole
    assert find(tmp_path, tmp_path / "s" / "all.json").whole


def test_a_child_that_is_a_feature_collection_gives_its_items(tmp_path: Path) -> None:
    write_scene(tmp_path / "s", item_of("a"))
    (tmp_path / "s" / "all.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": [item_of("a")]})
    )
    root = {"type": "Catalog", "links": [{"rel": "child", "href": "all.json"}]}
    (tmp_path / "s" / "catalog.json").write_text(json.dumps(root))

    assert ids(find(tmp_path, tmp_path / "s" / "catalog.json")) == ["a"]
