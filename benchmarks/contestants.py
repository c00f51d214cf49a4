"""The contestants, each written as its users would write it, on the same tiles.

Each takes a project, tile keys and a folder of its own, and leaves there what it makes. Reading
that back, to see that all agree, is not timed.
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.windows
import rioxarray
import xarray as xr
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from spatial_assets.geo.geobox import GeoBox
from spatial_assets.pipeline.driver import TilePipeline
from spatial_assets.pipeline.engine import InlineEngine
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets.stores.cube import read_window
from spatial_assets.stores.database import open_database
from spatial_assets.stores.objects import open_store

CLEAR = (4, 5, 6, 7)
CRS = "EPSG:3857"
FILL = -32768
GEOTIFF = {"driver": "GTiff", "tiled": True, "compress": "deflate", "predictor": 2}

Array = NDArray[Any]


def ours(project: Project, tiles: Sequence[str], expected: State = State.MATERIALIZED) -> None:
    """The whole chain with all stages stored, in this process; refuses to time anything else."""
    with open_database(project.database_url) as database:
        pipeline = TilePipeline(
            project=project,
            store=open_store(project.storage_url),
            database=database,
            engine=InlineEngine(),
            clock=lambda: dt.datetime.now(dt.UTC),
            owner="benchmark",
        )
        for outcome in pipeline.run(tiles, stages=pipeline.chain.stages):
            if outcome.state is not expected:
                trouble = outcome.trouble
                message = f"{outcome.tile}: {outcome.state}, not {expected}: {trouble}"
                raise RuntimeError(message)


def our_ndvi(project: Project, key: str) -> NDArray[np.int16]:
    """The tile as our cube has it."""
    window = project.partitioning.tile(key).window
    values, _ = read_window(open_store(project.storage_url), "ndvi", period=0, window=window)
    return values


def warped_vrt(project: Project, tiles: Sequence[str], folder: Path) -> None:
    """The idiom of rasterio's guide: WarpedVRT a band, numpy, DEFLATE GeoTIFFs of every stage."""
    for key in tiles:
        box = box_of(project, key)
        days = []
        for scene in scenes_of(project):
            red, nir = (_warped(box, scene / f"{band}.tif") for band in ("red", "nir"))
            classes = _warped(box, scene / "scl.tif", Resampling.nearest)
            for band in ("red", "nir", "scl"):
                _copy_window(box, scene / f"{band}.tif", folder / f"{key}_{scene.name}_{band}.tif")
            clear = np.isin(classes, CLEAR) & (red > 0) & (nir > 0)
            bands = np.stack([np.where(clear, band, 0) for band in (red, nir)]).astype(np.uint16)
            _write(box, folder / f"{key}_{scene.name}.tif", bands)
            days.append(_ndvi(red, nir, clear))
        _write_median(box, folder / f"{key}_ndvi.tif", np.stack(days))


def rioxarray_reproject(project: Project, tiles: Sequence[str], folder: Path) -> None:
    """Open, clip and reproject with rioxarray; reprojected bands and index as DEFLATE GeoTIFFs."""
    for key in tiles:
        box = box_of(project, key)
        days = []
        for scene in scenes_of(project):
            red, nir = (_reprojected(box, scene / f"{band}.tif") for band in ("red", "nir"))
            classes = _reprojected(box, scene / "scl.tif", Resampling.nearest)
            clear = classes.isin(CLEAR) & (red > 0) & (nir > 0)
            bands = xr.concat([red.where(clear, 0), nir.where(clear, 0)], "band")
            bands.rio.to_raster(folder / f"{key}_{scene.name}.tif", **GEOTIFF)
            days.append(_ndvi(red.values, nir.values, clear.values))
        _write_median(box, folder / f"{key}_ndvi.tif", np.stack(days))


