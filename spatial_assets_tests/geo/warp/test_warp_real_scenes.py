"""The real scenes against an independent reference: GDAL's warp and numpy in double precision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from spatial_assets.geo.clear_sky import ClearBits, ClearClasses, ClearSky
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.pixels.composite import GranuleReflectance, compose_index
from spatial_assets.geo.radiometry import (
    FILL,
    REFLECTANCE_SCALE,
    Calibration,
    fill_mask,
    quantise,
    reflectance,
)
from spatial_assets.geo.warp.lattice import Lattice
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.geo.warp.warp import Sampling, choose_kernel
from spatial_assets.indices import INDICES
from spatial_assets_tests.geo.warp_cases import UNKNOWN, matrix_origin

pytestmark = pytest.mark.samples


@dataclass(frozen=True)
class Archive:
    """Conventions of the scenes of one archive, and reflectance of their clear land."""

    pattern: str
    bands: tuple[str, str, str]
    zoom: int
    calibration: Calibration
    clear: ClearSky
    medians: tuple[float, float]


SENTINEL = Archive(
    pattern="scenes/sentinel-2-l2a/{scene}/{band}.tif",
    bands=("B04", "B08", "SCL"),
    zoom=10,
    calibration=Calibration(1e-4, 0.0),
    clear=ClearClasses(frozenset({4, 5, 6, 7})),
    medians=(0.74, 0.90),
)
LANDSAT = Archive(
    pattern="scenes/landsat-c2-l2/{scene}/{scene}_{band}.TIF",
    bands=("SR_B4", "SR_B5", "QA_PIXEL"),
    zoom=8,
    calibration=Calibration(2.75e-5, -0.2),
    clear=ClearBits((0, 1, 2, 3, 4)),
    medians=(0.3, 0.95),
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


def read(path: Path) -> tuple[NDArray[Any], SourceGrid]:
    with rasterio.open(path) as opened:
        grid = SourceGrid(
            transform=opened.transform, width=opened.width, height=opened.height,
            crs=CRS.from_wkt(opened.crs.to_wkt()),
        )  # fmt: skip
        return opened.read(1), grid


def around(grid: SourceGrid, zoom: int) -> GeoBox:
    """The web-mercator window of a whole scene."""
    crs, origin = matrix_origin("WebMercatorQuad", zoom)
    far = grid.transform @ (grid.width, grid.height)
    bounds = Transformer.from_crs(grid.crs, crs, always_xy=True).transform_bounds(
        grid.transform.c, far[1], far[0], grid.transform.f
    )
    left, top = ~origin @ (bounds[0], bounds[3])
    right, bottom = ~origin @ (bounds[2], bounds[1])
    window = Window(int(left), int(top), int(right - left) + 1, int(bottom - top) + 1)
    return GeoBox(window, origin, crs)


def ours(paths: list[Path], target: GeoBox, archive: Archive) -> NDArray[np.int16]:
    """NDVI as the product stores it."""
    classes, grid = read(paths[2])
    lattice = Lattice.around(target, grid.crs)
    sampling = Sampling.of(grid, target, lattice=lattice)
    clear = archive.clear
    known = clear.clear(sampling.nearest(classes, window=grid.window, fill_value=clear.unobserved))
    bands = {}
    for name, path in zip(("red", "nir"), paths[:2], strict=True):
        pixels, band_grid = read(path)
        sampling = Sampling.of(band_grid, target, lattice=lattice)
        assert choose_kernel(band_grid, target) == "bilinear"
        ((numbers, seen),) = sampling.bilinear(
            [(pixels, ~fill_mask(pixels, 0))], window=band_grid.window
        )
        values, valid = reflectance(numbers, archive.calibration, fill=~seen)
        bands[name] = quantise(values, valid & known, REFLECTANCE_SCALE)
    day = [GranuleReflectance("scene", grid.crs, bands)]
    return compose_index(INDICES["ndvi"], [day], target=target, method="median").values


def reference(
    paths: list[Path], target: GeoBox, archive: Archive
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """NDVI of GDAL's warp in double precision, from reflectance in the steps that are stored."""
    calibration, clear = archive.calibration, archive.clear
    warped = []
    for path, how in zip(paths, ("bilinear", "bilinear", "nearest"), strict=True):
        outside = clear.unobserved if how == "nearest" else UNKNOWN
        with (
            rasterio.open(path) as opened,
            WarpedVRT(
                opened,
                crs=target.crs.to_wkt(),
                transform=Affine(*target.transform[:6]),
                width=target.window.width,
                height=target.window.height,
                resampling=Resampling[how],
                tolerance=1e-9,
                XSCALE=1,
                YSCALE=1,
                src_nodata=0 if how == "bilinear" else None,
                nodata=outside,
                dtype="float64" if how == "bilinear" else opened.dtypes[0],
            ) as vrt,
        ):
            warped.append(vrt.read(1))
    red, nir = (
        np.rint((calibration.scale * dn + calibration.offset) * 1e4) / 1e4 for dn in warped[:2]
    )
    valid = (warped[0] != UNKNOWN) & (warped[1] != UNKNOWN) & clear.clear(warped[2])
    with np.errstate(divide="ignore", invalid="ignore"):
        ndvi = (nir - red) / (nir + red)
        valid &= (nir + red > 0) & (np.abs(ndvi) <= 1)
    return ndvi, valid


@pytest.mark.parametrize(("archive", "scene"), SCENES, ids=[scene for _, scene in SCENES])
def test_ndvi_is_the_references_to_the_stored_precision(
    samples: Path, archive: Archive, *, scene: str
) -> None:
    paths = [samples / archive.pattern.format(scene=scene, band=band) for band in archive.bands]
    target = around(read(paths[0])[1], archive.zoom)

    stored = ours(paths, target, archive)
    wanted, known = reference(paths, target, archive)

    valid = stored != FILL
    both = valid & known
    steps = np.abs(stored[both] - np.rint(wanted[both] * 1e4))
    assert np.mean(valid == known) >= 0.9995
    assert np.mean(steps <= 1) >= 0.999
    assert archive.medians[0] <= np.median(stored[valid]) * 1e-4 <= archive.medians[1]
