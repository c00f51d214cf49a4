"""Logins at the source: who gets the token and the password, and who never does."""

from __future__ import annotations

import http.server
import logging
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pytest

from spatial_assets.catalog.access.requests import fetch
from spatial_assets.catalog.access.source_access import SourceAccess, source_access
from spatial_assets.catalog.access.source_login import SourceLogin, netrc_login, source_token
from spatial_assets.catalog.rasters.windows import read_window
from spatial_assets.errors import SceneError, SettingsError, SourceUnavailableError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets_tests.catalog.noise_rasters import LAYOUTS, facts_of, noise
from spatial_assets_tests.fixtures.scene_factory import project_in, source_of, write_raster
from spatial_assets_tests.fixtures.web_server import WebServer

TOKEN: Final = "eyJ-planted.token-0123456789"  # noqa: S105 - made up
PASSWORD: Final = "planted-pass-word"  # noqa: S105 - made up
Reply = tuple[int, dict[str, str]]


@dataclass
class Door:
    """A server whose every answer is decided by a function of the path and the headers."""

    answer: Callable[[str, dict[str, str]], Reply]
    url: str = ""
    seen: list[dict[str, str]] = field(default_factory=list)
    """Headers of each request."""

    @property
    def netloc(self) -> str:
        """Host and port."""
        return self.url.partition("://")[2]


