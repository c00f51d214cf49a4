"""Values of user-defined assets as bytes: tables as Parquet, rasters as GeoTIFF.

QGIS and any tool with GDAL or Arrow reads these formats; each value is one object.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import geopandas as gpd
import pandas as pd
import pyarrow.parquet as pq
import rioxarray  # registers the accessor .rio
import xarray as xr
from rasterio.io import MemoryFile
from rioxarray.exceptions import RioXarrayError

from spatial_assets.errors import StoreError
from spatial_assets.geo.lonlat import EPSG_4326

PARQUET, GEOTIFF = ".parquet", ".tif"
SUFFIXES = (PARQUET, GEOTIFF)


class UnsupportedValueError(StoreError):
    """A value of an unsupported type; the message lists the supported ones."""


def encode(value: object) -> tuple[str, bytes]:
    """Encode a DataFrame, GeoDataFrame or DataArray; return suffix and bytes.

    Raises:
        UnsupportedValueError: it is none of these, or a raster without a CRS.
    """
    if isinstance(value, pd.DataFrame):
        buffer = io.BytesIO()
        value.to_parquet(buffer)
        return PARQUET, buffer.getvalue()
    if isinstance(value, xr.DataArray):
        return GEOTIFF, _geotiff(value)
    raise UnsupportedValueError(
        f"a {type(value).__name__}; wanted a (Geo)DataFrame, an xarray.DataArray with a CRS, "
        "or None"
    )


def decode(data: bytes, suffix: str) -> pd.DataFrame | gpd.GeoDataFrame | xr.DataArray:
    """Decode what `encode` encoded; a raster of several layers has a dimension `band`."""
    if suffix == PARQUET:
        metadata = pq.read_schema(io.BytesIO(data)).metadata or {}
        read = gpd.read_parquet if b"geo" in metadata else pd.read_parquet
        return read(io.BytesIO(data))
    with MemoryFile(data) as memory:
        raster = rioxarray.open_rasterio(memory.name, masked=True)
        if not isinstance(raster, xr.DataArray):  # several subdatasets: not written by `encode`
            raise StoreError("the stored raster has several subdatasets; materialize it again")
        raster.load()
    return raster.isel(band=0, drop=True) if raster.sizes["band"] == 1 else raster


def frame_of(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str]
) -> pd.DataFrame | gpd.GeoDataFrame:
    """Return rows of a table as a data frame; a GeoDataFrame in lon/lat if they have a geometry."""
    frame = pd.DataFrame([dict(row) for row in rows], columns=list(columns))
    if "geometry" not in frame:
        return frame
    return gpd.GeoDataFrame(frame, geometry="geometry", crs=EPSG_4326)


def _geotiff(raster: xr.DataArray) -> bytes:
    """Encode a raster of one or several layers as GeoTIFF, with NaN as nodata.

    Raises:
        UnsupportedValueError: it has no CRS.
    """
    if raster.rio.crs is None:
        raise UnsupportedValueError(
            "an xarray.DataArray without a CRS; keep the `spatial_ref` of its input, or set one "
            "with .rio.write_crs(...)"
        )
    if raster.dtype.kind == "b":
        raster = raster.astype("uint8")
    if raster.dtype.kind == "f" and raster.rio.nodata is None:
        raster = raster.rio.write_nodata(float("nan"))
    try:
        with MemoryFile() as memory:
            raster.rio.to_raster(memory.name, driver="GTiff", compress="zstd", tiled=True)
            return bytes(memory.getbuffer())
    except RioXarrayError as error:
        raise UnsupportedValueError(f"an xarray.DataArray that is not a raster: {error}") from error
