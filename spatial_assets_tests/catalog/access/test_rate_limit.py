"""Concurrent requests to one host."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from spatial_assets.catalog.access.rate_limit import (
    INITIAL_REQUESTS,
    MAX_REQUESTS,
    HostLimiter,
    limiter_of,
)
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.geo.grid.geobox import Window
from spatial_assets_tests.catalog.noise_rasters import LAYOUTS, noise, read
from spatial_assets_tests.fixtures.scene_factory import write_raster
from spatial_assets_tests.fixtures.web_server import WebServer


def test_one_refusal_halves_the_number_and_so_does_a_whole_flight_of_them() -> None:
    limiter = HostLimiter()

    with contextlib.ExitStack() as flight:
        for _ in range(4):
            flight.enter_context(limiter.slot())
        for _ in range(4):
            limiter.record(503)
    assert limiter.allowed == INITIAL_REQUESTS / 2

    limiter.record(429)
    assert limiter.allowed == INITIAL_REQUESTS / 4


def test_answers_raise_the_number_again_up_to_a_bound_and_refusals_leave_one() -> None:
    limiter = HostLimiter()
    for _ in range(20):
        limiter.record(503)
    assert limiter.allowed == 1.0

    limiter.record(206)
    assert limiter.allowed == 2.0
    for _ in range(1000):
        limiter.record(206)
    assert limiter.allowed == MAX_REQUESTS


def test_no_more_ask_at_a_time_than_are_allowed() -> None:
    limiter, most, lock = HostLimiter(), [0, 0], threading.Lock()
    limiter.record(503)

    def ask() -> None:
        with limiter.slot():
            with lock:
                most[0] += 1
                most[1] = max(most)
            threading.Event().wait(0.002)
            with lock:
                most[0] -= 1

    with ThreadPoolExecutor(12) as pool:
        for _ in range(40):
            pool.submit(ask)

    assert most == [0, int(INITIAL_REQUESTS / 2)]


def test_a_server_that_asks_to_slow_down_gets_fewer_requests_and_gives_all_pixels(
    web: WebServer, access: SourceAccess
) -> None:
    write_raster(web.folder / "b.tif", noise(), **LAYOUTS["tiled-256"])
    url = f"{web.url}/b.tif"
    web.only = lambda request: request.method == "GET"
    web.faults["/b.tif"] = [503, 503]

    pixels, readable = read(url, Window(0, 0, 600, 600), access)

    assert readable.all()
    assert np.array_equal(pixels, noise()[:600, :600])
    assert limiter_of(url).allowed < INITIAL_REQUESTS
