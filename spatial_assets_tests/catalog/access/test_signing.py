"""Signatures are made at read time, and kept out of everything that is stored or printed."""

from __future__ import annotations

import datetime as dt
import json
import logging
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from spatial_assets.catalog.access.http_client import mask_logs
from spatial_assets.catalog.access.remote_objects import look_up
from spatial_assets.catalog.access.signing import readable_url, source_credentials, tokens
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.gdal_datasets import gdal_settings
from spatial_assets.catalog.rasters.opening import open_or_explain
from spatial_assets.errors import SceneError, SettingsError, SourceUnavailableError
from spatial_assets_tests.fixtures.scene_factory import quick_access, source_of, write_raster
from spatial_assets_tests.fixtures.web_server import Request, WebServer

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCY"


@pytest.fixture
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_SESSION_TOKEN", "session")


def test_half_a_pair_of_keys_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="go together"):
        source_credentials({"SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID": KEY})


def test_keys_are_not_shown() -> None:
    keys = source_credentials(
        {
            "SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID": KEY,
            "SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY": SECRET,
        }
    )

    assert SECRET not in repr(keys)


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ({}, "https://bucket.s3.amazonaws.com/a%20b/B04.tif"),
        ({"region": "us-west-2"}, "https://bucket.s3.us-west-2.amazonaws.com/a%20b/B04.tif"),
        ({"endpoint": "http://here:9000/"}, "http://here:9000/bucket/a%20b/B04.tif"),
    ],
)
def test_public_objects_are_read_without_keys(
    tmp_path: Path, access: dict[str, str], expected: str
) -> None:
    source = source_of("s3://bucket/a b/B04.tif")

    assert readable_url(source, quick_access(tmp_path, **access)).url == expected


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize(
    "href",
    [
        "s3://bucket/B04.tif",
        "https://bucket.s3.us-west-2.amazonaws.com/B04.tif",
        "https://s3.us-west-2.amazonaws.com/bucket/B04.tif",
        "https://here.example.org/bucket/B04.tif",
    ],
)
def test_objects_are_presigned(tmp_path: Path, href: str) -> None:
    access = quick_access(
        tmp_path,
        sign="s3-presign",
        region="us-west-2",
        endpoint="https://here.example.org",
        requester_pays=True,
    )

    signed = readable_url(source_of(href), access)
    query = parse_qs(urlsplit(signed.url).query)

    assert signed.url.startswith("https://here.example.org/bucket/B04.tif?")
    assert query["X-Amz-Expires"] == ["3600"]
    assert query["x-amz-request-payer"] == ["requester"]
    assert query["X-Amz-Credential"][0].startswith(f"{KEY}/")
    assert "/us-west-2/" in query["X-Amz-Credential"][0]
    assert "X-Amz-Signature" in query
    assert SECRET not in signed.url
    assert "Signature" not in repr(signed)


@pytest.mark.usefixtures("_keys")
def test_urls_outside_s3_are_not_presigned(tmp_path: Path) -> None:
    access = quick_access(tmp_path, sign="s3-presign")

    url = readable_url(source_of("https://example.org/B04.tif", query="v=1"), access).url

    assert url == "https://example.org/B04.tif?v=1"


@pytest.mark.parametrize("access", [{"sign": "s3-presign"}, {"requester_pays": True}])
def test_signing_without_keys_is_a_settings_error(
    tmp_path: Path, access: dict[str, object]
) -> None:
    with pytest.raises(SettingsError, match="ACCESS_KEY_ID"):
        readable_url(source_of("s3://bucket/B04.tif"), quick_access(tmp_path, **access))


