"""Open, clip and reproject with rioxarray; bands and index as DEFLATE GeoTIFFs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rioxarray
import xarray as xr
from rasterio.enums import Resampling

from benchmarks.contestants.arrays import GEOTIFF, ndvi_of, read_ndvi, write_product
from benchmarks.contestants.task import CLEAR, CRS, Contestant, Task, Tile


def work(task: Task) -> None:
    """Write the masked reflectance, index and observations of each tile."""
    for tile in task.tiles:
        days = []
        for scene in task.scenes:
            red, nir = (reprojected(tile, scene / f"{band}.tif") for band in ("red", "nir"))
            classes = reprojected(tile, scene / "scl.tif", Resampling.nearest)
            clear = classes.isin(CLEAR) & (red > 0) & (nir > 0)
            bands = xr.concat([red.where(clear, 0), nir.where(clear, 0)], "band")
            bands.rio.to_raster(task.folder / f"{tile.key}_{scene.name}.tif", **GEOTIFF)
            days.append(ndvi_of(red.values, nir.values, clear.values))
        write_product(tile, task.folder, np.stack(days))


def reprojected(
    tile: Tile, path: Path, resampling: Resampling = Resampling.bilinear
) -> xr.DataArray:
    """Read a band on the pixels of the tile."""
    opened: xr.DataArray = rioxarray.open_rasterio(path)  # type: ignore[assignment, unused-ignore]
    clipped = opened.squeeze("band", drop=True).rio.clip_box(*tile.bounds, crs=CRS)
    found: xr.DataArray = clipped.rio.reproject(
        CRS, transform=tile.transform, shape=tile.shape, resampling=resampling
    )
    return found


CONTESTANT = Contestant(
    name="rioxarray reproject + DEFLATE GeoTIFF",
    work=work,
    ndvi=read_ndvi,
    stores="reflectance, NDVI and observations",
    settings="clip_box before reproject, as its examples do, so that no whole scene is read.",
    packages=("rioxarray", "rasterio", "xarray"),
)
