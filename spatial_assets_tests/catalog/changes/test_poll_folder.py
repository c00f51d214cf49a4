"""Polls of a changing folder find what a full search finds."""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.changes import SceneChange, Snapshot, poll
from spatial_assets.errors import SettingsError
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets_tests.catalog.scene_search import LATER, shifted
from spatial_assets_tests.fixtures.scene_factory import item_of, project_in, write_item, write_scene

LATER_ON = dt.datetime.now(tz=dt.UTC) + dt.timedelta(days=1)
"""Time at which every file of the tests has settled."""


class Folder:
    """A catalogue in a folder; every write has a time of its own, as on a slow day."""

    def __init__(self, root: Path) -> None:
        self.scenes = root / "s"
        self.scenes.mkdir()
        self.project = project_in(root / "project", self.scenes)
        self._clock: Iterator[int] = count(1)

    def put(self, file: str, item: dict[str, Any]) -> None:
        self._write(f"{file}.json", json.dumps(item))

    def tear(self, file: str) -> None:
        self._write(f"{file}.json", '{"type": "Feature", "stac_')

    def shoot(self, file: str) -> None:
        self._write(file, "an image")

    def remove(self, file: str) -> None:
        (self.scenes / file).unlink(missing_ok=True)

    def _write(self, name: str, text: str) -> None:
        (self.scenes / name).write_text(text)
        tick = next(self._clock) * 10**9
        os.utime(self.scenes / name, ns=(tick, tick))


FILES = st.sampled_from("xyz")
NAMES = st.sampled_from("ab")
STEPS = st.one_of(
    st.tuples(
        st.just("put"),
        FILES,
        NAMES,
        st.sampled_from(["MGRS-33TWL", "MGRS-33TWM"]),
        st.sampled_from(["05.09", "05.10"]),
        st.sampled_from([0, 0, 40]),
        st.sampled_from(["1.0.0", "1.0.0", "0.9.0"]),
    ),
    st.tuples(st.just("withdraw"), FILES),
    st.tuples(st.just("tear"), FILES),
    st.tuples(st.just("shoot"), st.sampled_from(["B04.tif", "B08.tif", "SCL.tif"])),
    st.tuples(st.just("lose"), st.sampled_from(["B04.tif", "B08.tif"])),
    st.tuples(st.just("wait")),
)


