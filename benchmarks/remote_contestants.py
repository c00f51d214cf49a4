"""The contestants that read scenes from S3, each written as its users would write it.

Those of GDAL set nothing but how the server is found: all else is as it is by default.
"""

from __future__ import annotations

import datetime as dt
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
import rasterio.windows
import xarray as xr
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access import source_access
from spatial_assets.catalog.facts import SceneFacts
from spatial_assets.catalog.inspect import inspect_scene
from spatial_assets.geo.geobox import GeoBox
from spatial_assets.pipeline.driver import TilePipeline
from spatial_assets.pipeline.engine import ProcessEngine
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.raw import raw_windows, read_raw
from spatial_assets.pipeline.record import SceneRecord
from spatial_assets.project import Project
from spatial_assets.stores.database import open_database
from spatial_assets.stores.objects import open_store

CLEAR = (4, 5, 6, 7)
CRS = "EPSG:3857"
FILL = -32768
GEOTIFF = {"driver": "GTiff", "tiled": True, "compress": "deflate", "predictor": 2}

Array = NDArray[Any]


def ours(project: Project, tiles: Sequence[str], folder: Path) -> None:  # noqa: ARG001 - its own
    """The whole chain with all stages stored, as a project has it that sets nothing."""
    compute = project.compute
    with open_database(project.database_url) as database:
        pipeline = TilePipeline(
            project=project,
            store=open_store(project.storage_url),
            database=database,
            engine=ProcessEngine(workers=compute.workers, gdal_cache_mb=compute.gdal_cache_mb),
            clock=lambda: dt.datetime.now(dt.UTC),
            owner="benchmark",
        )
        for outcome in pipeline.run(tiles, stages=pipeline.chain.stages):
            if outcome.state is not State.MATERIALIZED:
                message = f"{outcome.tile}: {outcome.state}: {outcome.trouble}"
                raise RuntimeError(message)


def our_windows(project: Project, tiles: Sequence[str], folder: Path) -> None:  # noqa: ARG001
    """Look into the scenes, and read their raw windows."""
    access = source_access(project)
    records = _records(project)
    for key in tiles:
        for record in records:
            read_raw(record, box_of(project, key), access=access, clear=project.sensor.clear)


def their_windows(project: Project, tiles: Sequence[str], folder: Path) -> None:  # noqa: ARG001
    """Open, read the pixels under the tile, close: rasterio's first example."""
    for key in tiles:
        box = box_of(project, key)
        for scene in _scenes(project):
            for band in ("red", "nir", "scl"):
                with rasterio.open(f"{scene}/{band}.tif") as source:
                    source.read(1, window=_under(box, source))


def warped_vrt(project: Project, tiles: Sequence[str], folder: Path) -> None:
    """The idiom of rasterio's guide: WarpedVRT a band, numpy, DEFLATE GeoTIFFs of every stage."""
    for key in tiles:
        box = box_of(project, key)
        days = []
        for number, scene in enumerate(_scenes(project)):
            red, nir, classes = (
                _warped(box, f"{scene}/{band}.tif", folder / f"{key}_{number}_{band}.tif")
                for band in ("red", "nir", "scl")
            )
            clear = np.isin(classes, CLEAR) & (red > 0) & (nir > 0)
            bands = np.stack([np.where(clear, band, 0) for band in (red, nir)]).astype(np.uint16)
            _write(box, folder / f"{key}_{number}.tif", bands)
            days.append(_ndvi(red, nir, clear))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pixels that no day sees
            median = np.nanmedian(np.stack(days), axis=0)
        with np.errstate(invalid="ignore"):
            index = np.where(np.isfinite(median), np.rint(median * 10000), FILL).astype(np.int16)
        _write(box, folder / f"{key}_ndvi.tif", index[np.newaxis])


def odc_stac(project: Project, tiles: Sequence[str], folder: Path) -> None:
    """`odc.stac.load`, xarray and zarr with its defaults: all but the raw windows."""
    import odc.stac  # noqa: PLC0415 - a contestant's own library
    import pystac  # noqa: PLC0415
    from odc.geo.geobox import GeoBox as OdcBox  # noqa: PLC0415

    items = [pystac.Item.from_file(str(path)) for path in _items(project)]
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


