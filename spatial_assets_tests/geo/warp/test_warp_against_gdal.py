"""The kernels against GDAL's, from grids of all kinds."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.geo.warp.warp import choose_kernel
from spatial_assets_tests.geo.warp_cases import Case, make_case, matrix_origin, source_grid

REFLECTANCE_OF_A_STEP = 1e-4

UTM33 = source_grid("EPSG:32633", (500000, 5100000), size=10, pixels=400)
UTM33_EDGE = source_grid("EPSG:32633", (760000, 5100000), size=10, pixels=400)
S2_DEMO = source_grid("EPSG:32633", (450000, 5100000), size=120, pixels=400)
POLAR_CAP = SourceGrid(
    transform=Affine(0.9, 0.0, -180.0, 0.0, -0.0125, 90.0), width=400, height=400, crs=CRS(4326)
)

BILINEAR = [
    pytest.param(UTM33, "WebMercatorQuad", 15, id="utm-ratio-0.3"),
    pytest.param(UTM33, "WebMercatorQuad", 14, id="utm-ratio-0.7"),
    pytest.param(UTM33_EDGE, "WebMercatorQuad", 13, id="utm-edge-ratio-1.3"),
    pytest.param(S2_DEMO, "WebMercatorQuad", 10, id="utm-120m-of-150m"),
    pytest.param(
        source_grid("EPSG:32719", (400000, 7000000), size=10, pixels=400),
        "WebMercatorQuad", 14, id="utm-south",
    ),
    pytest.param(
        source_grid("EPSG:32618", (500000, -300000), size=30, pixels=400),
        "WebMercatorQuad", 12, id="south-with-northern-code",
    ),
    pytest.param(
        source_grid("EPSG:3995", (1500000, -900000), size=120, pixels=400),
        "WebMercatorQuad", 8, id="arctic-stereographic",
    ),
    pytest.param(
        source_grid("EPSG:3031", (1500000, 900000), size=300, pixels=400),
        "WebMercatorQuad", 7, id="antarctic-stereographic",
    ),
    pytest.param(
        source_grid("EPSG:32661", (2500000, 1500000), size=100, pixels=400),
        "WebMercatorQuad", 8, id="axes-that-both-point-south",
    ),
    pytest.param(
        source_grid("EPSG:4326", (14.5, 46.5), size=0.001, pixels=400),
        "WebMercatorQuad", 10, id="lonlat",
    ),
    pytest.param(
        source_grid("EPSG:4326", (14.5, 46.5), size=0.001, pixels=400, south_up=True),
        "WebMercatorQuad", 10, id="lonlat-south-up",
    ),
    pytest.param(
        source_grid("EPSG:32633", (500000, 5100000), size=10, pixels=400, south_up=True),
        "WebMercatorQuad", 14, id="utm-south-up",
    ),
    pytest.param(
        source_grid("EPSG:32660", (815000, 1800000), size=60, pixels=400),
        "WebMercatorQuad", 11, id="zone-60-at-the-antimeridian",
    ),
    pytest.param(
        source_grid("EPSG:32701", (185000, 8100000), size=60, pixels=400),
        "WebMercatorQuad", 11, id="zone-1-at-the-antimeridian",
    ),
    pytest.param(UTM33, "EuropeanETRS89_LAEAQuad", 13, id="laea-tiles"),
    pytest.param(UTM33, "WorldCRS84Quad", 12, id="lonlat-tiles"),
    pytest.param(POLAR_CAP, "UPSArcticWGS84Quad", 7, id="lonlat-to-polar-tiles"),
]  # fmt: skip

AVERAGE = [
    pytest.param(
        source_grid("EPSG:32633", (650000, 5100000), size=10, pixels=1200),
        "WebMercatorQuad", 12, id="utm-ratio-2.6",
    ),
    pytest.param(
        source_grid("EPSG:32633", (650000, 5100000), size=10, pixels=3000),
        "WebMercatorQuad", 10, id="utm-ratio-10",
    ),
    pytest.param(
        source_grid("EPSG:4326", (14.5, 46.5), size=0.0005, pixels=1200),
        "WebMercatorQuad", 9, id="lonlat-ratio-5",
    ),
    pytest.param(
        source_grid("EPSG:3031", (150000, 1900000), size=30, pixels=1200),
        "WebMercatorQuad", 9, id="antarctic-turned-by-5-degrees",
    ),
]  # fmt: skip


def _agreement(case: Case, *, kernel: str, interior: int) -> tuple[float, float, float, float]:
    """Share with equal validity; share of values and of pixels compared; largest difference."""
    values, valid = case.cut(case.target, kernel=kernel)
    wanted, known = case.by_gdal(kernel=kernel)
    both = valid & known & _inside(case, interior)
    differences = np.abs(values - wanted)[both] * REFLECTANCE_OF_A_STEP
    same = (valid == known)[_inside(case, interior)]
    close = differences <= REFLECTANCE_OF_A_STEP
    return float(same.mean()), float(close.mean()), float(both.mean()), float(differences.max())


def _inside(case: Case, margin: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """True where a target pixel lies at least `margin` source pixels inside the file."""
    grid = case.source
    whole = np.ones((grid.height, grid.width), dtype=np.uint16)
    if margin:
        whole[:margin], whole[-margin:], whole[:, :margin], whole[:, -margin:] = 0, 0, 0, 0
    _, valid = Case(grid, case.target, whole).cut(case.target, kernel="bilinear")
    return valid


@pytest.mark.parametrize(("source", "tiles", "zoom"), BILINEAR)
def test_bilinear_is_gdals_where_the_target_is_no_coarser_than_twice(
    source: SourceGrid, tiles: str, zoom: int
) -> None:
    case = make_case(source, tiles, zoom)

    same, close, compared, largest = _agreement(case, kernel="bilinear", interior=0)

    assert choose_kernel(source, case.target) == "bilinear"
    assert compared > 0.2
    assert same >= 0.9999
    assert close >= 0.9999
    assert largest < 1e-4


@pytest.mark.parametrize(("source", "tiles", "zoom"), AVERAGE)
def test_the_mean_of_a_coarse_pixel_is_gdals(source: SourceGrid, tiles: str, zoom: int) -> None:
    case = make_case(source, tiles, zoom)

    same, close, compared, _ = _agreement(case, kernel="average", interior=12)

    assert choose_kernel(source, case.target) == "average"
    assert compared > 0.2
    # GDAL calls a pixel valid for a single valid contributor, we for half of them: the two
    # differ along the rim of a hole.
    assert same >= 0.99
    assert close >= 0.999


@pytest.mark.parametrize(
    ("crs", "metres_per_degree"),
    [
        pytest.param("EPSG:4326", 1.0, id="lonlat"),
        pytest.param("EPSG:3857", 111319.49079327357, id="web-mercator"),
    ],
)
def test_a_scene_across_the_antimeridian_reaches_both_ends_of_the_matrix(
    crs: str, metres_per_degree: float
) -> None:
    """Columns of 0.002 degrees around 180 degrees east, numbered."""
    source = source_grid(
        crs, (180.0 * metres_per_degree, 0.0), size=0.002 * metres_per_degree, pixels=400
    )
    plane = (1000 + np.arange(400)[np.newaxis, :] + np.zeros((400, 1))).astype(np.uint16)
    grid_crs, origin = matrix_origin("WebMercatorQuad", 9)
    width = 2**9 * 256
    found = [
        Case(source, target, plane).cut(target, kernel="bilinear")
        for left in (width - 60, 0)
        for target in [GeoBox(Window(left, width // 2 - 20, 60, 40), origin, grid_crs)]
    ]

    degrees = (np.arange(-60, 60) + 0.5) * 360.0 / width
    wanted = 1000 + degrees / 0.002 + 200 - 0.5
    values = np.concatenate([values for values, _ in found], axis=1)

    assert all(valid.all() for _, valid in found)
    assert np.abs(values - wanted).max() < 1e-3
