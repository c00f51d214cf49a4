"""The one HTTP client: it connects to what was judged, and to nothing else, for GDAL too."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from spatial_assets.catalog.access.address_classes import Proximity
from spatial_assets.catalog.access.allowed_places import AllowedPlaces
from spatial_assets.catalog.access.requests import fetch
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.gdal_datasets import close_all, gdal_settings
from spatial_assets.catalog.rasters.opening import open_or_explain
from spatial_assets.catalog.rasters.windows import read_window
from spatial_assets.errors import SceneError, SourceUnavailableError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets_tests.catalog.noise_rasters import LAYOUTS, facts_of, noise
from spatial_assets_tests.fixtures.scene_factory import source_of, write_raster
from spatial_assets_tests.fixtures.web_server import Fault, Request, WebServer, serving

SIDE = 2048  # pixels of the JPEG 2000 file, in 4 x 4 tiles
SOT = b"\xff\x90\x00\x0a"
"""Marker at the start of each tile in JPEG 2000."""


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[WebServer]:
    """A server that no catalogue may reach, with a file that would be read if one did."""
    folder = tmp_path / "inner"
    write_raster(folder / "b.tif", noise(), **LAYOUTS["tiled-256"])
    write_jpeg2000(folder / "b.jp2")
    with serving(folder) as running:
        yield running


def write_jpeg2000(path: Path) -> np.ndarray[Any, Any]:
    """Write a tiled, lossless JPEG 2000 file of noise, and return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(7).integers(1, 3000, (SIDE, SIDE), dtype=np.uint16)
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        width=SIDE,
        height=SIDE,
        count=1,
        dtype="uint16",
        crs="EPSG:32633",
        transform=Affine(10, 0, 500_000, 0, -10, 5_100_000),
        blockxsize=512,
        blockysize=512,
        REVERSIBLE="YES",
        QUALITY="100",
    ) as dataset:
        dataset.write(pixels, 1)
    return pixels


def netloc_of(web: WebServer) -> str:
    return web.url.removeprefix("http://")


def trusting(access: SourceAccess, *servers: WebServer) -> SourceAccess:
    """Access that allows these servers, and otherwise the internet."""
    trusted = frozenset(map(netloc_of, servers))
    return replace(access, allowed_places=AllowedPlaces(nearest=Proximity.PUBLIC, trusted=trusted))


@contextmanager
def sent_on(web: WebServer, target: str, *, has_ranges: bool) -> Iterator[str]:
    """Serve HEAD with 200, and send every GET on; yield the URL of the server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            if has_ranges:
                self.send_header("Accept-Ranges", "bytes")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"{target}{self.path}")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield web.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("name", ["b.tif", "b.jp2"])
@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_get_that_is_redirected_after_a_good_head_is_not_followed_inwards(
    tmp_path: Path, inner: WebServer, access: SourceAccess, name: str, *, has_ranges: bool
) -> None:
    outer = WebServer(tmp_path)
    with sent_on(outer, inner.url, has_ranges=has_ranges) as url:
        allowed = trusting(access, outer)
        with gdal_settings(allowed), pytest.raises(SceneError) as caught:
            open_or_explain(source_of(f"{url}/{name}"), allowed)

    assert caught.value.reason == "forbidden_host"
    assert inner.requests == []


@pytest.mark.parametrize("name", ["b.tif", "b.jp2"])
def test_a_redirect_to_an_allowed_server_is_followed(
    tmp_path: Path, inner: WebServer, access: SourceAccess, name: str
) -> None:
    outer = WebServer(tmp_path)
    with sent_on(outer, inner.url, has_ranges=True) as url:
        allowed = trusting(access, outer, inner)
        with gdal_settings(allowed):
            dataset = open_or_explain(source_of(f"{url}/{name}"), allowed)

    assert dataset.driver == {"b.tif": "GTiff", "b.jp2": "JP2OpenJPEG"}[name]


@dataclass(frozen=True, kw_only=True)
class RecordingPlaces(AllowedPlaces):
    """Places that note from where each connection comes."""

    origins: list[Proximity | None] = field(default_factory=list, compare=False)

    def connection_of(
        self, url: str, *, s3_href: str | None = None, origin: Proximity | None = None
    ) -> tuple[tuple[str, ...], Proximity]:
        self.origins.append(origin)
        return super().connection_of(url, s3_href=s3_href, origin=origin)


def test_a_redirect_is_judged_by_the_server_that_sends_it(
    web: WebServer, access: SourceAccess
) -> None:
    (web.folder / "b.txt").write_text("b")
    web.redirects["/a.txt"] = f"{web.url}/b.txt"
    places = RecordingPlaces()

    assert fetch(f"{web.url}/a.txt", limit=9, access=replace(access, allowed_places=places)) == b"b"
    assert places.origins == [None, Proximity.OWN]


def test_the_address_that_was_judged_is_the_one_that_is_reached(
    web: WebServer, access: SourceAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolves to another address at the second question gains nothing."""
    (web.folder / "a.txt").write_text("a")
    resolve, asked = socket.getaddrinfo, []

    def rebinding(host: str, port: Any, *args: Any, **how: Any) -> Any:  # noqa: ANN401 - as in socket
        if host != "rebinding.test":
            return resolve(host, port, *args, **how)
        asked.append(host)
        return resolve("127.0.0.1" if len(asked) == 1 else "127.0.0.66", port, *args, **how)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = web.url.replace("127.0.0.1", "rebinding.test")

    assert fetch(f"{url}/a.txt", limit=9, access=access) == b"a"
    assert len(asked) == 1


