"""A STAC API that supports queries for changes, and the searches that it received."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spatial_assets_tests.fixtures.scene_factory import item_of
from spatial_assets_tests.fixtures.web_server import Request, WebServer

BASE = "https://api.stacspec.org/v1.0.0"
EXTENSIONS = {"query": f"{BASE}/item-search#query", "filter": f"{BASE}/item-search#filter"}
CHECKSUM = "1220" + "ab" * 32  # with it, no file is asked for


@dataclass
class StacApiServer:
    """An API whose clock is set by the test."""

    web: WebServer
    extension: str = "query"
    """ "query", "filter" or "" for neither."""

    tells: tuple[str, ...] = ("updated", "created")
    """Time properties of its items."""

    silent: tuple[str, ...] = ()
    """Ids of items without those properties."""

    now: dt.datetime = dt.datetime(2023, 9, 1, 12, tzinfo=dt.UTC)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    searches: list[dict[str, Any]] = field(default_factory=list)
    delivers_twice: bool = False
    refuses_conditions: bool = False

    def __post_init__(self) -> None:
        self.web.routes["/api"] = self._root
        self.web.routes["/api/search"] = self._search

    @property
    def url(self) -> str:
        return f"{self.web.url}/api"

    def put(
        self,
        name: str,
        told: Mapping[str, object] | None = None,
        *,
        at: dt.datetime | None = None,
        baseline: str = "05.09",
    ) -> None:
        """Add or change an item; `at`: its times, if not the time of the clock."""
        moment = (at or self.now).isoformat().replace("+00:00", "Z")
        times = {"created": moment, "updated": moment}
        item = item_of(name, **{"s2:processing_baseline": baseline, **times, **(told or {})})
        for time in set(times) - set(() if name in self.silent else self.tells):
            del item["properties"][time]
        for asset in item["assets"].values():
            asset["href"] = f"{self.web.url}/{name}/{asset['href']}"
            asset["file:checksum"] = CHECKSUM
        self.items[name] = item

    def asked_for_all(self) -> bool:
        """True if the last search had no time filter."""
        return not {"query", "filter"} & self.searches[-1].keys()

    def _root(self, _: Request) -> tuple[int, bytes]:
        search = {"rel": "search", "href": f"{self.url}/search", "method": "POST"}
        root = {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "api",
            "description": "of the tests",
            "conformsTo": [f"{BASE}/core", f"{BASE}/item-search"],
            "links": [{"rel": "root", "href": self.url}, search],
        }
        if self.extension:
            root["conformsTo"] = [*root["conformsTo"], EXTENSIONS[self.extension]]
        return 200, json.dumps(root).encode()

    def _search(self, request: Request) -> tuple[int, bytes]:
        body = json.loads(request.body or b"{}")
        self.searches.append(body)
        if self.refuses_conditions and not self.asked_for_all():
            return 400, b"{}"
        found = [item for item in self.items.values() if _matches(item, body)]
        page = {"type": "FeatureCollection", "features": found * (1 + self.delivers_twice)}
        return 200, json.dumps({**page, "links": []}).encode()


def _matches(item: dict[str, Any], body: dict[str, Any]) -> bool:
    """Return True if an item meets the one condition of the request."""
    if "query" in body:
        ((name, condition),) = body["query"].items()
        since = condition["gte"]
    elif "filter" in body:
        assert body["filter"]["op"] == ">="
        name, since = (body["filter"]["args"][0]["property"], body["filter"]["args"][1])
        since = since["timestamp"]
    else:
        return True
    told = item["properties"].get(name)
    return told is not None and _moment(told) >= _moment(since)


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
