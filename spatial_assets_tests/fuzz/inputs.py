"""The good inputs that are damaged, written once into a folder."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.errors import NotGeoreferencedWarning

from spatial_assets_tests.fixtures.scene_factory import clear_vegetation, item_of, write_raster

LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    "strips": {},
    "deflate": {"compress": "deflate", "predictor": 2, "tiled": True, "blockxsize": 32}
    | {"blockysize": 32},
    "lzw-planes": {"compress": "lzw", "interleave": "band"},
    "packbits-pixel": {"compress": "packbits", "interleave": "pixel"},
    "bigtiff": {"bigtiff": "yes", "compress": "zstd"},
    "sparse": {"sparse_ok": True, "tiled": True, "blockxsize": 16, "blockysize": 16},
    "big-endian": {"endianness": "big"},
    "floats": {"dtype": "float32", "compress": "deflate", "predictor": 3},
    "lerc": {"compress": "lerc_deflate"},
    "jp2": {"driver": "JP2OpenJPEG"},
    "masked": {"compress": "deflate", "tiled": True, "blockxsize": 32, "blockysize": 32},
    "alpha": {"photometric": "minisblack", "alpha": "yes", "compress": "deflate"},
    "scaled": {"compress": "deflate"},
}
SEVERAL_BANDS = frozenset({"lzw-planes", "packbits-pixel"})
"""Layouts of three bands, of which the second is red."""

PROJECT: Mapping[str, Any] = {
    "area": {"bbox": [15.0, 45.06, 16.44, 46.95]},
    "grid": {"tile_matrix_set": "WebMercatorQuad", "pixel_zoom": 10, "chunk": 512, "shard": 1024}
    | {"partitions": "tiles", "level": 8},
    "scenes": {
        "catalog": "scenes",
        "collections": ["sentinel-2-l2a"],
        "datetime": "2023-08-01/2023-08-31",
        "max_cloud_cover": 90,
        "sensor": "sentinel-2-l2a",
        "access": "stream",
        "hosts": ["*.example.org"],
        "source": {"endpoint": "", "region": "", "requester_pays": False, "sign": "none"},
    },
    "time": {"period": "month", "composite": "median"},
    "indices": {"names": ["ndvi"]},
    "boundaries": [{"name": "regions", "source": "regions.gpkg", "key": "id", "columns": ["name"]}],
    "regions": {"north": {"bbox": [15.0, 46.0, 16.0, 46.9], "cron": "0 4 * * 1"}},
    "checks": {"most_removed_share": 0.01, "least_valid_share": 0.0},
    "freshness": {"raw_tile": {"warn": "5 days", "fail": "10 days"}},
    "retention": {"raw_tile": "keep"},
    "storage": {"url": "data"},
    "database": {"url": "duckdb:///data/spatial.duckdb", "pool_size": 4},
    "compute": {"workers": 2, "gdal_cache_mb": 64, "memory_mb": 1024},
}


def make_rasters(folder: Path) -> None:
    """One small band in every layout."""
    folder.mkdir(parents=True, exist_ok=True)
    red = clear_vegetation()["red"]
    for name, profile in LAYOUTS.items():
        pixels = (red / 10_000).astype(np.float32) if name == "floats" else red
        if name in SEVERAL_BANDS:
            pixels = np.stack([pixels, pixels, pixels])
        if name == "alpha":
            pixels = np.stack([pixels, np.where(red % 3, 255, 0).astype(red.dtype)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            path = write_raster(folder / f"{name}.tif", pixels, **profile)
        if name == "masked":
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
                file.write_mask(np.where(red % 3, 255, 0).astype(np.uint8))
        if name == "scaled":
            with rasterio.open(path, "r+") as file:
                file.scales, file.offsets = (1e-4,), (-0.1,)


def make_item(folder: Path) -> None:
    """An item with everything that is read of items."""
    folder.mkdir(parents=True, exist_ok=True)
    item = item_of()
    item["assets"]["red"] |= {"file:size": 1000, "file:checksum": "1220" + "ab" * 32}
    item["properties"] |= {"proj:epsg": 32633, "grid:code": "MGRS-33TWL"}
    item["assets"]["red"] |= {
        "proj:shape": [64, 64],
        "proj:transform": [120, 0, 499980, 0, -120, 5100000],
    }
    (folder / "item.json").write_text(json.dumps(item))


def make_vectors(folder: Path) -> None:
    """Three districts in every format that is read, and zipped."""
    folder.mkdir(parents=True, exist_ok=True)
    boxes = [shapely.box(15 + n / 4, 46, 15.25 + n / 4, 46.2) for n in range(3)]
    frame = gpd.GeoDataFrame(
        {"id": ["a", "b", "c"], "name": ["Ä", "B", "C"]}, geometry=boxes, crs="EPSG:4326"
    )
    for suffix, driver in (
        ("geojson", "GeoJSON"),
        ("gpkg", "GPKG"),
        ("shp", "ESRI Shapefile"),
        ("fgb", "FlatGeobuf"),
        ("gml", "GML"),
        ("kml", "KML"),
        ("geojsonl", "GeoJSONSeq"),
    ):
        frame.to_file(folder / f"districts.{suffix}", driver=driver)
    frame.to_parquet(folder / "districts.parquet")
    with zipfile.ZipFile(folder / "districts.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for part in sorted(folder.glob("districts.[sdcp][hbp][xfrg]*")):
            archive.write(part, part.name)
    for part in folder.glob("districts.*"):
        if part.suffix in {".shp", ".shx", ".dbf", ".prj", ".cpg", ".xsd"}:
            part.unlink()
