"""A real STAC API (stac-fastapi with pgstac) is searched whole, by POST and by GET."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.source_access import RetryPolicy, SourceAccess
from spatial_assets.catalog.changes import poll
from spatial_assets.catalog.stac.item_filter import ItemFilter, item_filter_of
from spatial_assets.project import Project, load_project
from spatial_assets_tests.catalog.scene_search import ids, shifted
from spatial_assets_tests.fixtures.scene_factory import item_of, project_in
from spatial_assets_tests.fixtures.web_server import Request, WebServer
from spatial_assets_tests.servers.pgstac import PgstacCollection

pytestmark = pytest.mark.servers

CHECKSUM = "1220" + "ab" * 32  # with it, no file is asked for
NOW = dt.datetime(2023, 9, 1, 12, tzinfo=dt.UTC)


def item(name: str, **properties: object) -> dict[str, Any]:
    made = item_of(name, **properties)
    for asset in made["assets"].values():
        asset["file:checksum"] = CHECKSUM
    return made


def items(count: int) -> list[dict[str, Any]]:
    return [
        item(f"s{k:03}", datetime=f"2023-08-{1 + k % 28:02}T10:{k % 60:02}:00Z")
        for k in range(count)
    ]


@pytest.fixture
def access(tmp_path: Path) -> SourceAccess:
    """Access that waits as long as a busy machine needs."""
    return SourceAccess(
        cache_folder=tmp_path / "cache",
        retry_policy=RetryPolicy(
            attempts=2, first_delay=0.1, max_delay=0.1, connect_timeout=30, read_timeout=60
        ),
        gdal_cache_mb=64,
    )


@pytest.fixture(params=["POST", "GET"])
def api(request: pytest.FixtureRequest, pgstac_collection: PgstacCollection, web: WebServer) -> str:
    """The URL of the API; with GET, of a gateway before it that lets no POST through."""
    real = pgstac_collection.server.url
    if request.param == "POST":
        return real

    def forward(asked: Request) -> tuple[int, bytes]:
        if asked.method != "GET":
            return 405, b"{}"
        answer = httpx.get(f"{real}{asked.path}?{asked.query}", timeout=60)
        return answer.status_code, answer.content.replace(real.encode(), web.url.encode())

    web.routes |= {"/": forward, "/search": forward}
    return web.url


def stated_count(collection: PgstacCollection, item_filter: ItemFilter) -> int:
    """The count that the server states for the whole search."""
    (box,) = item_filter.boxes
    names = {"collections": [collection.name], "datetime": item_filter.datetime}
    body = {"bbox": box, "limit": 1, **names}
    answer = httpx.post(f"{collection.server.url}/search", json=body, timeout=60)
    return int(answer.json()["numberMatched"])


def project(
    folder: Path, api: str, collection: PgstacCollection, *, bbox: str = "", **scenes: object
) -> Project:
    """A project over the collection, and over another area if one is given."""
    made = project_in(folder, f"{api}/", collections=[collection.name], **scenes)
    if not bbox:
        return made
    settings = folder / "project.toml"
    settings.write_text(settings.read_text().replace("[15.0, 45.06, 16.44, 46.95]", bbox))
    return load_project(folder, {})


def test_every_page_is_read(
    tmp_path: Path, api: str, pgstac_collection: PgstacCollection, access: SourceAccess
) -> None:
    elsewhere = {**item("elsewhere"), "geometry": shifted(40)}
    earlier = item("earlier", datetime="2023-06-18T10:00:00Z")
    pgstac_collection.put([*items(130), elsewhere, earlier])

    found = find_scenes(project(tmp_path / "project", api, pgstac_collection), access)

    assert ids(found) == [f"s{k:03}" for k in range(130)]


def test_clear_items_are_found_and_those_of_unknown_cloud_cover(
    tmp_path: Path, api: str, pgstac_collection: PgstacCollection, access: SourceAccess
) -> None:
    unknown = item("unknown", datetime="2023-08-03T10:00:00Z")
    del unknown["properties"]["eo:cloud_cover"]
    cloudy = item("cloudy", **{"eo:cloud_cover": 90.5, "datetime": "2023-08-02T10:00:00Z"})
    pgstac_collection.put([item("clear"), cloudy, unknown])

    found = find_scenes(
        project(tmp_path / "project", api, pgstac_collection, max_cloud_cover=60), access
    )

    assert ids(found) == ["clear", "unknown"]


def test_an_area_across_the_antimeridian_is_searched_on_both_sides(
    tmp_path: Path, api: str, pgstac_collection: PgstacCollection, access: SourceAccess
) -> None:
    east = {**item("east"), "geometry": shifted(163.2)}  # 178.2 to 179.6
    west = {**item("west", datetime="2023-08-02T10:00:00Z"), "geometry": shifted(-194.9)}
    pgstac_collection.put([east, west, item("far", datetime="2023-08-03T10:00:00Z")])
    across = project(
        tmp_path / "project", api, pgstac_collection, bbox="[178.5, 45.06, -179.0, 46.95]"
    )

    assert ids(find_scenes(across, access)) == ["east", "west"]


@pytest.fixture
def counted(pgstac_collection: PgstacCollection) -> Iterator[PgstacCollection]:
    """A collection of an API that states counts, and keeps the count of a search for a day."""
    pgstac_collection.server.set_option("context", "on")
    yield pgstac_collection
    pgstac_collection.server.set_option("context", "off")


def test_a_count_from_before_a_deletion_is_not_taken_for_a_missing_page(
    tmp_path: Path, counted: PgstacCollection, access: SourceAccess
) -> None:
    counted.put(items(130))
    searched = project(tmp_path / "project", counted.server.url, counted)
    assert len(find_scenes(searched, access).scenes) == 130

    for number in (3, 77):
        counted.delete(f"s{number:03}")
        stated = stated_count(counted, item_filter_of(searched))
        found = find_scenes(searched, access)

        assert stated == 130
        assert f"s{number:03}" not in ids(found)
    assert len(found.scenes) == 128


def test_a_poll_finds_the_changed_items(
    tmp_path: Path, api: str, pgstac_collection: PgstacCollection, access: SourceAccess
) -> None:
    def changed_at(hour: int) -> dict[str, str]:
        return dict.fromkeys(("created", "updated"), f"2023-09-01T{hour:02}:00:00Z")

    pgstac_collection.put(
        [item(f"s{k}", datetime=f"2023-08-0{k}T10:00:00Z", **changed_at(1)) for k in range(1, 4)]
    )
    searched = project(tmp_path / "project", api, pgstac_collection)
    first = poll(searched, None, access=access, now=NOW)
    later = {"datetime": "2023-08-05T10:00:00Z", **changed_at(14)}
    pgstac_collection.put([item("s9", **later)])

    second = poll(searched, first, access=access, now=NOW + dt.timedelta(hours=3))

    assert [change.id for change in second.changes_since(first)] == ["s9"]
    assert second.fully_polled_at == first.fully_polled_at
    pgstac_collection.delete("s2")
    third = poll(searched, second, access=access, now=NOW + dt.timedelta(days=2))
    assert [(change.id, change.after) for change in third.changes_since(second)] == [("s2", None)]
