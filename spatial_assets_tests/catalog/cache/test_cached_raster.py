"""Remote TIFFs read through the local cache: the same pixels, in few requests, each byte once."""

from __future__ import annotations

import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spatial_assets.catalog.access.file_versions import version_of
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.sparse_file import PAGE_BYTES, SPARSE_SUFFIX, disk_bytes
from spatial_assets.catalog.rasters.gdal_datasets import close_all
from spatial_assets.catalog.rasters.prefetch import prefetching
from spatial_assets.catalog.rasters.windows import read_window
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import SceneError, SourceUnavailableError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets_tests.catalog.noise_rasters import (
    COLUMNS,
    LAYOUTS,
    ROWS,
    damage,
    facts_of,
    noise,
    read,
)
from spatial_assets_tests.fixtures.scene_factory import source_of, write_raster
from spatial_assets_tests.fixtures.web_server import WebServer

PLAIN = {"tiled": True, "blockxsize": 256, "blockysize": 256}
"""Uncompressed: what is wrong in it shows as wrong pixels, and nowhere else."""

WHOLE = Window(0, 0, COLUMNS, ROWS)
PATH = "/b.tif"


def served(web: WebServer, access: SourceAccess, layout: str = "tiled-256") -> BandSource:
    """A file of noise and its version, as a scene of a catalogue has it."""
    write_raster(web.folder / "b.tif", noise(), **LAYOUTS.get(layout, PLAIN))
    source = source_of(f"{web.url}{PATH}")
    source = replace(source, version=version_of(source, access))
    web.requests.clear()
    return source


def spans(web: WebServer, path: str = PATH) -> list[tuple[int, int]]:
    """(first byte, one after the last) of each requested range, sorted."""
    ranges = [
        each.headers["range"].removeprefix("bytes=").split("-")
        for each in web.asked_for(path)
        if each.method == "GET"
    ]
    return sorted((int(first), int(last) + 1) for first, last in ranges)


