"""What a person's own asset returns, as bytes and back: tables as Parquet, rasters as GeoTIFF.

Formats that QGIS and anything with GDAL or Arrow reads, one object a value.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import geopandas as gpd
import pandas as pd
import pyarrow.parquet as pq
import rioxarray  # registers .rio, by which rasters know their place
import xarray as xr
from rasterio.io import MemoryFile
from rioxarray.exceptions import RioXarrayError

from spatial_assets.errors import StoreError
from spatial_assets.geo.lonlat import EPSG_4326

PARQUET, GEOTIFF = ".parquet", ".tif"
SUFFIXES = (PARQUET, GEOTIFF)


class UnsupportedValueError(StoreError):
    """A value of a kind that is not kept; the message says which kinds are."""


def encode(value: object) -> tuple[str, bytes]:
    """Suffix and bytes of a DataFrame, GeoDataFrame or DataArray.

    Raises:
        UnsupportedValueError: it is none of these, or a raster of no known place.
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
    """What `encode` was given; a raster of several layers has them along `band`."""
    if suffix == PARQUET:
        metadata = pq.read_schema(io.BytesIO(data)).metadata or {}
        read = gpd.read_parquet if b"geo" in metadata else pd.read_parquet
        return read(io.BytesIO(data))
    with MemoryFile(data) as memory:
        raster = rioxarray.open_rasterio(memory.name, masked=True)
        if not isinstance(raster, xr.DataArray):  # several subdatasets: not a GeoTIFF of ours
            raise StoreError("the stored raster has several subdatasets; materialize it again")
        raster.load()
    return raster.isel(band=0, drop=True) if raster.sizes["band"] == 1 else raster


def frame_of(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str]
) -> pd.DataFrame | gpd.GeoDataFrame:
    """Rows of a table of ours; those with a geometry as a GeoDataFrame in lon/lat."""
    frame = pd.DataFrame([dict(row) for row in rows], columns=list(columns))
    if "geometry" not in frame:
        return frame
    return gpd.GeoDataFrame(frame, geometry="geometry", crs=EPSG_4326)


def _geotiff(raster: xr.DataArray) -> bytes:
    """GeoTIFF of one layer or several, NaN as its nodata.

    Raises:
        UnsupportedValueError: nobody knows where its pixels are.
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
