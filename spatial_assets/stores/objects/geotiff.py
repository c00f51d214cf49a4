"""Rasters as GeoTIFF bytes in memory: named bands, one transform, one CRS.

No path and no store: bytes in, bytes out. QGIS and any tool with GDAL reads them. Pixel arithmetic
belongs in geo/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import rasterio.crs
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from spatial_assets.errors import RasterError, StoreError

BLOCK_PIXELS = 512
PREDICTORS = {
    **dict.fromkeys(("uint8", "int8", "uint16", "int16", "uint32", "int32"), 2),
    **dict.fromkeys(("float32", "float64"), 3),
}
"""Supported pixel type -> GDAL predictor, which encodes differences of neighbours."""

CREATION = {
    "driver": "GTiff",
    "tiled": True,
    "blockxsize": BLOCK_PIXELS,
    "blockysize": BLOCK_PIXELS,
    "interleave": "band",  # a band is read without decoding the others
    "compress": "ZSTD",
    "zstd_level": 1,  # 8 times faster than DEFLATE, a few percent larger
    "bigtiff": "IF_SAFER",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredRaster:
    """Bands on one pixel grid, as stored."""

    pixels: NDArray[Any]
    """Values, shape (band, row, column), of a type in `PREDICTORS`. Row 0 is the northern edge
    where `transform` is north up."""

    bands: tuple[str, ...]
    """Names in the order of `pixels`; GDAL's band descriptions."""

    transform: Affine
    """(column, row) of a pixel's top-left corner -> (x, y) in units of `crs`."""

    crs: CRS
    """CRS with x (east) first, as in GDAL."""

    nodata: float | None = None
    """Value of a pixel without an observation; None if every pixel has one."""

    scale: float = 1.0
    """Physical value of one step of `pixels`; applied by QGIS, never here."""

    tags: Mapping[str, str] = field(default_factory=dict)
    """GDAL metadata items, such as grid_id and scene."""

    def __post_init__(self) -> None:
        """Refuse a raster that would not read back unchanged."""
        if self.pixels.ndim != 3 or self.pixels.shape[0] != len(self.bands):  # noqa: PLR2004
            raise RasterError(
                f"pixels have shape {self.pixels.shape}, but bands {self.bands} need "
                f"({len(self.bands)}, rows, columns)"
            )
        if 0 in self.pixels.shape or str(self.pixels.dtype) not in PREDICTORS:
            raise RasterError(
                f"pixels are {self.pixels.dtype} of shape {self.pixels.shape}; "
                f"wanted at least one pixel of {', '.join(PREDICTORS)}"
            )

    def band(self, name: str) -> NDArray[Any]:
        """Return the pixels of one band, shape (row, column).

        Raises:
            RasterError: there is no such band.
        """
        if name not in self.bands:
            raise RasterError(f"no band {name!r}; have {', '.join(self.bands)}")
        band: NDArray[Any] = self.pixels[self.bands.index(name)]
        return band


def write_geotiff(  # noqa: PLR0913 - properties of a file, each by name
    pixels: NDArray[Any],
    *,
    bands: tuple[str, ...],
    transform: Affine,
    crs: CRS,
    nodata: float | None = None,
    scale: float = 1.0,
    tags: Mapping[str, str] | None = None,
) -> bytes:
    """Encode a raster, see `StoredRaster`; equal rasters give equal bytes.

    Raises:
        RasterError: the arguments disagree, or the pixel type is not supported.
    """
    return encoded(
        StoredRaster(
            pixels=pixels,
            bands=tuple(bands),
            transform=transform,
            crs=crs,
            nodata=nodata,
            scale=scale,
            tags=tags or {},
        )
    )


def encoded(raster: StoredRaster) -> bytes:
    """Encode a raster; the bytes depend on the version of GDAL."""
    count, height, width = raster.pixels.shape
    kind = str(raster.pixels.dtype)
    profile = {
        **CREATION,
        "predictor": PREDICTORS[kind],
        "dtype": kind,
        "count": count,
        "height": height,
        "width": width,
        "transform": raster.transform,
        "crs": gdal_crs(raster.crs),
        "nodata": raster.nodata,
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(raster.pixels)
            dataset.descriptions = raster.bands
            dataset.update_tags(**dict(sorted(raster.tags.items())))
            if raster.scale != 1.0:
                dataset.scales = (raster.scale,) * count
        return bytes(memory.getbuffer())


def read_geotiff(data: bytes) -> StoredRaster:
    """Decode bytes of `write_geotiff`; pixels are neither masked nor scaled.

    Raises:
        StoreError: the bytes are not a GeoTIFF, or are damaged.
    """
    if not data:
        raise StoreError("not a stored GeoTIFF, or damaged: it has no bytes")
    try:
        with MemoryFile(data) as memory, memory.open(driver="GTiff") as dataset:
            tags = {k: v for k, v in dataset.tags().items() if k != "AREA_OR_POINT"}
            return StoredRaster(
                pixels=dataset.read(),
                bands=tuple(name or "" for name in dataset.descriptions),
                transform=dataset.transform,
                crs=from_gdal_crs(dataset.crs),
                nodata=dataset.nodata,
                scale=dataset.scales[0],
                tags=tags,
            )
    except (RasterioError, RasterError) as error:
        raise StoreError(f"not a stored GeoTIFF, or damaged: {error}") from error


def placement(data: bytes) -> tuple[Affine, tuple[int, int], CRS]:
    """Read transform, (rows, columns) and CRS from bytes of `write_geotiff`, decoding no pixel.

    Raises:
        StoreError: the bytes are not a GeoTIFF.
    """
    try:
        with MemoryFile(data) as memory, memory.open(driver="GTiff") as dataset:
            return dataset.transform, dataset.shape, from_gdal_crs(dataset.crs)
    except (RasterioError, RasterError) as error:
        raise StoreError(f"not a stored GeoTIFF: {error}") from error


def gdal_crs(crs: CRS) -> rasterio.crs.CRS:
    """Convert a CRS to rasterio, by EPSG code if it has one."""
    code = crs.to_epsg()
    if code is not None:
        return rasterio.crs.CRS.from_epsg(code)
    return rasterio.crs.CRS.from_wkt(crs.to_wkt())


def from_gdal_crs(crs: rasterio.crs.CRS | None) -> CRS:
    """Convert a CRS to pyproj.

    Raises:
        RasterError: there is none.
    """
    if crs is None:
        raise RasterError("the raster has no CRS", reason="no_crs")
    code = crs.to_epsg()
    return CRS.from_epsg(code) if code is not None else CRS.from_wkt(crs.to_wkt())
