"""Hrefs that are allowed, and hrefs that are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.catalog.access.hrefs import is_remote, resolve_href
from spatial_assets.errors import SceneError

WEB = "https://example.org/stac/items/one.json"
LOCAL = "/data/scenes/one/item.json"


@pytest.mark.parametrize(
    ("href", "base", "expected"),
    [
        ("B04.tif", LOCAL, "/data/scenes/one/B04.tif"),
        ("./img/B04.tif", LOCAL, "/data/scenes/one/img/B04.tif"),
        ("../B04.tif", LOCAL, "/data/scenes/B04.tif"),
        ("/other/B04.tif", LOCAL, "/other/B04.tif"),
        ("file:///other/B%2004.tif", LOCAL, "/other/B 04.tif"),
        ("s3://bucket/key/B04.tif", LOCAL, "s3://bucket/key/B04.tif"),
        ("https://example.org/B04.tif", LOCAL, "https://example.org/B04.tif"),
        ("HTTPS://example.org/B04.tif", LOCAL, "https://example.org/B04.tif"),
        ("B04.tif", WEB, "https://example.org/stac/items/B04.tif"),
        ("../../../../B04.tif", WEB, "https://example.org/B04.tif"),
        ("/etc/passwd", WEB, "https://example.org/etc/passwd"),
        ("//other.org/B04.tif", WEB, "https://other.org/B04.tif"),
        ("../B04.tif", "s3://bucket/a/item.json", "s3://bucket/B04.tif"),
        ("B04.tif", "s3://bucket/item.json", "s3://bucket/B04.tif"),
    ],
)
def test_hrefs_resolve_against_their_item(href: str, base: str, expected: str) -> None:
    assert resolve_href(href, base).place == expected


@pytest.mark.parametrize(
    ("href", "base"),
    [
        ("", LOCAL),
        (None, LOCAL),
        (7, LOCAL),
        ("x" * 5000, LOCAL),
        ("B04\n.tif", LOCAL),
        ("gs://bucket/B04.tif", LOCAL),
        ("ftp://example.org/B04.tif", LOCAL),
        ("javascript:alert(1)", LOCAL),
        ("HDF5:/data/B04.h5", LOCAL),
        ("/vsicurl/https://example.org/B04.tif", LOCAL),
        ("/vsizip//data/a.zip/B04.tif", LOCAL),
        ("../../../vsimem/B04.tif", LOCAL),
        ("file://server/share/B04.tif", LOCAL),
        ("file:///etc/passwd", WEB),
        ("file:///etc/passwd", "s3://bucket/item.json"),
        ("../../B04.tif", "s3://bucket/a/item.json"),
        ("https://user:password@example.org/B04.tif", LOCAL),
        ("https:///B04.tif", LOCAL),
        ("http://[::1/B04.tif", LOCAL),
    ],
)
def test_an_href_that_names_nothing_we_may_read_is_refused(href: object, base: str) -> None:
    with pytest.raises(SceneError) as caught:
        resolve_href(href, base)

    assert caught.value.reason == "bad_href"
    assert "password" not in str(caught.value)


@given(st.text(max_size=60))
def test_a_remote_item_never_names_a_local_file(text: str) -> None:
    for base in (WEB, "s3://bucket/a/b/item.json"):
        try:
            place = resolve_href(text, base).place
        except SceneError:
            continue
        assert is_remote(place)


def test_the_query_is_kept_apart() -> None:
    href = resolve_href("B04.tif?sig=SECRET#top", WEB)

    assert href.place == "https://example.org/stac/items/B04.tif"
    assert href.query == "sig=SECRET"
    assert "SECRET" not in repr(href)


@pytest.mark.parametrize("name", ["B 04.tif", "Grün.tif", "100%.tif", "a%20b.tif", "a#1.tif"])
@pytest.mark.parametrize("form", [quote, str])
def test_a_local_href_names_its_file_encoded_or_plain(
    tmp_path: Path, name: str, form: Callable[[str], str]
) -> None:
    (tmp_path / name).touch()

    href = resolve_href(form(name), str(tmp_path / "item.json"))

    assert href.place == str(tmp_path / name)


@pytest.mark.parametrize(
    "href", ["%2e%2e/%2e%2e/vsimem/a.tif", "/vsi%6dem/a.tif", "a%0ab.tif", "%00"]
)
def test_an_encoded_href_is_refused_as_a_plain_one(href: str) -> None:
    with pytest.raises(SceneError) as caught:
        resolve_href(href, "/data/scenes/item.json")

    assert caught.value.reason == "bad_href"


@given(st.text(min_size=1, max_size=30))
def test_an_encoded_href_leads_where_the_plain_one_does(text: str) -> None:
    def place_of(href: str) -> str | None:
        try:
            return resolve_href(href, LOCAL).place
        except SceneError:
            return None

    plain = place_of(f"x/{text}")
    if "%" not in text and plain is not None and text == text.strip():
        assert place_of(f"x/{quote(text)}") == plain
