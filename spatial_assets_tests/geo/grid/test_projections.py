"""Central meridians, and CRSs that repeat after 360 degrees."""

from __future__ import annotations

import math

import pytest
from pyproj import CRS

from spatial_assets.geo.grid.projections import central_meridian, full_turn


@pytest.mark.parametrize(
    ("crs", "meridian"),
    [
        ("EPSG:32633", 15.0),
        ("EPSG:32733", 15.0),
        ("EPSG:32601", -177.0),
        ("EPSG:3995", 0.0),
        ("EPSG:2154", 3.0),
        ("EPSG:4326", math.inf),
    ],
)
def test_the_meridian_of_a_zone(crs: str, meridian: float) -> None:
    assert central_meridian(CRS(crs)) == pytest.approx(meridian)


@pytest.mark.parametrize(
    ("crs", "turn"),
    [
        pytest.param("EPSG:4326", 360.0, id="degrees"),
        pytest.param("EPSG:4807", 400.0, id="grads"),
        pytest.param("EPSG:3857", 40075016.685578488, id="web-mercator"),
        pytest.param("EPSG:3832", 40075016.685578488, id="mercator-around-150-east"),
        pytest.param("EPSG:6933", 34735060.89, id="equal-area-cylinder"),
        pytest.param("EPSG:32633", None, id="transverse-mercator"),
        pytest.param("EPSG:3995", None, id="polar"),
        pytest.param("EPSG:28992", None, id="oblique-stereographic"),
    ],
)
def test_upright_cylinders_repeat_and_others_do_not(crs: str, turn: float | None) -> None:
    assert full_turn(CRS(crs)) == pytest.approx(turn)
