"""Made-up scenes and targets for the warp, and what GDAL makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import morecantile
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.geo.warp.warp import Sampling

UNKNOWN = -9999.0


def matrix_origin(tile_matrix_set: str, zoom: int) -> tuple[CRS, Affine]:
    """CRS and transform of the absolute pixel (0, 0) of one zoom."""
    tms = morecantile.tms.get(tile_matrix_set)
    matrix = tms.matrix(zoom)
    left, top = matrix.pointOfOrigin
    size = float(matrix.cellSize)
    return CRS.from_wkt(tms.crs.to_wkt()), Affine(size, 0.0, left, 0.0, -size, top)


def source_grid(
    crs: str, centre: tuple[float, float], *, size: float, pixels: int, south_up: bool = False
) -> SourceGrid:
    """A square grid around `centre`, in units of `crs`."""
    left, half = centre[0] - size * pixels / 2, size * pixels / 2
    vertical = (size, centre[1] - half) if south_up else (-size, centre[1] + half)
    transform = Affine(size, 0.0, left, 0.0, *vertical)
    return SourceGrid(transform=transform, width=pixels, height=pixels, crs=CRS(crs))


@dataclass(frozen=True, eq=False)
class Case:
    """A source of random reflectances with holes, and a target around its centre."""

    source: SourceGrid
    target: GeoBox
    pixels: NDArray[np.uint16]

    @property
    def observed(self) -> NDArray[np.bool_]:
        """True where a pixel is not fill."""
        seen: NDArray[np.bool_] = self.pixels != 0
        return seen

    def cut(self, target: GeoBox, *, kernel: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Our warp to `target`, from no more pixels than it requires."""
        sampling = Sampling.of(self.source, target)
        window = sampling.source_window("average" if kernel == "average" else "bilinear")
        if window is None:
            shape = target.window.shape
            return np.full(shape, np.nan, dtype=np.float32), np.zeros(shape, dtype=np.bool_)
        at = window.slices_in(self.source.window)
        (values,), valid = sampling.sample(
            "average" if kernel == "average" else "bilinear",
            [self.pixels[at]],
            counted=self.observed[at],
            window=window,
        )
        return values, valid

    def by_gdal(self, *, kernel: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """GDAL's exact warp to the target; with fixed sizes, so that it ignores the window."""
        scale: dict[str, int] = {} if kernel == "average" else {"XSCALE": 1, "YSCALE": 1}
        height, width = self.target.window.shape
        with MemoryFile() as memory:
            with memory.open(
                driver="GTiff",
                width=self.source.width,
                height=self.source.height,
                count=1,
                dtype="uint16",
                nodata=0,
                crs=self.source.crs.to_wkt(),
                transform=self.source.transform,
            ) as made:
                made.write(self.pixels, 1)
            with (
                memory.open() as opened,
                WarpedVRT(
                    opened,
                    crs=self.target.crs.to_wkt(),
                    transform=self.target.transform,
                    width=width,
                    height=height,
                    resampling=Resampling[kernel],
                    tolerance=1e-9,
                    src_nodata=0,
                    nodata=UNKNOWN,
                    dtype="float32",
                    **scale,
                ) as warped,
            ):
                values: NDArray[np.float32] = warped.read(1)
        return values, values != UNKNOWN


def make_case(
    source: SourceGrid, tile_matrix_set: str, zoom: int, *, size: int = 256, seed: int = 7
) -> Case:
    """Random reflectances of 0.05 to 0.45 with 2 % of single holes and one block, which is fill."""
    random = np.random.default_rng(seed)
    shape = (source.height, source.width)
    pixels = random.integers(500, 4500, shape).astype(np.uint16)
    pixels[random.random(shape) < 0.02] = 0
    pixels[: shape[0] // 3, : shape[1] // 3] = 0
    crs, origin = matrix_origin(tile_matrix_set, zoom)
    centre = source.transform @ (source.width / 2, source.height / 2)
    there = Transformer.from_crs(source.crs, crs, always_xy=True).transform(*centre)
    column, row = ~origin @ there
    window = Window(int(column) - size // 2, int(row) - size // 2, size, size)
    return Case(source, GeoBox(window, origin, crs), pixels)