class TokenService:
    """A token service, and files that want its latest token."""

    def __init__(self, web: WebServer, *, good_for: float = 3600.0) -> None:
        self.web, self.good_for, self.given = web, good_for, 0
        web.routes["/token/sentinel-2-l2a"] = self.token
        web.routes["/b.tif"] = self.file
        write_raster(web.folder / "b.tif", np.ones((16, 16), dtype=np.uint16))

    def token(self, _: Request) -> tuple[int, bytes]:
        self.given += 1
        expiry = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.good_for)
        token = {"msft:expiry": expiry.isoformat(), "token": f"st=1&sig=SIG{self.given}"}
        return 200, json.dumps(token).encode()

    def file(self, request: Request) -> tuple[int, bytes]:
        if request.query != f"st=1&sig=SIG{self.given}":
            return 403, b"signature expired"
        return 200, (self.web.folder / "b.tif").read_bytes()


@pytest.fixture
def azure(web: WebServer, tmp_path: Path) -> SourceAccess:
    tokens.clear()
    return quick_access(
        tmp_path / "cache",
        sign="planetary-computer",
        token_endpoint=f"{web.url}/token",
        endpoint=web.url,
    )


def test_a_token_is_requested_once_a_collection(web: WebServer, azure: SourceAccess) -> None:
    service = TokenService(web)
    source = source_of(f"{web.url}/b.tif", collection="sentinel-2-l2a")

    for _ in range(3):
        look_up(source, azure)

    assert service.given == 1


def test_a_token_about_to_expire_is_replaced(web: WebServer, azure: SourceAccess) -> None:
    service = TokenService(web, good_for=30.0)
    source = source_of(f"{web.url}/b.tif", collection="sentinel-2-l2a")

    look_up(source, azure)
    look_up(source, azure)

    assert service.given >= 2


def test_a_token_revoked_before_its_time_is_replaced_once(
    web: WebServer, azure: SourceAccess
) -> None:
    service = TokenService(web)
    source = source_of(f"{web.url}/b.tif", collection="sentinel-2-l2a")
    look_up(source, azure)
    service.given = 7

    look_up(source, azure)

    assert service.given == 8


def test_other_hosts_get_no_token(web: WebServer, azure: SourceAccess) -> None:
    TokenService(web)
    source = source_of("https://example.org/b.tif", collection="sentinel-2-l2a")

    assert readable_url(source, azure).url == "https://example.org/b.tif"


def test_a_token_service_that_is_away_is_away(web: WebServer, azure: SourceAccess) -> None:
    web.always["/token/sentinel-2-l2a"] = 503

    with pytest.raises(SourceUnavailableError):
        readable_url(source_of(f"{web.url}/b.tif", collection="sentinel-2-l2a"), azure)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"token": "x", "msft:expiry": "soon"}', b"[]"])
def test_a_token_service_that_answers_nonsense_is_away(
    web: WebServer, azure: SourceAccess, body: bytes
) -> None:
    web.routes["/token/sentinel-2-l2a"] = lambda _: (200, body)

    with pytest.raises(SourceUnavailableError, match="no token"):
        readable_url(source_of(f"{web.url}/b.tif", collection="sentinel-2-l2a"), azure)


def test_a_raster_is_read_with_a_token(web: WebServer, azure: SourceAccess) -> None:
    TokenService(web)
    source = source_of(f"{web.url}/b.tif", collection="sentinel-2-l2a")

    with gdal_settings(azure):
        pixels = open_or_explain(source, azure).read(1)

    assert (pixels == 1).all()


def test_signatures_are_kept_out_of_errors_and_logs(
    web: WebServer, access: SourceAccess, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(f"{web.url}/b.tif", query="st=1&sig=TOPSECRET")
    mask_logs()
    caplog.set_level(logging.DEBUG)
    told = []

    for fault in (404, 403, 503, "reset", None):
        if fault is None:
            (web.folder / "b.tif").write_text("<html>")
            del web.always["/b.tif"]
        else:
            web.always["/b.tif"] = fault
        with gdal_settings(access), pytest.raises((SceneError, SourceUnavailableError)) as caught:
            open_or_explain(source, access)
        told.append(str(caught.value))

    assert web.requests[0].query == "st=1&sig=TOPSECRET"
    assert len(told) == 5
    assert "TOPSECRET" not in "".join(told)
    assert "TOPSECRET" not in caplog.text
    assert "TOPSECRET" not in repr(replace(source))