@contextmanager
def opened(answer: Callable[[str, dict[str, str]], Reply], *, host: str) -> Iterator[Door]:
    """Serve at 127.0.0.1 under the name `host`."""
    door = Door(answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            door.seen.append(headers)
            status, more = door.answer(self.path, headers)
            body = b"body" if status == 200 else b""
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    door.url = f"http://{host}:{server.server_address[1]}"
    try:
        yield door
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def welcome(_path: str, _headers: dict[str, str]) -> Reply:
    return 200, {}


@pytest.fixture
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_TOKEN", TOKEN)


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A .netrc with an entry for localhost, and one for all other hosts."""
    path = tmp_path / "netrc"
    path.write_text(f"machine localhost login jane password {PASSWORD}\ndefault login a password b")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    return path


@pytest.mark.usefixtures("_token")
def test_the_token_goes_to_the_hosts_that_are_listed_and_to_no_others(
    access: SourceAccess,
) -> None:
    with opened(welcome, host="127.0.0.1") as own, opened(welcome, host="localhost") as other:
        allowed = replace(access, token_hosts=(own.netloc,))
        for door in (own, other):
            assert fetch(f"{door.url}/a", limit=9, access=allowed) == b"body"

    assert own.seen[0]["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in other.seen[0]


@pytest.mark.usefixtures("_token")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_token_does_not_follow_a_redirect(access: SourceAccess, host: str) -> None:
    with opened(welcome, host=host) as other:
        target = f"{other.url}/b"
        with opened(lambda *_: (302, {"Location": target}), host="127.0.0.1") as own:
            allowed = replace(access, token_hosts=(own.netloc,))
            assert fetch(f"{own.url}/a", limit=9, access=allowed) == b"body"

    assert "authorization" in own.seen[0]
    assert "authorization" not in other.seen[0]


@pytest.mark.parametrize(
    ("url", "is_sent"),
    [
        ("https://data.example.org/a.tif", True),
        ("https://a.data.example.org/a.tif", False),
        ("https://data.example.org.evil.test/a.tif", False),
        ("http://data.example.org/a.tif", False),
        ("https://data.example.org/a.tif?X-Amz-Signature=0", False),
        ("https://data.example.org/a.tif?sig=0", False),
        ("https://tiles.cdn.test/a.tif", True),
        ("https://cdn.test/a.tif", False),
    ],
)
@pytest.mark.usefixtures("_token")
def test_the_token_is_sent_encrypted_and_to_unsigned_urls(url: str, *, is_sent: bool) -> None:
    login = SourceLogin(("data.example.org", "*.cdn.test"))

    sent = next(login.auth_flow(httpx.Request("GET", url)))

    assert ("authorization" in sent.headers) is is_sent


@pytest.mark.usefixtures("_token")
def test_by_default_the_token_is_for_the_catalogue_and_the_endpoint(tmp_path: Path) -> None:
    project = project_in(tmp_path, "https://8.8.8.8/v1")
    source = project.scenes.source.model_copy(update={"endpoint": "https://8.8.4.4"})
    scenes = project.scenes.model_copy(update={"source": source})
    listing = source.model_copy(update={"token_hosts": ("data.example.org",)})

    project = project.model_copy(update={"scenes": scenes})
    listed = project.model_copy(update={"scenes": scenes.model_copy(update={"source": listing})})

    assert source_access(project).token_hosts == ("8.8.8.8", "8.8.4.4")
    assert source_access(listed).token_hosts == ("data.example.org",)
    assert source_access(project_in(tmp_path / "local", tmp_path)).token_hosts == ()


@pytest.mark.parametrize("token", ["Bearer abc", "a\nb", "ü"])
def test_a_token_that_is_none_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(SettingsError) as caught:
        source_token({"SPATIAL_ASSETS_SOURCE_TOKEN": token})

    assert token not in str(caught.value)


class Earthdata:
    """An archive that sends to a login at another host, which sends back, as NASA's does."""

    def __init__(self) -> None:
        self.data, self.login = "", ""

    def of_data(self, path: str, headers: dict[str, str]) -> Reply:
        if "session=given" in headers.get("cookie", ""):
            return 200, {}
        if path.startswith("/login?code="):
            location = f"{self.data}/granule.tif"
            return 302, {"Location": location, "Set-Cookie": "session=given; Path=/"}
        return 302, {"Location": f"{self.login}/oauth/authorize"}

    def of_login(self, _path: str, headers: dict[str, str]) -> Reply:
        wanted = b64encode(f"jane:{PASSWORD}".encode()).decode()
        if headers.get("authorization") != f"Basic {wanted}":
            return 401, {"WWW-Authenticate": "Basic"}
        return 302, {"Location": f"{self.data}/login?code=1"}


@pytest.mark.usefixtures("netrc")
def test_a_login_at_another_host_and_back_is_followed(access: SourceAccess) -> None:
    archive = Earthdata()
    with (
        opened(archive.of_data, host="127.0.0.1") as data,
        opened(archive.of_login, host="localhost") as login,
    ):
        archive.data, archive.login = data.url, login.url
        first = fetch(f"{data.url}/granule.tif", limit=9, access=access)
        asked = len(login.seen)
        second = fetch(f"{data.url}/granule.tif", limit=9, access=access)

    assert first == second == b"body"
    assert len(login.seen) == asked == 2, "the session of the first is used by the second"
    assert not any("authorization" in headers for headers in data.seen)


@pytest.mark.usefixtures("netrc")
def test_a_password_is_for_its_own_host_and_only_when_it_is_asked_for(
    access: SourceAccess,
) -> None:
    def closed(*_: object) -> Reply:
        return 401, {}

    with opened(welcome, host="localhost") as free, opened(closed, host="127.0.0.1") as other:
        fetch(f"{free.url}/a", limit=9, access=access)
        with pytest.raises(SceneError) as caught:
            fetch(f"{other.url}/a", limit=9, access=access)

    assert caught.value.reason == "forbidden"
    assert not any("authorization" in headers for headers in free.seen + other.seen)


def test_no_password_is_sent_unencrypted_to_another_machine(netrc: Path) -> None:
    netrc.write_text(f"machine data.invalid login jane password {PASSWORD}")
    netrc.chmod(0o600)
    flow = SourceLogin(()).auth_flow(httpx.Request("GET", "http://data.invalid/a"))
    request = next(flow)

    with pytest.raises(StopIteration):
        flow.send(httpx.Response(401, request=request))


def test_a_netrc_that_cannot_be_read_is_named_and_not_quoted(netrc: Path) -> None:
    netrc.write_text(f"machine localhost passwort {PASSWORD}")

    with pytest.raises(SettingsError, match="netrc") as caught:
        netrc_login("localhost")

    assert PASSWORD not in str(caught.value)


@pytest.mark.usefixtures("_token", "netrc")
def test_secrets_are_in_no_error_and_no_log(
    access: SourceAccess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    cookie = {"Set-Cookie": f"session={PASSWORD}"}
    for status in (200, 401, 403, 404, 500):
        with opened(lambda *_, status=status: (status, cookie), host="localhost") as door:
            allowed = replace(access, token_hosts=(door.netloc,))
            try:
                fetch(f"{door.url}/a", limit=9, access=allowed)
            except (SceneError, SourceUnavailableError) as error:
                told.append(f"{error!r} {error.__cause__!r}")

    shown = caplog.text + "".join(told) + repr(access)
    assert len(told) == 4
    assert "localhost" in caplog.text
    for secret in (TOKEN, PASSWORD, b64encode(f"jane:{PASSWORD}".encode()).decode()):
        assert secret not in shown


@pytest.mark.usefixtures("_token")
def test_a_raster_is_read_with_the_token(web: WebServer, access: SourceAccess) -> None:
    write_raster(web.folder / "b.tif", noise(), **LAYOUTS["tiled-256"])
    allowed = replace(access, token_hosts=("127.0.0.1",))
    source = source_of(f"{web.url}/b.tif")

    pixels, _ = read_window(source, facts_of(source, allowed), Window(0, 0, 300, 300), allowed)

    assert np.array_equal(pixels, noise()[:300, :300])
    assert {each.headers.get("authorization") for each in web.requests} == {f"Bearer {TOKEN}"}