def needed_bytes(project: Project, tiles: Sequence[str], files: Path) -> int:
    """Bytes of all blocks under the windows of `tiles`, each counted once; the files are here."""
    total = 0
    for record in _records(project):
        boxes = [raw_windows(record, box_of(project, key)) or {} for key in tiles]
        for name in record.files:
            with rasterio.open(files / record.id / f"{name}.tif") as file:
                windows = [windows[name] for windows in boxes if name in windows]
                total += sum(
                    int(file.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=1) or 0)
                    for x, y in {at for w in windows for at in _blocks(w, file.block_shapes[0])}
                )
    return total


def as_cog(path: Path, target: Path) -> None:
    """A copy as archives publish it, overviews included."""
    options = {"BLOCKSIZE": 1024, "COMPRESS": "DEFLATE", "PREDICTOR": "YES", "NUM_THREADS": "2"}
    rasterio.shutil.copy(path, target, driver="COG", **options)


def box_of(project: Project, key: str) -> GeoBox:
    """The tile on the earth."""
    return project.pixel_grid.geobox(project.partitioning.tile(key).window)


def _records(project: Project) -> list[SceneRecord]:
    """The scenes of a project, looked into."""
    found = ((scene, inspect_scene(scene, project)) for scene in find_scenes(project).scenes)
    return [SceneRecord.of(scene, facts) for scene, facts in found if isinstance(facts, SceneFacts)]


def _blocks(window: Any, shape: tuple[int, int]) -> Iterator[tuple[int, int]]:  # noqa: ANN401
    """(x, y) of the file's blocks that a window touches."""
    rows, columns = shape
    for y in range(window.row // rows, -(-window.row_stop // rows)):
        for x in range(window.column // columns, -(-window.column_stop // columns)):
            yield x, y


def _items(project: Project) -> list[Path]:
    return sorted(Path(project.catalog_url).glob("*.json"))


def _scenes(project: Project) -> list[str]:
    """Where GDAL finds the files of each scene."""
    hrefs = (json.loads(path.read_text())["assets"]["red"]["href"] for path in _items(project))
    return [href.rpartition("/")[0] for href in hrefs]


def _ndvi(red: Array, nir: Array, clear: Array) -> NDArray[np.float32]:
    a, b = nir * np.float32(1e-4), red * np.float32(1e-4)
    with np.errstate(all="ignore"):
        return np.where(clear, (a - b) / (a + b), np.float32("nan"))


def _warped(box: GeoBox, href: str, copy: Path) -> Array:
    """A band on the tile's pixels; what was read of it is kept as it was."""
    nearest, bilinear = Resampling.nearest, Resampling.bilinear
    with rasterio.open(href) as source:
        shape = {"width": box.window.width, "height": box.window.height}
        resampling = nearest if href.endswith("scl.tif") else bilinear
        with WarpedVRT(
            source, crs=CRS, transform=box.transform, resampling=resampling, **shape
        ) as warped:
            pixels: Array = warped.read(1)
        window = _under(box, source)
        raw = source.read(window=window)
        _, height, width = raw.shape
        profile = {"crs": source.crs, "transform": source.window_transform(window), "nodata": 0}
    with rasterio.open(
        copy, "w", **GEOTIFF, **profile, count=1, width=width, height=height, dtype=raw.dtype
    ) as file:
        file.write(raw)
    return pixels


def _under(box: GeoBox, source: Any) -> Window:  # noqa: ANN401 - rasterio has no types
    """The pixels of a file under the tile."""
    bounds = rasterio.warp.transform_bounds(CRS, source.crs, *box.bounds)
    window = rasterio.windows.from_bounds(*bounds, source.transform).round_offsets()
    whole = Window(0, 0, source.width, source.height)
    return window.round_lengths().intersection(whole)


def _write(box: GeoBox, path: Path, pixels: Array) -> None:
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", **GEOTIFF, **shape, crs=CRS, transform=box.transform) as file:
        file.write(pixels)
