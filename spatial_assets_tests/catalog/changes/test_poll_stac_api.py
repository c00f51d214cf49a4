"""Polls of a STAC API query the changes, and everything once a day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.changes import FULL_POLL_EVERY, Snapshot, poll
from spatial_assets.errors import SourceUnavailableError
from spatial_assets.project import Project
from spatial_assets_tests.catalog.changes.stac_api_server import StacApiServer
from spatial_assets_tests.catalog.scene_search import LATER
from spatial_assets_tests.fixtures.scene_factory import project_in
from spatial_assets_tests.fixtures.web_server import WebServer

MINUTES = dt.timedelta(minutes=1)
HOURS = dt.timedelta(hours=1)
NEXT = {"datetime": "2023-08-20T10:00:00Z"}


class Watcher:
    """A client that polls repeatedly and keeps its snapshot as bytes."""

    def __init__(self, project: Project, access: SourceAccess, server: StacApiServer) -> None:
        self.project, self.access, self.server = project, access, server
        self.kept: bytes | None = None
        self.skew = dt.timedelta()

    def poll(self) -> Snapshot:
        now = self.server.now + self.skew
        snapshot = poll(self.project, Snapshot.from_bytes(self.kept), access=self.access, now=now)
        self.kept = snapshot.to_bytes()
        return snapshot

    def sees(self) -> dict[str, str]:
        return {one.id: one.version for one in self.poll().scene_versions}

    def would_find(self) -> dict[str, str]:
        found = find_scenes(self.project, self.access)
        return {one.id: one.version for one in found.scene_versions}


@pytest.fixture(params=["query", "filter"])
def server(web: WebServer, request: pytest.FixtureRequest) -> StacApiServer:
    """An API with the scene a, in two dialects."""
    server = StacApiServer(web, extension=request.param)
    server.put("a")
    return server


@pytest.fixture
def watcher(tmp_path: Path, server: StacApiServer, access: SourceAccess) -> Watcher:
    """A client that has polled once."""
    watcher = Watcher(project_in(tmp_path / "project", server.url), access, server)
    assert list(watcher.sees()) == ["a"]
    server.now += 2 * HOURS
    return watcher


def test_an_unchanged_api_is_queried_for_changes_only(
    watcher: Watcher, server: StacApiServer
) -> None:
    before = watcher.kept

    assert watcher.poll().changes_since(Snapshot.from_bytes(before)) == ()
    assert not server.asked_for_all()


def test_a_new_and_a_changed_item_are_seen(watcher: Watcher, server: StacApiServer) -> None:
    before = watcher.sees()
    server.put("a", {"proj:epsg": 32634})
    server.put("b", LATER)

    after = watcher.sees()

    assert list(after) == ["a", "b"]
    assert after["a"] != before["a"]
    assert not server.asked_for_all()
    assert after == watcher.would_find()


def test_an_item_that_grew_cloudy_is_seen_to_go(
    tmp_path: Path, server: StacApiServer, access: SourceAccess
) -> None:
    project = project_in(tmp_path / "project", server.url, max_cloud_cover=60)
    server.extension = "query"
    watcher = Watcher(project, access, server)
    server.put("a", {"eo:cloud_cover": 10})
    # The full search asks for clouds; this server of the tests knows times only.
    server.extension = ""
    assert list(watcher.sees()) == ["a"]
    server.extension = "query"
    server.now += HOURS
    server.put("a", {"eo:cloud_cover": 90})

    assert watcher.sees() == {}


def test_a_late_item_is_seen_if_it_is_no_later_than_the_overlap(
    watcher: Watcher, server: StacApiServer
) -> None:
    server.put("b", LATER)
    assert list(watcher.sees()) == ["a", "b"]
    server.now += 10 * MINUTES
    server.put("late", at=server.now - 50 * MINUTES, told=NEXT)

    assert "late" in watcher.sees()
    assert not server.asked_for_all()


def test_an_item_later_than_that_is_seen_within_a_day(
    watcher: Watcher, server: StacApiServer
) -> None:
    server.put("b", LATER)
    watcher.poll()
    server.put("late", at=server.now - 30 * HOURS, told=NEXT)

    assert "late" not in watcher.sees()
    server.now += FULL_POLL_EVERY
    assert "late" in watcher.sees()


def test_items_may_come_out_of_the_order_of_their_acquisition(
    watcher: Watcher, server: StacApiServer
) -> None:
    for day in ("25", "05", "15"):
        server.put(f"s{day}", {"datetime": f"2023-08-{day}T10:08:08Z"})
        server.now += 3 * HOURS

        assert f"s{day}" in watcher.sees()
        assert not server.asked_for_all()


def test_a_reprocessed_item_takes_the_place_of_the_first(
    watcher: Watcher, server: StacApiServer
) -> None:
    server.put("a-again", baseline="05.10")

    assert list(watcher.sees()) == ["a-again"]

    server.now += 2 * HOURS
    server.put("a-late-copy", baseline="05.08")
    assert list(watcher.sees()) == ["a-again"]


def test_a_withdrawn_item_is_seen_to_go_within_a_day_and_the_one_before_it_returns(
    watcher: Watcher, server: StacApiServer
) -> None:
    server.put("a-again", baseline="05.10")
    assert list(watcher.sees()) == ["a-again"]
    del server.items["a-again"]
    server.now += HOURS

    assert list(watcher.sees()) == ["a-again"]
    server.now += FULL_POLL_EVERY
    assert list(watcher.sees()) == ["a"]
    assert server.asked_for_all()


def test_an_item_delivered_twice_is_one_sighting_and_no_change(
    watcher: Watcher, server: StacApiServer
) -> None:
    before = watcher.poll()
    server.delivers_twice = True
    server.now += MINUTES

    after = watcher.poll()

    assert after.changes_since(before) == ()
    assert after.documents == before.documents


@pytest.mark.parametrize("skew", [-5 * HOURS, 5 * HOURS], ids=["behind", "ahead"])
def test_our_clock_need_not_agree_with_the_servers(
    watcher: Watcher, server: StacApiServer, skew: dt.timedelta
) -> None:
    watcher.skew = skew
    watcher.poll()
    server.put("b", LATER)
    server.now += MINUTES

    assert list(watcher.sees()) == ["a", "b"]


def test_one_item_from_the_future_does_not_hide_the_present(
    watcher: Watcher, server: StacApiServer
) -> None:
    server.put("b", LATER, at=server.now + 9000 * HOURS)
    assert list(watcher.sees()) == ["a", "b"]
    server.now += MINUTES
    server.put("c", NEXT)

    assert list(watcher.sees()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "so",
    [{"extension": ""}, {"tells": ()}, {"silent": ("c",)}, {"refuses_conditions": True}],
    ids=["no-extension", "no-times", "some-times", "not-queryable"],
)
def test_an_api_that_cannot_tell_is_searched_in_full_each_time(
    tmp_path: Path, web: WebServer, access: SourceAccess, so: dict[str, Any]
) -> None:
    server = StacApiServer(web, **so)
    server.put("a")
    server.put("c", NEXT)
    watcher = Watcher(project_in(tmp_path / "project", server.url), access, server)
    watcher.poll()
    server.put("b", LATER)
    del server.items["a"]

    assert list(watcher.sees()) == ["b", "c"]
    assert server.asked_for_all()


def test_items_without_updated_are_queried_by_created(
    tmp_path: Path, web: WebServer, access: SourceAccess
) -> None:
    server = StacApiServer(web, tells=("created",))
    server.put("a")
    watcher = Watcher(project_in(tmp_path / "project", server.url), access, server)
    watcher.poll()
    server.now += 2 * HOURS
    server.put("b", LATER)

    assert list(watcher.sees()) == ["a", "b"]
    assert server.searches[-1]["query"].keys() == {"created"}


def test_an_api_that_is_away_leaves_the_snapshot_as_it_was(
    watcher: Watcher, server: StacApiServer, web: WebServer
) -> None:
    before = watcher.kept
    web.always["/api/search"] = 503

    with pytest.raises(SourceUnavailableError):
        watcher.poll()

    assert watcher.kept == before
    del web.always["/api/search"]
    server.put("b", LATER)
    assert list(watcher.sees()) == ["a", "b"]


STEPS = st.one_of(
    st.tuples(
        st.just("put"),
        st.sampled_from("abc"),
        st.sampled_from(["MGRS-33TWL", "MGRS-33TWM"]),
        st.sampled_from(["05.09", "05.10"]),
    ),
    st.tuples(st.just("withdraw"), st.sampled_from("abc")),
    st.tuples(st.just("wait")),
)


def take(server: StacApiServer, step: tuple[str, ...]) -> None:
    """Changes of the server between two polls; a withdrawn item is seen a day later."""
    kind, *what = step
    server.now += HOURS
    if kind == "put":
        name, tile, baseline = what
        server.put(name, {"grid:code": tile}, baseline=baseline)
    elif kind == "withdraw" and what[0] in server.items:
        del server.items[what[0]]
        server.now += FULL_POLL_EVERY


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, min_size=1, max_size=6))
def test_an_incremental_poll_finds_what_a_full_search_finds(
    tmp_path: Path, web: WebServer, access: SourceAccess, steps: list[tuple[str, ...]]
) -> None:
    server = StacApiServer(web)
    watcher = Watcher(project_in(tmp_path / "project", server.url), access, server)
    for step in steps:
        take(server, step)

        assert watcher.sees() == watcher.would_find()