def odc_stac(project: Project, tiles: Sequence[str], folder: Path) -> None:
    """`odc.stac.load`, xarray and zarr with its defaults: all but the raw windows."""
    import odc.stac  # noqa: PLC0415 - a contestant's own library
    import pystac  # noqa: PLC0415
    from odc.geo.geobox import GeoBox as OdcBox  # noqa: PLC0415

    items = [pystac.Item.from_file(str(s / f"{s.name}.json")) for s in scenes_of(project)]
    for item in items:
        item.make_asset_hrefs_absolute()
    for key in tiles:
        box = box_of(project, key)
        data = odc.stac.load(
            items,
            bands=["red", "nir", "scl"],
            geobox=OdcBox(box.window.shape, box.transform, CRS),
            resampling={"*": "bilinear", "scl": "nearest"},
            dtype={"*": "uint16", "scl": "uint8"},
            nodata=0,
            groupby="solar_day",
        )
        clear = data.scl.isin(CLEAR) & (data.red > 0) & (data.nir > 0)
        red, nir = (data[band].where(clear) * np.float32(1e-4) for band in ("red", "nir"))
        ndvi = ((nir - red) / (nir + red)).median("time")
        stored = xr.Dataset(
            {
                "red": data.red.where(clear, 0),
                "nir": data.nir.where(clear, 0),
                "ndvi": (ndvi * 10000).round().fillna(FILL).astype("int16"),
                "observations": clear.sum("time").astype("uint16"),
            }
        )
        stored.to_zarr(folder / f"{key}.zarr", mode="w", consolidated=False)


def their_ndvi(folder: Path, key: str) -> NDArray[np.int16]:
    """The tile as a contestant left it."""
    if (folder / f"{key}.zarr").exists():
        found: NDArray[np.int16] = xr.open_zarr(
            folder / f"{key}.zarr", consolidated=False
        ).ndvi.values
        return found
    with rasterio.open(folder / f"{key}_ndvi.tif") as file:
        pixels: NDArray[np.int16] = file.read(1)
        return pixels


def scenes_of(project: Project) -> list[Path]:
    """The folders of the scenes, by day."""
    return sorted(each for each in Path(project.catalog_url).iterdir() if each.is_dir())


def box_of(project: Project, key: str) -> GeoBox:
    """The tile on the earth."""
    return project.pixel_grid.geobox(project.partitioning.tile(key).window)


def _ndvi(red: Array, nir: Array, clear: Array) -> NDArray[np.float32]:
    a, b = nir * np.float32(1e-4), red * np.float32(1e-4)
    with np.errstate(all="ignore"):
        return np.where(clear, (a - b) / (a + b), np.float32("nan"))


def _warped(box: GeoBox, path: Path, resampling: Resampling = Resampling.bilinear) -> Array:
    with (
        rasterio.open(path) as source,
        WarpedVRT(
            source,
            crs=CRS,
            transform=box.transform,
            width=box.window.width,
            height=box.window.height,
            resampling=resampling,
        ) as warped,
    ):
        pixels: Array = warped.read(1)
        return pixels


def _reprojected(
    box: GeoBox, path: Path, resampling: Resampling = Resampling.bilinear
) -> xr.DataArray:
    opened = rioxarray.open_rasterio(path)
    clipped = opened.squeeze("band", drop=True).rio.clip_box(*box.bounds, crs=CRS)
    found: xr.DataArray = clipped.rio.reproject(
        CRS, transform=box.transform, shape=box.window.shape, resampling=resampling
    )
    return found


def _copy_window(box: GeoBox, path: Path, target: Path) -> None:
    """The raw stage: the pixels of the scene under the tile, as they are."""
    with rasterio.open(path) as source:
        bounds = rasterio.warp.transform_bounds(CRS, source.crs, *box.bounds)
        window = rasterio.windows.from_bounds(*bounds, source.transform).round_offsets()
        window = window.round_lengths().intersection(
            rasterio.windows.Window(0, 0, source.width, source.height)
        )
        pixels = source.read(window=window)
        transform = source.window_transform(window)
        profile = {"crs": source.crs, "transform": transform, "nodata": source.nodata}
    _, height, width = pixels.shape
    shape = {"count": 1, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(target, "w", **GEOTIFF, **profile, **shape) as file:
        file.write(pixels)


def _write_median(box: GeoBox, path: Path, days: Array) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pixels that no day sees
        ndvi = np.nanmedian(days, axis=0)
    with np.errstate(invalid="ignore"):
        stored = np.where(np.isfinite(ndvi), np.rint(ndvi * 10000), FILL).astype(np.int16)
    _write(box, path, stored[np.newaxis])


def _write(box: GeoBox, path: Path, pixels: Array) -> None:
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", **GEOTIFF, **shape, crs=CRS, transform=box.transform) as file:
        file.write(pixels)