@pytest.mark.parametrize("host", ["%31%32%37.0.0.1", "no-such-host.invalid", "127.0.0.1%00.test"])
def test_a_name_that_does_not_resolve_is_not_requested(
    web: WebServer, access: SourceAccess, host: str
) -> None:
    public = replace(access, allowed_places=AllowedPlaces(nearest=Proximity.PUBLIC))
    url = f"{web.url.replace('127.0.0.1', host)}/a.tif"

    with gdal_settings(public), pytest.raises((SceneError, SourceUnavailableError)):
        open_or_explain(source_of(url), public)
    with pytest.raises((SceneError, SourceUnavailableError)):
        fetch(url, limit=9, access=public)

    assert web.requests == []


def test_a_host_that_does_not_resolve_is_away_and_not_public() -> None:
    with pytest.raises(SourceUnavailableError, match="does not resolve"):
        AllowedPlaces(nearest=Proximity.PUBLIC).require("https://no-such-host.invalid/a.tif")


def test_without_its_own_network_gdal_opens_no_url(inner: WebServer, access: SourceAccess) -> None:
    with gdal_settings(access), pytest.raises(rasterio.errors.RasterioIOError):
        rasterio.open(f"/vsicurl/{inner.url}/b.tif")

    assert inner.requests == []


@pytest.mark.parametrize("threads", [1, 3])
def test_jpeg2000_is_read_in_pieces_and_each_piece_once(
    web: WebServer, access: SourceAccess, threads: int
) -> None:
    pixels = write_jpeg2000(web.folder / "b.jp2")
    size = (web.folder / "b.jp2").stat().st_size
    source, access = source_of(f"{web.url}/b.jp2"), replace(access, threads=threads)
    window = Window(400, 400, 200, 200)

    found, readable = read_window(source, facts_of(source, access), window, access)
    asked = ranges(web.requests)
    close_all()
    again, _ = read_window(source, facts_of(source, access), window, access)

    assert readable.all()
    assert np.array_equal(found, pixels[400:600, 400:600])
    assert np.array_equal(again, found)
    tiles, touched = (SIDE // 512) ** 2, 4
    assert len(asked) <= 3 + tiles + touched, "the header, the tiles' headers, the tiles"
    assert sum(stop - start for start, stop in asked) < size


def ranges(requests: list[Request]) -> list[tuple[int, int]]:
    """(first byte, one after the last) of each request for a part."""
    texts = [each.headers["range"] for each in requests if each.method == "GET"]
    parts = [text.removeprefix("bytes=").split("-") for text in texts]
    return [(int(first), int(last) + 1) for first, last in parts]


@pytest.mark.parametrize("fault", [503, "reset", "truncate"])
def test_jpeg2000_whose_bytes_do_not_arrive_is_away_and_not_damaged(
    web: WebServer, access: SourceAccess, fault: Fault
) -> None:
    write_jpeg2000(web.folder / "b.jp2")
    source = source_of(f"{web.url}/b.jp2")
    facts = facts_of(source, access)
    web.only = lambda request: request.headers.get("range", "bytes=0-") > "bytes=1"
    web.always["/b.jp2"] = fault

    with pytest.raises(SourceUnavailableError):
        read_window(source, facts, Window(1000, 1000, 900, 900), access)


def test_jpeg2000_damaged_on_this_machine_is_fetched_again(
    web: WebServer, access: SourceAccess
) -> None:
    pixels = write_jpeg2000(web.folder / "b.jp2")
    source = source_of(f"{web.url}/b.jp2", version="v", checksum="v")
    facts = facts_of(source, access)
    whole = Window(0, 0, SIDE, SIDE)
    read_window(source, facts, whole, access)
    close_all()
    (kept,) = access.cache_folder.iterdir()
    start_of_tile = (web.folder / "b.jp2").read_bytes().rfind(SOT)
    with kept.open("r+b") as file:
        file.seek(start_of_tile)
        file.write(bytes(len(SOT)))

    found, readable = read_window(source, facts, whole, access)

    assert np.array_equal(found[readable], pixels[readable])
    assert readable.all()


def test_a_proxy_resolves_names_and_what_is_known_to_be_near_is_refused_all_the_same(
    web: WebServer, access: SourceAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    (web.folder / "a.txt").write_text("a")
    monkeypatch.setenv("http_proxy", web.url)
    public = replace(access, allowed_places=AllowedPlaces(nearest=Proximity.PUBLIC))

    assert fetch("http://no-such-host.invalid/a.txt", limit=9, access=public) == b"a"
    for near in ("http://169.254.169.254/a.txt", "http://[64:ff9b::a9fe:a9fe]/a.txt"):
        with pytest.raises(SceneError) as caught:
            fetch(near, limit=9, access=public)
        assert caught.value.reason == "forbidden_host"

    assert [each.headers["host"] for each in web.requests] == ["no-such-host.invalid"]


def test_a_login_that_sends_in_circles_is_a_refusal_and_no_bad_href(
    web: WebServer, access: SourceAccess
) -> None:
    web.redirects["/a.txt"] = f"{web.url}/a.txt"

    with pytest.raises(SceneError) as caught:
        fetch(f"{web.url}/a.txt", limit=9, access=access)

    assert caught.value.reason == "refused_by_server"
    assert len(web.requests) <= 10
