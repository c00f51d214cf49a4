"""How much a host is asked at a time."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from spatial_assets.catalog.access.rate_limit import FIRST, MOST, HostLimiter, crowd_at
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.geo.grid.geobox import Window
from spatial_assets_tests.catalog.making import write_raster
from spatial_assets_tests.catalog.reading import LAYOUTS, noise, read
from spatial_assets_tests.catalog.web import Web


def test_one_refusal_halves_the_number_and_so_does_a_whole_flight_of_them() -> None:
    crowd = HostLimiter()

    with contextlib.ExitStack() as flight:
        for _ in range(4):
            flight.enter_context(crowd.turn())
        for _ in range(4):
            crowd.record(503)
    assert crowd.allowed == FIRST / 2

    crowd.record(429)
    assert crowd.allowed == FIRST / 4


def test_answers_raise_the_number_again_up_to_a_bound_and_refusals_leave_one() -> None:
    crowd = HostLimiter()
    for _ in range(20):
        crowd.record(503)
    assert crowd.allowed == 1.0

    crowd.record(206)
    assert crowd.allowed == 2.0
    for _ in range(1000):
        crowd.record(206)
    assert crowd.allowed == MOST


def test_no_more_ask_at_a_time_than_are_allowed() -> None:
    crowd, most, lock = HostLimiter(), [0, 0], threading.Lock()
    crowd.record(503)

    def ask() -> None:
        with crowd.turn():
            with lock:
                most[0] += 1
                most[1] = max(most)
            threading.Event().wait(0.002)
            with lock:
                most[0] -= 1

    with ThreadPoolExecutor(12) as pool:
        for _ in range(40):
            pool.submit(ask)

    assert most == [0, int(FIRST / 2)]


def test_a_server_that_says_slow_down_is_asked_less_and_gives_all_pixels(
    web: Web, access: SourceAccess
) -> None:
    write_raster(web.folder / "b.tif", noise(), **LAYOUTS["tiled-256"])
    url = f"{web.url}/b.tif"
    web.only = lambda request: request.method == "GET"
    web.faults["/b.tif"] = [503, 503]

    pixels, readable = read(url, Window(0, 0, 600, 600), access)

    assert readable.all()
    assert np.array_equal(pixels, noise()[:600, :600])
    assert crowd_at(url).allowed < FIRST