def overlaps(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that begin before the one before them ends."""
    return [b for a, b in pairwise(found) if b[0] < a[1]]


def pixels_of(source: BandSource, window: Window, access: SourceAccess) -> NDArray[Any]:
    pixels, readable = read_window(source, facts_of(source, access), window, access)
    assert readable.all()
    return pixels


def test_a_window_costs_the_header_and_a_request_a_row_of_blocks(
    web: WebServer, access: SourceAccess
) -> None:
    source = served(web, access)

    pixels = pixels_of(source, Window(300, 300, 400, 400), access)

    assert np.array_equal(pixels, noise()[300:700, 300:700])
    # two rows of 512-blocks, each two rows of the file's own
    assert len(spans(web)) <= 1 + 4
    assert not overlaps(spans(web))
    assert [each.method for each in web.asked_for(PATH)].count("HEAD") == 1


def test_bytes_that_were_read_are_not_requested_again(web: WebServer, access: SourceAccess) -> None:
    source = served(web, access)
    pixels_of(source, Window(0, 0, 600, 600), access)
    close_all()
    before = len(web.requests)

    pixels_of(source, Window(100, 100, 300, 300), access)
    assert len(web.requests) == before

    pixels_of(source, WHOLE, access)
    assert not overlaps(spans(web))
    assert spans(web)[-1][1] == (web.folder / "b.tif").stat().st_size


def test_two_workers_fetch_nothing_twice(web: WebServer, access: SourceAccess) -> None:
    source = served(web, access)
    windows = [Window(0, 0, 900, 900), Window(200, 200, 900, 900)]

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(pixels_of, [source] * 2, windows, [access] * 2))

    for pixels, window in zip(found, windows, strict=True):
        assert np.array_equal(pixels, noise()[window.slices_in(WHOLE)])
    beyond = [span for span in spans(web) if span[0] > 0]
    assert not overlaps(beyond)


def test_prefetched_bytes_are_not_requested_again(web: WebServer, access: SourceAccess) -> None:
    source = served(web, access)

    with prefetching([(source, [WHOLE])], access):
        pixels = pixels_of(source, WHOLE, access)

    assert np.array_equal(pixels, noise())
    assert not overlaps(spans(web))


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("block", [None, (1, 1)])
def test_pixels_and_damage_are_those_of_the_file_on_disk(
    web: WebServer, access: SourceAccess, layout: str, block: tuple[int, int] | None
) -> None:
    source = served(web, access, layout)
    if block is not None:
        x, y = (0, 60) if layout == "strips" else block
        damage(web.folder / "b.tif", x=x, y=y)
        source = replace(source, version=version_of(source, access))

    for window in (WHOLE, Window(500, 300, 300, 600), Window(1290, 1090, 10, 10)):
        here, known_here = read(web.folder / "b.tif", window, access)
        far, known_far = read_window(source, facts_of(source, access), window, access)
        assert np.array_equal(known_far, known_here)
        assert np.array_equal(far, here)
    assert known_here.all() or block is not None


def test_a_file_that_is_replaced_while_it_is_read_is_noticed(
    web: WebServer, access: SourceAccess
) -> None:
    source = served(web, access, "plain")
    pixels_of(source, Window(0, 0, 100, 100), access)
    other = noise()[::-1].copy()
    write_raster(web.folder / "b.tif", other, **PLAIN)

    with pytest.raises(SceneError) as caught:
        pixels_of(source, WHOLE, access)
    close_all()
    again = replace(source, version=version_of(source, access))

    assert caught.value.reason == "changed_since_inspection"
    assert np.array_equal(pixels_of(again, WHOLE, access), other)


def test_a_file_replaced_since_the_search_is_detected(web: WebServer, access: SourceAccess) -> None:
    source = served(web, access)
    write_raster(web.folder / "b.tif", noise()[::-1].copy(), **LAYOUTS["tiled-256"])

    with pytest.raises(SceneError) as caught:
        pixels_of(source, WHOLE, access)

    assert caught.value.reason == "changed_since_inspection"


def test_what_did_not_arrive_does_not_count_as_read(web: WebServer, access: SourceAccess) -> None:
    source = served(web, access, "plain")
    facts = facts_of(source, access)
    web.only = lambda request: request.headers.get("range", "bytes=0-") > "bytes=1"
    web.always[PATH] = "truncate"
    with pytest.raises(SourceUnavailableError):
        read_window(source, facts, WHOLE, access)
    del web.always[PATH]

    assert np.array_equal(pixels_of(source, WHOLE, access), noise())


def test_bytes_damaged_on_this_machine_are_fetched_once_more(
    web: WebServer, access: SourceAccess
) -> None:
    source = served(web, access)
    pixels_of(source, WHOLE, access)
    close_all()
    (kept,) = access.cache_folder.iterdir()
    with kept.open("r+b") as file:
        file.seek(10 * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)

    pixels = pixels_of(source, WHOLE, access)

    assert np.array_equal(pixels, noise())


def test_a_redirect_is_followed_once_and_not_for_every_range(
    web: WebServer, access: SourceAccess
) -> None:
    write_raster(web.folder / "moved.tif", noise(), **LAYOUTS["tiled-256"])
    web.redirects["/r.tif"] = f"{web.url}/moved.tif?X-Amz-Signature=hush"
    source = source_of(f"{web.url}/r.tif")

    pixels = pixels_of(source, WHOLE, access)

    assert np.array_equal(pixels, noise())
    assert [each.method for each in web.asked_for("/r.tif")] == ["HEAD"]
    assert not overlaps([span for span in spans(web, "/moved.tif") if span[0] > 0])


def test_an_expired_link_is_signed_again(web: WebServer, access: SourceAccess) -> None:
    write_raster(web.folder / "moved.tif", noise(), **LAYOUTS["tiled-256"])
    web.redirects["/r2.tif"] = f"{web.url}/moved.tif"
    source = source_of(f"{web.url}/r2.tif", version="v", checksum="v")
    pixels_of(source, Window(0, 0, 100, 100), access)
    (web.folder / "moved.tif").rename(web.folder / "again.tif")
    web.redirects["/r2.tif"] = f"{web.url}/again.tif"

    pixels = pixels_of(source, WHOLE, access)

    assert np.array_equal(pixels, noise())
    assert web.asked_for("/again.tif")


def test_the_bound_of_the_cache_is_kept(web: WebServer, access: SourceAccess) -> None:
    small = replace(access, cache_bytes=4 << 20)
    for number in range(6):
        write_raster(web.folder / f"{number}.tif", noise(), **LAYOUTS["tiled-256"])
        source = source_of(f"{web.url}/{number}.tif")

        pixels_of(source, WHOLE, small)

        taken = sum(
            disk_bytes(path.stat()) for path in access.cache_folder.glob(f"*{SPARSE_SUFFIX}")
        )
        assert 0 < taken <= small.cache_bytes + 2 * PAGE_BYTES
    assert len(list(access.cache_folder.iterdir())) < 6


def test_a_file_that_made_room_is_fetched_again(web: WebServer, access: SourceAccess) -> None:
    source = served(web, access)
    pixels_of(source, Window(0, 0, 600, 600), access)
    for path in access.cache_folder.iterdir():
        path.unlink()

    pixels = pixels_of(source, WHOLE, access)

    assert np.array_equal(pixels, noise())
    assert len(list(access.cache_folder.iterdir())) == 1


def test_without_a_folder_to_write_scenes_are_read_as_they_lie(
    web: WebServer, access: SourceAccess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = served(web, access)
    (tmp_path / "file").touch()
    nowhere = replace(access, cache_folder=tmp_path / "file" / "cache")

    with caplog.at_level(logging.WARNING):
        pixels = [pixels_of(source, WHOLE, nowhere) for _ in range(2)]

    assert all(np.array_equal(each, noise()) for each in pixels)
    assert [record.message for record in caplog.records if "[scenes] cache" in record.message]


def test_a_server_without_ranges_is_read_from_one_whole_copy(
    web: WebServer, access: SourceAccess
) -> None:
    write_raster(web.folder / "b.tif", noise(), **LAYOUTS["tiled-256"])
    content = (web.folder / "b.tif").read_bytes()
    web.routes["/whole.tif"] = lambda _: (200, content)
    source = source_of(f"{web.url}/whole.tif")

    for window in (Window(0, 0, 100, 100), WHOLE):
        assert np.array_equal(pixels_of(source, window, access), noise()[window.slices_in(WHOLE)])
        close_all()

    asked = [request.method for request in web.asked_for("/whole.tif")]
    assert asked == ["HEAD", "GET", "GET"]  # the redirects, the beginning, the whole
