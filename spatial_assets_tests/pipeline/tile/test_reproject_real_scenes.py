"""The real scenes against GDAL: reflectance of the pixels that count, everything else nodata.

Both kernels, and bands of two resolutions, of which one is averaged and the other is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.enums import Resampling

from spatial_assets.geo.clear_sky import (
    ClearBits,
    ClearClasses,
    ClearSky,
    CloudBuffer,
    CloudClasses,
)
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.radiometry import FILL, Calibration
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.pipeline.tile.reprojected_raster import reproject
from spatial_assets_tests.fixtures.gdal_reference import warped_array
from spatial_assets_tests.fixtures.raw_scenes import WholeBand, raw_of, record_of
from spatial_assets_tests.geo.warp_cases import matrix_origin

pytestmark = pytest.mark.samples

MARGIN = 16
SIZE = 384
"""Largest side of the windows compared; whole scenes say the same, and take a minute."""

Bands = Mapping[str, WholeBand]


@dataclass(frozen=True)
class Archive:
    """Files of the scenes of one archive, and a zoom at which they are averaged."""

    pattern: str
    bands: tuple[str, str, str]
    calibration: Calibration
    clear: ClearSky
    coarse_zoom: int
    """Red and nir are averaged here, and pixels twice as large are not; two zooms on they are
    sampled bilinearly."""


SENTINEL = Archive(
    pattern="scenes/sentinel-2-l2a/{scene}/{band}.tif",
    bands=("B04", "B08", "SCL"),
    calibration=Calibration(1e-4, 0.0),
    clear=ClearClasses(frozenset({4, 5, 6, 7})),
    coarse_zoom=8,
)
LANDSAT = Archive(
    pattern="scenes/landsat-c2-l2/{scene}/{scene}_{band}.TIF",
    bands=("SR_B4", "SR_B5", "QA_PIXEL"),
    calibration=Calibration(2.75e-5, -0.2),
    clear=ClearBits((0, 1, 2, 3, 4, 5)),
    coarse_zoom=7,
)
SCENES = [
    (SENTINEL, "S2A_33TWL_20230818_0_L2A"),
    (SENTINEL, "S2A_33TWM_20230818_0_L2A"),
    (SENTINEL, "S2B_33TWL_20230810_0_L2A"),
    (SENTINEL, "S2B_33TWL_20230813_0_L2A"),
    (SENTINEL, "S2B_33TWM_20230810_0_L2A"),
    (SENTINEL, "S2B_33TWM_20230813_0_L2A"),
    (LANDSAT, "LC08_L2SP_008059_20191201_20200825_02_T1"),
]


def bands_of(archive: Archive, scene: str, samples: Path) -> dict[str, WholeBand]:
    found = {}
    for name, band in zip(("red", "nir", "scl"), archive.bands, strict=True):
        with rasterio.open(samples / archive.pattern.format(scene=scene, band=band)) as opened:
            grid = SourceGrid(
                transform=opened.transform, width=opened.width, height=opened.height,
                crs=CRS.from_wkt(opened.crs.to_wkt()),
            )  # fmt: skip
            found[name] = WholeBand(opened.read(1), grid)
    scale = archive.calibration
    return {
        name: band if name == "scl" else replace(band, calibration=scale)
        for name, band in found.items()
    }


def halved(band: WholeBand) -> WholeBand:
    """Means of two by two pixels, on a grid of twice the pixel size; fill where one is fill."""
    rows, columns = (size // 2 * 2 for size in band.pixels.shape)
    parts = [band.pixels[r:rows:2, c:columns:2].astype(float) for r in (0, 1) for c in (0, 1)]
    mean = np.where(np.all(np.stack(parts) > 0, axis=0), np.rint(sum(parts) / 4), 0)
    grid = replace(
        band.grid,
        transform=band.grid.transform @ Affine.scale(2.0),
        width=columns // 2,
        height=rows // 2,
    )
    return replace(band, pixels=mean.astype(band.pixels.dtype), grid=grid)


def around(grid: SourceGrid, zoom: int) -> GeoBox:
    """The web-mercator window of the middle of a scene; of all of it at a coarse zoom."""
    crs, origin = matrix_origin("WebMercatorQuad", zoom)
    far = grid.transform @ (grid.width, grid.height)
    bounds = Transformer.from_crs(grid.crs, crs, always_xy=True).transform_bounds(
        grid.transform.c, far[1], far[0], grid.transform.f
    )
    left, top = ~origin @ (bounds[0], bounds[3])
    right, bottom = ~origin @ (bounds[2], bounds[1])
    window = Window(int(left), int(top), int(right - left) + 1, int(bottom - top) + 1)
    middle = Window(
        window.column + (window.width - SIZE) // 2,
        window.row + (window.height - SIZE) // 2,
        SIZE,
        SIZE,
    )
    return GeoBox(window.intersection(middle) or window, origin, crs)


def expected(
    band: WholeBand, counted: NDArray[np.bool_], box: GeoBox, kernel: str
) -> NDArray[np.int16]:
    """Stored reflectance by GDAL, `FILL` where invalid.

    The file is extended by pixels that do not count: at its edge GDAL's mean is not the one of the
    pixels under the footprint.
    """
    numbers, counted = np.pad(band.pixels, MARGIN), np.pad(counted, MARGIN)
    transform = band.grid.transform @ Affine.translation(-MARGIN, -MARGIN)
    profile = {"crs": band.grid.crs.to_wkt(), "transform": transform}
    place, shape = Affine(*box.transform[:6]), box.window.shape
    values, known = warped_array(
        np.where(counted, numbers, 0), profile,
        place=place, shape=shape, resampling=Resampling[kernel],
    )  # fmt: skip
    if kernel == "average":  # GDAL is content with a single pixel
        share, _ = warped_array(
            counted.astype(np.float32), profile,
            place=place, shape=shape, resampling=Resampling.average, nodata=None,
        )  # fmt: skip
        known = known & (share >= 0.5)
    assert band.calibration is not None
    value = values * np.float64(band.calibration.scale) + band.calibration.offset
    known = known & (np.abs(value) < 3.27675)
    return np.where(known, np.rint(np.where(known, value, 0) * 1e4), FILL).astype(np.int16)


def assert_equal(
    bands: Bands, archive: Archive, zoom: int, *, counted: Mapping[str, NDArray[np.bool_]]
) -> None:
    """In 99.9 % of the pixels of a band the stored number is that of GDAL, and valid alike."""
    box = around(bands["red"].grid, zoom)
    record = record_of(bands, box, class_band="scl")

    raw = raw_of(record, bands, box, archive.clear)
    stored = reproject(record, raw, box=box, clear=archive.clear)

    wanted = np.stack(
        [
            expected(bands[name], counted[name], box, record.of_band(name).kernel)
            for name in record.bands
        ]
    )
    known = (wanted != FILL).all(axis=0)
    valid = stored[0] != FILL
    assert (valid == (stored[1] != FILL)).all()
    steps = np.abs(stored.astype(int) - wanted)[:, valid & known]
    equal = steps == 0
    print(  # noqa: T201 - figures for the report of a run with -s
        f"zoom {zoom}, {[record.of_band(name).kernel for name in record.bands]}: "
        f"equal {equal.mean():.4%} of {equal.size}, largest difference {steps.max()}, "
        f"valid alike {np.mean(valid == known):.4%}"
    )
    assert equal.size > 0.1 * valid.size * counted["red"].mean()
    assert equal.mean() >= 0.999
    assert np.mean(valid == known) >= 0.999


@pytest.mark.parametrize(("archive", "scene"), SCENES, ids=[scene for _, scene in SCENES])
def test_reflectance_is_gdals_of_the_pixels_that_count(
    samples: Path, archive: Archive, *, scene: str
) -> None:
    bands = bands_of(archive, scene, samples)
    red, nir, scl = (bands[name].pixels for name in ("red", "nir", "scl"))
    counted = (red != 0) & (nir != 0) & archive.clear.clear(scl)

    for zoom in (archive.coarse_zoom + 2, archive.coarse_zoom):
        assert_equal(bands, archive, zoom, counted={"red": counted, "nir": counted})


@pytest.mark.parametrize("scene", [scene for archive, scene in SCENES if archive is SENTINEL])
def test_no_pixel_near_a_cloud_counts(samples: Path, scene: str) -> None:
    """240 m round clouds are two pixels of 120 m, and 120 m round shadows one."""
    clouds = CloudClasses(frozenset({8, 9, 10}), frozenset({3}))
    rule = ClearClasses(frozenset({4, 5, 6, 7}), clouds).with_buffer(CloudBuffer(240, 120))
    bands = bands_of(SENTINEL, scene, samples)
    red, nir, scl = (bands[name].pixels for name in ("red", "nir", "scl"))
    near = np.zeros(scl.shape, dtype=np.bool_)
    padded = np.pad(scl, 2)
    for down, right in np.ndindex(5, 5):
        far = np.hypot(down - 2, right - 2)
        there = padded[down : down + scl.shape[0], right : right + scl.shape[1]]
        near |= (np.isin(there, (8, 9, 10)) & (far <= 2)) | ((there == 3) & (far <= 1))
    counted = (red != 0) & (nir != 0) & np.isin(scl, (4, 5, 6, 7)) & ~near

    buffered = replace(SENTINEL, clear=rule)
    assert_equal(bands, buffered, 10, counted={"red": counted, "nir": counted})


@pytest.mark.parametrize(("archive", "scene"), SCENES, ids=[scene for _, scene in SCENES])
def test_bands_of_two_resolutions_have_one_sky(
    samples: Path, archive: Archive, *, scene: str
) -> None:
    """A coarse pixel counts if all fine pixels in it do, and a fine one if the coarse one does."""
    bands = bands_of(archive, scene, samples)
    bands["nir"] = halved(bands["nir"])
    red, scl = (bands[name].pixels for name in ("red", "scl"))
    fine = (red != 0) & archive.clear.clear(scl)
    rows, columns = (size * 2 for size in bands["nir"].pixels.shape)
    quads = [fine[r:rows:2, c:columns:2] for r in (0, 1) for c in (0, 1)]
    coarse = np.all(np.stack(quads), axis=0) & (bands["nir"].pixels != 0)
    counted = np.zeros(red.shape, dtype=np.bool_)
    counted[:rows, :columns] = np.kron(coarse, np.ones((2, 2))) > 0

    assert_equal(bands, archive, archive.coarse_zoom, counted={"red": counted, "nir": coarse})
