"""Windows read from a failing server: an unavailable file is not a damaged one."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.windows import read_window
from spatial_assets.catalog.scene_facts import BandFacts
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
from spatial_assets_tests.fixtures.scene_factory import QUICK, source_of, write_raster
from spatial_assets_tests.fixtures.web_server import Fault, Request, WebServer


def on_the_web(web: WebServer, layout: str = "tiled-256") -> str:
    write_raster(web.folder / "b.tif", noise(), **LAYOUTS[layout])
    return f"{web.url}/b.tif"


def test_a_window_is_streamed_by_ranges(web: WebServer, access: SourceAccess) -> None:
    url = on_the_web(web)

    pixels, readable = read(url, Window(0, 0, 200, 200), access)

    assert readable.all()
    assert np.array_equal(pixels, noise()[:200, :200])
    gets = [request for request in web.asked_for("/b.tif") if request.method == "GET"]
    assert all("range" in request.headers for request in gets)
    assert {request.path for request in web.requests} == {"/b.tif"}, "no sidecars, no listing"


@pytest.mark.parametrize(
    "fault", [[503, 503], ["reset"], ["truncate"], [500, "reset", "truncate", 429]]
)
def test_transient_errors_cost_no_pixel(
    web: WebServer, access: SourceAccess, fault: list[Any]
) -> None:
    url = on_the_web(web)
    source = source_of(url)
    facts = facts_of(source, access)
    web.faults["/b.tif"] = list(fault)

    pixels, readable = read_window(source, facts, Window(600, 600, 300, 300), access)

    assert readable.all()
    assert np.array_equal(pixels, noise()[600:900, 600:900])


@pytest.mark.parametrize("fault", [503, 500, "reset"])
def test_permanent_errors_are_an_unavailable_archive_and_no_bad_block(
    web: WebServer,
    access: SourceAccess,
    fault: Any,  # noqa: ANN401
) -> None:
    url = on_the_web(web)
    source = source_of(url)
    facts = facts_of(source, access)
    web.always["/b.tif"] = fault

    with pytest.raises(SourceUnavailableError):
        read_window(source, facts, Window(600, 600, 300, 300), access)


def beyond_the_header(request: Request) -> bool:
    start = request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
    return int(start) > 100_000


@pytest.mark.parametrize("fault", [503, "reset", "truncate"])
def test_a_server_that_gives_the_header_and_no_pixels_is_away(
    web: WebServer, access: SourceAccess, fault: Fault
) -> None:
    url = on_the_web(web)
    source = source_of(url)
    facts = facts_of(source, access)
    web.only, web.always["/b.tif"] = beyond_the_header, fault

    with pytest.raises(SourceUnavailableError):
        read_window(source, facts, Window(600, 600, 300, 300), access)


@pytest.mark.parametrize("times", [1, 3, 6])
def test_pixels_that_arrive_late_are_pixels(
    web: WebServer, access: SourceAccess, times: int
) -> None:
    url = on_the_web(web)
    source = source_of(url)
    facts = facts_of(source, access)
    web.only, web.faults["/b.tif"] = beyond_the_header, ["reset"] * times

    pixels, readable = read_window(source, facts, Window(600, 600, 300, 300), access)

    assert readable.all()
    assert np.array_equal(pixels, noise()[600:900, 600:900])


@pytest.mark.parametrize("seed", range(6))
def test_over_a_bad_line_no_good_block_is_called_damaged(
    web: WebServer, access: SourceAccess, seed: int
) -> None:
    url = on_the_web(web, "tiled-512")
    damage(web.folder / "b.tif", x=0, y=0)
    source = source_of(url)
    facts = facts_of(source, access)
    patient = replace(access, retry_policy=replace(QUICK, attempts=12))
    odds = random.Random(seed)  # noqa: S311 - the same faults every time
    web.only = lambda _: odds.random() < 0.25
    web.always["/b.tif"] = odds.choice([503, "reset", "truncate"])

    pixels, readable = read_window(source, facts, Window(0, 0, COLUMNS, ROWS), patient)

    assert np.array_equal(pixels[readable], noise()[readable])
    assert not readable[:512, :512].any()
    assert readable[512:].all()
    assert readable[:, 512:].all()


@pytest.mark.parametrize("seed", range(6))
def test_over_a_bad_line_no_wrong_pixel_arrives_uncompressed(
    web: WebServer, access: SourceAccess, seed: int
) -> None:
    write_raster(web.folder / "b.tif", noise(), blockysize=16)
    source = source_of(f"{web.url}/b.tif")
    facts = facts_of(source, access)
    patient = replace(access, retry_policy=replace(QUICK, attempts=12))
    odds = random.Random(seed)  # noqa: S311 - the same faults every time
    web.only = lambda _: odds.random() < 0.25
    web.always["/b.tif"] = odds.choice(["reset", "truncate"])

    pixels, readable = read_window(source, facts, Window(0, 0, COLUMNS, ROWS), patient)

    assert readable.all()
    assert np.array_equal(pixels, noise())


def test_a_503_is_not_remembered_as_a_missing_file(web: WebServer, access: SourceAccess) -> None:
    url = on_the_web(web)
    web.always["/b.tif"] = 503
    with pytest.raises(SourceUnavailableError):
        read_window(source_of(url), FACTS, Window(0, 0, 8, 8), access)
    del web.always["/b.tif"]

    pixels, _ = read(url, Window(0, 0, 8, 8), access)

    assert np.array_equal(pixels, noise()[:8, :8])


def test_a_damaged_block_behind_a_good_server_is_unreadable(
    web: WebServer, access: SourceAccess
) -> None:
    url = on_the_web(web, "tiled-512")
    damage(web.folder / "b.tif", x=1, y=1)

    _, readable = read(url, Window(400, 400, 300, 300), access)

    assert readable[:112].all()
    assert not readable[112:, 112:].any()


def test_a_file_cut_short_behind_a_good_server_is_partly_unreadable(
    web: WebServer, access: SourceAccess
) -> None:
    url = on_the_web(web, "tiled-512")
    path = web.folder / "b.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    _, readable = read(url, Window(0, 0, COLUMNS, ROWS), access)

    assert readable[0, 0]
    assert not readable[-1, -1]


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "missing_object"), (403, "forbidden"), (410, "missing_object")]
)
def test_a_forbidden_file_differs_from_an_unavailable_one(
    web: WebServer, access: SourceAccess, status: int, reason: str
) -> None:
    url = on_the_web(web)
    web.always["/b.tif"] = status

    with pytest.raises(SceneError) as caught:
        read_window(source_of(url), FACTS, Window(0, 0, 8, 8), access)

    assert caught.value.reason == reason


FACTS = BandFacts(
    grid=None,  # type: ignore[arg-type]  # the file is never opened
    dtype="uint16",
    nodata=None,
    kernel="bilinear",
    calibration=None,
    block=(256, 256),
    driver="GTiff",
)
