"""Polls of static catalogues, tables and buckets find what a full search finds."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import stac_geoparquet.arrow

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.changes import Snapshot, poll
from spatial_assets.errors import SourceUnavailableError
from spatial_assets_tests.catalog.changes.stac_api_server import CHECKSUM
from spatial_assets_tests.catalog.scene_search import LATER
from spatial_assets_tests.fixtures.scene_factory import item_of, project_in
from spatial_assets_tests.fixtures.web_server import WebServer

LATER_ON = dt.datetime.now(tz=dt.UTC) + dt.timedelta(days=1)
"""Time at which every file of the tests has settled."""

Write = Callable[[Path, list[dict[str, Any]]], str]


def item(name: str, **properties: object) -> dict[str, Any]:
    """An item with checksums, so that no file is requested."""
    made = item_of(name, **properties)
    made["bbox"] = [15.0, 45.1, 16.4, 46.0]
    for asset in made["assets"].values():
        asset |= {"href": f"https://example.org/{asset['href']}", "file:checksum": CHECKSUM}
    return made


def write_linked(folder: Path, items: list[dict[str, Any]]) -> str:
    """catalog.json, an inner one, and its items; returns the name of the first."""
    (folder / "inner").mkdir(parents=True, exist_ok=True)
    for one in items:
        (folder / "inner" / f"{one['id']}.json").write_text(json.dumps(one))
    links = [{"rel": "item", "href": f"{one['id']}.json"} for one in items]
    for name, told in (
        ("inner/catalog.json", links),
        ("catalog.json", [{"rel": "child", "href": "inner/catalog.json"}]),
    ):
        document = {"type": "Catalog", "stac_version": "1.0.0", "id": name, "links": told}
        (folder / name).write_text(json.dumps(document))
    return "catalog.json"


def write_table(folder: Path, items: list[dict[str, Any]]) -> str:
    """A stac-geoparquet file; returns its name."""
    folder.mkdir(exist_ok=True)
    table = stac_geoparquet.arrow.parse_stac_items_to_arrow(items).read_all()
    pq.write_table(table, folder / "items.parquet")
    return "items.parquet"


def forgetful(snapshot: Snapshot) -> Snapshot:
    """A snapshot that remembers documents, and nothing of what was in them."""
    blank = (replace(document, candidates=()) for document in snapshot.documents)
    return replace(snapshot, documents=tuple(blank))


def remembered(snapshot: Snapshot) -> Snapshot | None:
    """A snapshot that was stored in between."""
    return Snapshot.from_bytes(snapshot.to_bytes())


def names(snapshot: Snapshot) -> list[str]:
    return [one.id for one in snapshot.scene_versions]


FIRST = [item("a"), item("b", **LATER)]
THEN = [item("b", **LATER, **{"proj:epsg": 32634}), item("a-again", created="2024-01-01T00:00:00Z")]


@pytest.mark.parametrize("write", [write_linked, write_table])
@pytest.mark.parametrize("is_remote", [False, True], ids=["here", "on-the-web"])
def test_a_catalogue_in_files_is_seen_to_change(
    tmp_path: Path, web: WebServer, access: SourceAccess, write: Write, *, is_remote: bool
) -> None:
    name = write(web.folder, FIRST)
    catalog = f"{web.url}/{name}" if is_remote else str(web.folder / name)
    project = project_in(tmp_path / "project", catalog)

    first = poll(project, None, access=access, now=LATER_ON)
    write(web.folder, THEN)
    second = poll(project, remembered(first), access=access, now=LATER_ON)

    assert names(first) == ["a", "b"]
    assert names(second) == ["a-again", "b"]
    assert second.scene_versions == find_scenes(project, access).scene_versions
    assert second.scene_versions[1] != first.scene_versions[1]


@pytest.mark.parametrize("write", [write_linked, write_table])
def test_files_that_did_not_change_are_not_read_again(
    tmp_path: Path, access: SourceAccess, write: Write
) -> None:
    project = project_in(tmp_path / "project", tmp_path / "s" / write(tmp_path / "s", FIRST))
    first = poll(project, None, access=access, now=LATER_ON)

    assert names(poll(project, forgetful(first), access=access, now=LATER_ON)) == []


def test_a_table_on_the_web_is_read_again_only_when_its_etag_changed(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    project = project_in(tmp_path / "project", f"{web.url}/{write_table(web.folder, FIRST)}")
    first = poll(project, None, access=access, now=LATER_ON)
    web.requests.clear()

    second = poll(project, remembered(first), access=access, now=LATER_ON)

    assert second.scene_versions == first.scene_versions
    assert [request.method for request in web.requests] == ["HEAD"]


def test_a_table_whose_server_is_away_is_away(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    name = write_table(web.folder, FIRST)
    project = project_in(tmp_path / "project", f"{web.url}/{name}")
    first = poll(project, None, access=access, now=LATER_ON)
    web.always[f"/{name}"] = 503

    with pytest.raises(SourceUnavailableError, match="503"):
        poll(project, first, access=access, now=LATER_ON)


def test_one_unavailable_document_fails_the_poll(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    project = project_in(tmp_path / "project", f"{web.url}/{write_linked(web.folder, FIRST)}")
    web.always["/inner/b.json"] = 503

    with pytest.raises(SourceUnavailableError, match="503"):
        poll(project, None, access=access, now=LATER_ON)