def take(folder: Folder, step: tuple[Any, ...]) -> None:
    """Changes of the folder between two polls."""
    kind, *what = step
    if kind == "put":
        file, name, tile, baseline, degrees, version = what
        properties = {"grid:code": tile, "s2:processing_baseline": baseline}
        item = {**item_of(name, **properties), "geometry": shifted(degrees)}
        folder.put(file, {**item, "stac_version": version})
    elif kind == "tear":
        folder.tear(*what)
    elif kind == "shoot":
        folder.shoot(*what)
    elif kind != "wait":
        folder.remove(what[0] if kind == "lose" else f"{what[0]}.json")


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=8))
@example(
    [  # one id for two granules: the better one is not the last
        ("put", "x", "a", "MGRS-33TWL", "05.10", 0, "1.0.0"),
        ("put", "y", "a", "MGRS-33TWM", "05.09", 0, "1.0.0"),
    ]
)
def test_an_incremental_poll_finds_what_a_full_search_finds(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder, snapshot = Folder(Path(root)), None
        for step in steps:
            take(folder, step)
            stored = snapshot.to_bytes() if snapshot else None

            snapshot = poll(folder.project, Snapshot.from_bytes(stored), now=LATER_ON)

            assert snapshot.scene_versions == find_scenes(folder.project).scene_versions


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose catalogue holds the scenes a and b."""
    write_scene(tmp_path / "s", item_of("a"))
    write_item(tmp_path / "s", item_of("b", **LATER))
    return project_in(tmp_path / "project", tmp_path / "s")


def forgetful(snapshot: Snapshot) -> Snapshot:
    """A snapshot that remembers documents, and nothing of what was in them."""
    blank = (replace(document, candidates=()) for document in snapshot.documents)
    return replace(snapshot, documents=tuple(blank))


def kinds(changes: tuple[SceneChange, ...]) -> dict[str, str]:
    named = {(True, False): "withdrawn", (False, True): "new", (True, True): "changed"}
    return {one.id: named[one.before is not None, one.after is not None] for one in changes}


def test_what_did_not_change_is_not_read_again(project: Project) -> None:
    first = poll(project, None, now=LATER_ON)

    second = poll(project, forgetful(first), now=LATER_ON)

    assert [one.id for one in first.scene_versions] == ["a", "b"]
    assert second.scene_versions == ()


def test_a_file_that_was_just_written_is_read_again(project: Project) -> None:
    just_now = poll(project, None, now=dt.datetime.now(tz=dt.UTC))

    assert {document.state for document in just_now.documents} == {None}
    assert None not in {
        document.state for document in poll(project, just_now, now=LATER_ON).documents
    }


def test_a_change_within_the_tick_of_a_clock_is_seen(project: Project, tmp_path: Path) -> None:
    item = tmp_path / "s" / "a.json"
    now = dt.datetime.now(tz=dt.UTC)
    before = poll(project, None, now=now)
    times = item.stat()
    item.write_text(item.read_text().replace("MGRS-33TWL", "MGRS-33TWM"))
    os.utime(item, ns=(times.st_atime_ns, times.st_mtime_ns))

    after = poll(project, before, now=now)

    assert kinds(after.changes_since(before)) == {"a": "changed"}


def test_changes_are_listed_one_by_one(project: Project, tmp_path: Path) -> None:
    before = poll(project, None, now=LATER_ON)
    (tmp_path / "s" / "b.json").unlink()
    moved = {**item_of("a"), "geometry": shifted(0.5)}
    write_item(tmp_path / "s", moved)
    write_item(tmp_path / "s", item_of("c", datetime="2023-08-20T10:00:00Z"))

    after = poll(project, before, now=LATER_ON)
    changes = after.changes_since(before)

    assert kinds(changes) == {"a": "changed", "b": "withdrawn", "c": "new"}
    old, new = changes[0].before, changes[0].after
    assert old is not None
    assert new is not None
    assert (old.footprint, new.footprint) == (
        before.scene_versions[0].footprint,
        after.scene_versions[0].footprint,
    )
    assert old.footprint != new.footprint
    assert after.changes_since(after) == ()
    assert kinds(after.changes_since(None)) == {"a": "new", "c": "new"}


def test_a_snapshot_survives_being_stored(project: Project, tmp_path: Path) -> None:
    (tmp_path / "s" / "torn.json").write_text("{")
    snapshot = poll(project, None, now=LATER_ON)

    assert Snapshot.from_bytes(snapshot.to_bytes()) == snapshot


@pytest.mark.parametrize("place", [0, 40, 5000, -5, -1])
def test_a_damaged_snapshot_is_none(project: Project, place: int) -> None:
    data = bytearray(poll(project, None, now=LATER_ON).to_bytes())
    data[place] ^= 1

    assert Snapshot.from_bytes(bytes(data)) is None
    assert Snapshot.from_bytes(bytes(data[: len(data) // 2])) is None
    assert Snapshot.from_bytes(b"") is None


@pytest.mark.parametrize(
    "settings_changed",
    [{"max_cloud_cover": 99}, {"datetime": "2023-08-02/2023-08-31"}, {"sensor": "landsat-c2-l2"}],
    ids=["clouds", "time", "sensor"],
)
def test_a_snapshot_of_other_settings_is_of_no_use(
    project: Project, tmp_path: Path, settings_changed: dict[str, Any]
) -> None:
    before = poll(project, None, now=LATER_ON)
    other = project_in(tmp_path / "project", tmp_path / "s", **settings_changed)

    after = poll(other, forgetful(before), now=LATER_ON)

    assert after.scene_versions == find_scenes(other).scene_versions != ()


def test_a_folder_that_is_gone_is_no_empty_catalogue(project: Project, tmp_path: Path) -> None:
    before = poll(project, None, now=LATER_ON)
    (tmp_path / "s").rename(tmp_path / "elsewhere")

    with pytest.raises(SettingsError, match="the folder does not exist"):
        poll(project, before, now=LATER_ON)


def test_no_scene_is_kept_under_the_name_of_the_snapshot() -> None:
    names = {layout.scene_facts(name) for name in ("catalogue.seen", "catalogue", "../catalogue")}

    assert layout.catalogue_snapshot() not in names
