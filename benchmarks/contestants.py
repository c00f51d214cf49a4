"""The contestants, each written as its users would write it, on the same tiles."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from spatial_assets.pipeline.driver import TilePipeline
from spatial_assets.pipeline.engine import InlineEngine
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets.stores.database import open_database
from spatial_assets.stores.objects import open_store

CLEAR = (4, 5, 6, 7)


def ours(project: Project, tiles: Sequence[str], *, expected: State) -> None:
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


def warped_vrt(project: Project, tiles: Sequence[str], target: Path) -> None:
    """The idiom of rasterio's guide: WarpedVRT a band, numpy, default DEFLATE GeoTIFFs."""
    target.mkdir(parents=True, exist_ok=True)
    folders = sorted(each for each in Path(project.catalog_url).iterdir() if each.is_dir())
    for key in tiles:
        days = [_warp_scene(project, key, folder, target=target) for folder in folders]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pixels that no day sees
            ndvi = np.nanmedian(np.stack(days), axis=0)
        stored = np.where(np.isfinite(ndvi), np.rint(ndvi * 10000), -32768).astype(np.int16)
        _write(project, key, target / f"{key}_ndvi.tif", stored[np.newaxis])


def _warp_scene(project: Project, key: str, folder: Path, *, target: Path) -> np.ndarray:
    """Warp, mask and store one scene; returns its NDVI."""
    red, nir = (_warped(project, key, folder / f"{band}.tif") for band in ("red", "nir"))
    classes = _warped(project, key, folder / "scl.tif", Resampling.nearest)
    clear = np.isin(classes, CLEAR) & (red > 0) & (nir > 0)
    bands = np.stack([np.where(clear, band, 0) for band in (red, nir)]).astype(np.uint16)
    _write(project, key, target / f"{key}_{folder.name}.tif", bands)
    a, b = nir * np.float32(1e-4), red * np.float32(1e-4)
    with np.errstate(all="ignore"):
        return np.where(clear, (a - b) / (a + b), np.float32("nan"))


def _warped(
    project: Project, key: str, path: Path, resampling: Resampling = Resampling.bilinear
) -> np.ndarray:
    box = project.pixel_grid.geobox(project.partitioning.tile(key).window)
    with (
        rasterio.open(path) as source,
        WarpedVRT(
            source,
            crs="EPSG:3857",
            transform=box.transform,
            width=box.window.width,
            height=box.window.height,
            resampling=resampling,
        ) as warped,
    ):
        pixels: np.ndarray = warped.read(1)
        return pixels


def _write(project: Project, key: str, path: Path, pixels: np.ndarray) -> None:
    box = project.pixel_grid.geobox(project.partitioning.tile(key).window)
    count, height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=count,
        height=height,
        width=width,
        dtype=pixels.dtype,
        crs="EPSG:3857",
        transform=box.transform,
        tiled=True,
        compress="deflate",
        predictor=2,
    ) as file:
        file.write(pixels)
