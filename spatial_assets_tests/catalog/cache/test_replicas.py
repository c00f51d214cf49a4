"""Servers whose replicas send ETags of their own: one file, unless its bytes may be others."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.file_versions import as_seen_before, version_of, with_fingerprint
from spatial_assets.catalog.access.remote_objects import REPLICA_ATTEMPTS
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.gdal_datasets import close_all
from spatial_assets.catalog.rasters.windows import read_window
from spatial_assets.catalog.scene import Scene
from spatial_assets.errors import SceneError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets_tests.catalog.noise_rasters import COLUMNS, ROWS, facts_of, noise
from spatial_assets_tests.fixtures.scene_factory import (
    project_in,
    source_of,
    with_band,
    write_raster,
    write_scene,
)
from spatial_assets_tests.fixtures.web_server import Request, WebServer

PLAIN = {"tiled": True, "blockxsize": 256, "blockysize": 256}
"""Uncompressed: another content has the same size, and the same header."""

WHOLE = Window(0, 0, COLUMNS, ROWS)


class Replicas:
    """Replicas behind one name, which answer in turn."""

    def __init__(self, web: WebServer, *contents: bytes) -> None:
        self.requests: list[Request] = []
        self._turns: Iterator[int] = itertools.cycle(range(len(contents)))
        self._contents = contents
        web.replies["/b.tif"] = self.answer

    def answer(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        self.requests.append(request)
        turn = next(self._turns)
        data = self._contents[turn]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        headers = {"ETag": f'"replica-{turn}"'}
        if wanted is None:
            return 200, data, headers
        start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return 206, data[start:stop], headers


def content(folder: Path, name: str, pixels: np.ndarray) -> bytes:
    return write_raster(folder / name, pixels, **PLAIN).read_bytes()


@pytest.mark.parametrize("count", [2, 3])
def test_replicas_of_one_file_are_read_as_one(
    web: WebServer, access: SourceAccess, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    replicas = Replicas(web, *[content(web.folder, "one.tif", noise())] * count)
    source = source_of(f"{web.url}/b.tif")
    source = replace(source, version=version_of(source, access))

    pixels, readable = read_window(source, facts_of(source, access), WHOLE, access)

    assert readable.all()
    assert np.array_equal(pixels, noise())
    assert len(replicas.requests) < 40
    assert "tell its operator" in caplog.text


def test_bytes_of_two_replicas_are_never_mixed(web: WebServer, access: SourceAccess) -> None:
    """In the middle of a replacement, one has the old file, and another the new one."""
    other = noise()[::-1].copy()
    Replicas(web, content(web.folder, "old.tif", noise()), content(web.folder, "new.tif", other))
    source = source_of(f"{web.url}/b.tif")

    for number in range(4):
        known = replace(source, version=version_of(source, access), collection=str(number))
        expected = noise() if "replica-0" in (known.version or "") else other
        pixels, readable = read_window(known, facts_of(known, access), WHOLE, access)
        assert readable.all()
        assert np.array_equal(pixels, expected)


def test_an_etag_that_does_not_come_back_is_a_change(web: WebServer, access: SourceAccess) -> None:
    replicas = Replicas(web, content(web.folder, "one.tif", noise()))
    source = source_of(f"{web.url}/b.tif")
    size = (web.folder / "one.tif").stat().st_size

    with pytest.raises(SceneError) as caught:
        facts_of(replace(source, version=f"replica-9:{size}"), access)

    assert caught.value.reason == "changed_since_inspection"
    assert len(replicas.requests) <= REPLICA_ATTEMPTS + 1


@pytest.fixture
def scene(tmp_path: Path, web: WebServer) -> Scene:
    """A scene whose red band lies on the server, found with the ETag of one replica."""
    write_scene(tmp_path / "s")
    (found,) = find_scenes(project_in(tmp_path / "project", tmp_path / "s")).scenes
    return with_band(found, "red", href=f"{web.url}/b.tif", version=None)


def test_another_replica_at_the_next_search_is_no_change(
    web: WebServer, access: SourceAccess, scene: Scene
) -> None:
    Replicas(web, *[content(web.folder, "one.tif", noise())] * 2)
    first, second = with_fingerprint(scene, access), with_fingerprint(scene, access)
    assert isinstance(first, Scene)
    assert isinstance(second, Scene)
    before = {first.bands["red"].href: str(first.bands["red"].version)}

    assert second.fingerprint != first.fingerprint
    assert as_seen_before(second, before, access) == first


def test_a_file_that_was_replaced_is_a_change_though_its_size_is_the_same(
    web: WebServer, access: SourceAccess, scene: Scene
) -> None:
    replicas = Replicas(web, content(web.folder, "one.tif", noise()))
    found = with_fingerprint(scene, access)
    assert isinstance(found, Scene)
    size = (web.folder / "one.tif").stat().st_size
    href, asked = found.bands["red"].href, len(replicas.requests)

    assert as_seen_before(found, {href: f"replica-9:{size}"}, access) is found
    assert len(replicas.requests) - asked == REPLICA_ATTEMPTS
    asked = len(replicas.requests)
    for other in (f"replica-0:{size}", f"replica-9:{size + 1}", "2023:1", "away"):
        assert as_seen_before(found, {href: other}, access).fingerprint == found.fingerprint
    assert len(replicas.requests) == asked, "only another ETag of the same size is worth a request"


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()
