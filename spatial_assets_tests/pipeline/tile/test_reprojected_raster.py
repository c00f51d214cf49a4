"""Reflectance of a scene on the pixels of a tile, on rasters that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.geo.clear_sky import ClearClasses
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.radiometry import FILL, Calibration
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.pipeline.tile.reprojected_raster import reproject
from spatial_assets_tests.fixtures.raw_scenes import WholeBand, raw_of, record_of

UTM = CRS(32633)
CLEAR = ClearClasses(frozenset({4}))
STEPS = Calibration(1e-4, 0.0)
LAND, CLOUD = 4, 9
RED = np.array([[100, 200, 300], [400, 500, 600], [700, 800, 900]], dtype=np.uint16)


def grid(size: float, shape: tuple[int, int]) -> SourceGrid:
    transform = Affine(size, 0, 500000, 0, -size, 5000000)
    return SourceGrid(transform=transform, width=shape[1], height=shape[0], crs=UTM)


def target(shape: tuple[int, int], *, size: float, right: float = 0.0) -> GeoBox:
    """Pixels of `size` metres from the grid's corner, moved to the right by metres."""
    window = Window(0, 0, shape[1], shape[0])
    return GeoBox(window, Affine(size, 0, 500000 + right, 0, -size, 5000000), UTM)


def warped(
    box: GeoBox, sizes: tuple[float, float, float] = (10, 10, 10), **pixels: NDArray[np.generic]
) -> list[list[list[int]]]:
    """Stored reflectance of red and nir; `sizes` are the pixels of red, nir and the classes."""
    names = ("red", "nir", "scl")
    bands = {
        name: WholeBand(
            pixels[name], grid(size, pixels[name].shape), None if name == "scl" else STEPS
        )
        for name, size in zip(names, sizes, strict=True)
    }
    record = record_of(bands, box, class_band="scl")
    stored: list[list[list[int]]] = reproject(
        record, raw_of(record, bands, box, CLEAR), box=box, clear=CLEAR
    ).tolist()
    return stored


def classes(*clouds: tuple[int, int], shape: tuple[int, int] = (3, 3)) -> NDArray[np.uint8]:
    scl = np.full(shape, LAND, dtype=np.uint8)
    for at in clouds:
        scl[at] = CLOUD
    return scl


def test_a_cloud_has_no_weight_in_its_neighbours() -> None:
    """A quarter of a pixel to the right: 3/4 own, 1/4 right; without the cloud, all own."""
    box = target((3, 2), size=10, right=2.5)

    red, nir = warped(box, red=RED, nir=RED + 1000, scl=classes((1, 1)))

    assert red == [[125, 225], [400, FILL], [725, 825]]
    assert nir == [[1125, 1225], [1400, FILL], [1725, 1825]]


@pytest.mark.parametrize("missing", ["red", "nir"])
def test_a_pixel_missing_in_one_band_has_no_weight_in_any(missing: str) -> None:
    red_dn, nir_dn = RED.copy(), (RED + 1000).astype(np.uint16)
    {"red": red_dn, "nir": nir_dn}[missing][1, 1] = 0

    red, nir = warped(target((3, 2), size=10, right=2.5), red=red_dn, nir=nir_dn, scl=classes())

    assert red == [[125, 225], [400, FILL], [725, 825]]
    assert nir == [[1125, 1225], [1400, FILL], [1725, 1825]]


def test_a_number_that_is_no_reflectance_has_no_weight() -> None:
    red = (RED * 1.0).astype(np.float32)
    red[1, 1] = np.inf
    red[0, 1] = 1e30

    found, _ = warped(target((3, 2), size=10, right=2.5), red=red, nir=RED, scl=classes())

    assert found == [[100, FILL], [400, FILL], [725, 825]]


def test_the_mean_leaves_clouds_out_of_all_bands() -> None:
    box = target((1, 1), size=30)

    assert warped(box, red=RED, nir=RED + 1000, scl=classes()) == [[[500]], [[1500]]]
    assert warped(box, red=RED, nir=RED + 1000, scl=classes((2, 2))) == [[[450]], [[1450]]]


def test_an_averaged_band_and_a_bilinear_one_see_the_same_sky() -> None:
    """Red of 10 m is averaged to 30 m, nir of 20 m is not; the classes have 10 m.

    Each coarse pixel with a cloud in it is left out of both bands, so that neither the red nor
    the nir of the hazy corner counts.
    """
    red = np.full((12, 12), 300, dtype=np.uint16)
    nir = np.full((6, 6), 3000, dtype=np.uint16)
    red[6:, 6:], nir[3:, 3:] = 900, 1000
    hazy = classes(*[(row, column) for row in range(6, 12) for column in range(6, 12, 2)],
                   shape=(12, 12))  # fmt: skip

    found, other = warped(target((4, 4), size=30), (10, 20, 10), red=red, nir=nir, scl=hazy)

    assert {value for row in found for value in row} == {300, FILL}
    assert {value for row in other for value in row} == {3000, FILL}
    assert [[value == FILL for value in row] for row in found] == [
        [value == FILL for value in row] for row in other
    ]
    assert sum(value == FILL for row in found for value in row) == 4
