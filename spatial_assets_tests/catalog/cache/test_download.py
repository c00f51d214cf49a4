"""Whole files in a bounded cache."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatial_assets.catalog.access.file_versions import version_of
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.download import digest_of, local_copy
from spatial_assets.catalog.rasters.gdal_datasets import gdal_settings
from spatial_assets.catalog.rasters.opening import as_local, open_or_explain
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import SceneError, SourceUnavailableError
from spatial_assets_tests.fixtures.scene_factory import quick_access, source_of, write_raster
from spatial_assets_tests.fixtures.web_server import WebServer

CONTENT = b"pixels" * 1000
CODES = {"sha1": "11", "sha256": "12", "sha512": "13", "md5": "d501"}


def multihash(name: str, content: bytes = CONTENT) -> str:
    digest = hashlib.new(name, content, usedforsecurity=False)
    return f"{CODES[name]}{digest.digest_size:02x}{digest.hexdigest()}"


@pytest.fixture
def access(tmp_path: Path) -> SourceAccess:
    return quick_access(tmp_path / "cache", mode="download", cache_bytes=20_000)


def served(
    web: WebServer,
    name: str = "a.tif",
    content: bytes = CONTENT,
    **changes: Any,  # noqa: ANN401 - any field
) -> BandSource:
    (web.folder / name).write_bytes(content)
    return source_of(f"{web.url}/{name}", **changes)


def copies(access: SourceAccess) -> list[Path]:
    return sorted(access.cache_folder.iterdir())


def test_a_file_is_downloaded_once(web: WebServer, access: SourceAccess) -> None:
    source = served(web)

    first, second = local_copy(source, access), local_copy(source, access)

    assert first == second
    assert first.read_bytes() == CONTENT
    assert len(web.asked_for("/a.tif")) == 1
    assert copies(access) == [first]


def test_many_at_once_download_a_file_once(web: WebServer, access: SourceAccess) -> None:
    source = served(web)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: local_copy(source, access), range(8)))

    assert len(found) == 1
    assert len(web.asked_for("/a.tif")) == 1


@pytest.mark.parametrize("name", sorted(CODES))
def test_a_checksum_that_agrees_is_no_hindrance(
    web: WebServer, access: SourceAccess, name: str
) -> None:
    source = served(web, checksum=multihash(name), size=len(CONTENT))

    assert local_copy(source, access).read_bytes() == CONTENT


@pytest.mark.parametrize("name", sorted(CODES))
@pytest.mark.parametrize("is_local", [False, True])
def test_a_checksum_that_differs_is_a_bad_scene(
    web: WebServer,
    access: SourceAccess,
    name: str,
    is_local: bool,  # noqa: FBT001
) -> None:
    source = served(web, checksum=multihash(name, b"other"))
    if is_local:
        source = replace(source, href=str(web.folder / "a.tif"))

    with pytest.raises(SceneError) as caught:
        local_copy(source, access)

    assert caught.value.reason == "checksum_mismatch"
    assert is_local or copies(access) == []


def test_a_size_that_differs_is_a_bad_scene(web: WebServer, access: SourceAccess) -> None:
    with pytest.raises(SceneError) as caught:
        local_copy(served(web, size=5), access)

    assert caught.value.reason == "size_mismatch"


@pytest.mark.parametrize("checksum", [None, "", "zz", "1220", "1604abcd", "ff"])
def test_a_checksum_of_an_unknown_kind_is_not_compared(checksum: str | None) -> None:
    digest = digest_of(checksum)
    digest.update(CONTENT)

    assert digest.agrees
    assert digest.size == len(CONTENT)


@pytest.mark.samples
def test_the_checksum_of_a_real_item_is_understood(samples: Path) -> None:
    import json  # noqa: PLC0415

    item = json.loads((samples / "stac" / "LC08_L2SP_028030_20200114_SR.usgs.json").read_text())

    digest = digest_of(item["assets"]["red"]["file:checksum"])

    assert digest.name == "sha512"
    assert digest.expected.startswith("d08a3fd5aca8")


@pytest.mark.parametrize("fault", [[503], ["reset"], ["truncate"], ["truncate", 503]])
def test_transient_errors_are_retried(
    web: WebServer, access: SourceAccess, fault: list[Any]
) -> None:
    source = served(web)
    web.faults["/a.tif"] = list(fault)

    assert local_copy(source, access).read_bytes() == CONTENT


@pytest.mark.parametrize("fault", [503, "reset", "truncate"])
def test_permanent_errors_leave_no_file(
    web: WebServer,
    access: SourceAccess,
    fault: Any,  # noqa: ANN401
) -> None:
    source = served(web)
    web.always["/a.tif"] = fault

    with pytest.raises(SourceUnavailableError):
        local_copy(source, access)

    assert copies(access) == []


def test_the_cache_stays_within_its_bounds(web: WebServer, access: SourceAccess) -> None:
    for number in range(8):
        local_copy(served(web, f"{number}.tif"), access)
        if number > 0:
            local_copy(source_of(f"{web.url}/0.tif"), access)

    total = sum(path.stat().st_size for path in copies(access))

    assert total <= access.cache_bytes
    assert len(web.asked_for("/0.tif")) == 1, "what is used stays"
    assert len(copies(access)) == 3


def test_a_file_larger_than_the_cache_is_refused(web: WebServer, access: SourceAccess) -> None:
    with pytest.raises(SceneError) as caught:
        local_copy(served(web, content=b"x" * 30_000), access)

    assert caught.value.reason == "larger_than_cache"
    assert copies(access) == []


def test_a_changed_file_is_another_copy(web: WebServer, access: SourceAccess) -> None:
    source = served(web)
    first = local_copy(replace(source, version=version_of(source, access)), access)
    served(web, content=b"other" * 10)

    second = local_copy(replace(source, version=version_of(source, access)), access)

    assert first != second
    assert second.read_bytes() == b"other" * 10


def test_a_downloaded_raster_is_read(web: WebServer, access: SourceAccess) -> None:
    write_raster(web.folder / "a.tif", np.full((32, 32), 7, dtype=np.uint16))
    source = source_of(f"{web.url}/a.tif")

    with gdal_settings(access):
        pixels = open_or_explain(as_local(source, access), access).read(1)

    assert (pixels == 7).all()
    assert len(web.asked_for("/a.tif")) == 1
