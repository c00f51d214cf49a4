"""Coordinates: as exact as pyproj, and invalid or exact where a cubic cannot be right."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.warp.lattice import Lattice, SourceCoordinates, pixel_coordinates
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets_tests.geo.warp_cases import make_case, matrix_origin, source_grid


def places_and_exact(
    source: SourceGrid, target: GeoBox, *, shift: float = 0.5
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(column, row) of ours and of pyproj, point by point."""
    places = SourceCoordinates(source, Lattice.around(target, source.crs))
    window = target.window
    ours = places.centres(window) if shift else places.corners(window)
    extra = 0 if shift else 1
    u, v = np.meshgrid(
        np.arange(window.column, window.column_stop + extra) + shift,
        np.arange(window.row, window.row_stop + extra) + shift,
    )
    return np.stack(ours), np.stack(pixel_coordinates(source, target, u, v=v))


@pytest.mark.parametrize("shift", [0.0, 0.5], ids=["corners", "centres"])
@pytest.mark.parametrize(
    ("crs", "centre", "size", "zoom"),
    [
        pytest.param("EPSG:32633", (450000, 5100000), 10.0, 14, id="10m"),
        pytest.param("EPSG:32633", (450000, 5100000), 120.0, 10, id="150m-pixels"),
        pytest.param("EPSG:3995", (1500000, -900000), 250.0, 8, id="polar"),
    ],
)
def test_places_are_exact_to_a_millionth_of_a_pixel(
    crs: str, centre: tuple[float, float], size: float, *, zoom: int, shift: float
) -> None:
    case = make_case(source_grid(crs, centre, size=size, pixels=300), "WebMercatorQuad", zoom)

    ours, exact = places_and_exact(case.source, case.target, shift=shift)

    assert np.abs(ours - exact).max() < 1e-6


def test_between_nodes_a_straight_line_would_err_by_thousandths_of_a_pixel() -> None:
    """Why the lattice is cubic: what linear interpolation does to the 150 m pixels of the demo."""
    case = make_case(
        source_grid("EPSG:32633", (450000, 5100000), size=120, pixels=300), "WebMercatorQuad", 10
    )
    column = case.target.window.column // 32 * 32 + np.array([0.0, 16.0, 32.0])
    row = np.full(3, float(case.target.window.row))

    _, rows = pixel_coordinates(case.source, case.target, column, v=row)

    assert abs((rows[0] + rows[2]) / 2 - rows[1]) > 1e-3


def test_over_the_pole_places_are_exact_and_not_smeared() -> None:
    cap = SourceGrid(
        transform=Affine(0.9, 0, -180, 0, -0.0125, 90), width=400, height=400, crs=CRS(4326)
    )
    crs, origin = matrix_origin("UPSArcticWGS84Quad", 7)
    column, row = ~origin @ (2000000.0, 2000000.0)
    target = GeoBox(Window(round(column) - 100, round(row) - 100, 200, 200), origin, crs)

    ours, exact = places_and_exact(cap, target)

    assert SourceCoordinates(cap, Lattice.around(target, cap.crs)).irregular.any()
    assert np.abs(ours - exact).max() < 1e-3


def test_where_the_projection_ends_there_is_no_place() -> None:
    """A quarter of the way round the globe from zone 33, transverse Mercator has no answer."""
    source = source_grid("EPSG:32633", (500000, 5100000), size=10, pixels=100)
    crs, origin = matrix_origin("WebMercatorQuad", 4)
    target = GeoBox(Window(0, 2040, 4096, 16), origin, crs)

    ours, exact = places_and_exact(source, target)

    lost = ~np.isfinite(exact[0])
    assert lost.any()
    assert not np.isfinite(ours[0][lost]).any()
    known = np.isfinite(ours[0])
    near = known & (np.abs(exact[0] - 50) < 1e5)
    assert near.any()
    assert np.abs(ours - exact)[:, near].max() < 1.0  # of pixels 1000 times finer than the target


def test_two_crss_without_a_way_between_them_are_refused() -> None:
    crs, origin = matrix_origin("WebMercatorQuad", 10)
    moon = CRS.from_proj4("+proj=longlat +R=1737400 +no_defs")

    with pytest.raises(RasterError, match="no transformation") as caught:
        Lattice.around(GeoBox(Window(0, 0, 8, 8), origin, crs), moon)

    assert caught.value.reason == "no_transformation"


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        pytest.param(Affine(10, 1, 0, 0, -10, 0), "rotated_grid", id="rotated"),
        pytest.param(Affine(0, 0, 0, 0, -10, 0), "bad_grid", id="no-width"),
        pytest.param(Affine(float("nan"), 0, 0, 0, -10, 0), "bad_grid", id="nan"),
    ],
)
def test_a_grid_that_cannot_be_sampled_is_refused(transform: Affine, reason: str) -> None:
    with pytest.raises(RasterError) as caught:
        SourceGrid(transform=transform, width=3, height=3, crs=CRS(32633))

    assert caught.value.reason == reason
