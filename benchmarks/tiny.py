"""Projects of very many very small tiles: what a run of them costs is all that is not pixels."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from spatial_assets.pipeline.driver import TilePipeline
from spatial_assets.pipeline.engine import Engine, InlineEngine
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project, load_project
from spatial_assets.stores.database import open_database
from spatial_assets.stores.objects import open_store

ZOOM = 14
WEST, NORTH = 8800, 5700
"""Column and row of the first tile."""

PROJECT = """
[area]
bbox = [{west}, {south}, {east}, {north}]
[grid]
pixel_zoom = {zoom}
chunk = 256
shard = 256
level = {zoom}
[scenes]
catalog = "scenes"
sensor = "sentinel-2-l2a"
[time]
start = 2023-08-01
end = 2023-08-31
[compute]
workers = 2
"""
PIXEL = 200.0
"""Metres of a scene's pixel: reading it is next to nothing."""


def tiny_project(folder: Path, tiles: int) -> Project:
    """A project of about `tiles` tiles of 256 pixels, in a square, under one coarse scene."""
    across = math.isqrt(tiles)
    west, south, east, north = (
        longitude(WEST + 0.25),
        latitude(NORTH + across - 0.25),
        longitude(WEST + across - 0.25),
        latitude(NORTH + 0.25),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "project.toml").write_text(
        PROJECT.format(west=west, south=south, east=east, north=north, zoom=ZOOM)
    )
    write_scene(folder / "scenes")
    return load_project(folder, env={})


def longitude(column: float) -> float:
    """Where a column of tiles begins, in degrees east."""
    return math.ldexp(column * 360.0, -ZOOM) - 180.0


def latitude(row: float) -> float:
    """Where a row of tiles begins, in degrees north."""
    return math.degrees(math.atan(math.sinh(math.pi * (1.0 - math.ldexp(row, 1 - ZOOM)))))


def write_scene(folder: Path) -> None:
    """One scene over the first thousands of tiles, as a STAC item beside its files."""
    name = "S2B_32TPS_20230810_0_L2A"
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    shape = (900, 900)
    generator = np.random.default_rng(0)
    bands: dict[str, NDArray[np.uint16] | NDArray[np.uint8]] = {
        "red": generator.normal(800, 60, shape).astype(np.uint16),
        "nir": generator.normal(3000, 60, shape).astype(np.uint16),
        "scl": np.full(shape, 4, np.uint8),
    }
    west, north = 360_000.0, 5_330_000.0
    for band, pixels in bands.items():
        with rasterio.open(
            target / f"{band}.tif",
            "w",
            driver="GTiff",
            width=shape[1],
            height=shape[0],
            count=1,
            dtype=pixels.dtype,
            nodata=0,
            crs="EPSG:32633",
            transform=Affine(PIXEL, 0, west, 0, -PIXEL, north),
            tiled=True,
            compress="deflate",
        ) as file:
            file.write(pixels, 1)
    ring = [[13.2, 46.6], [15.4, 46.6], [15.4, 48.0], [13.2, 48.0], [13.2, 46.6]]
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [13.2, 46.6, 15.4, 48.0],
        "properties": {
            "datetime": "2023-08-10T10:00:00Z",
            "platform": "sentinel-2b",
            "proj:epsg": 32633,
            "s2:processing_baseline": "05.09",
            "earthsearch:boa_offset_applied": True,
        },
        "links": [],
        "assets": {
            band: {"href": f"{band}.tif", "eo:bands": [{"common_name": band}]} for band in bands
        },
    }
    (target / f"{name}.json").write_text(json.dumps(item))


def run_plainly(
    project: Project,
    tiles: Sequence[str],
    *,
    stages: Sequence[str] = (),
    engine: Engine | None = None,
    expected: State | None = State.MATERIALIZED,
) -> None:
    """Walk tiles without Dagster; refuses to be a measurement of anything but `expected`."""
    with open_database(project.database_url) as database:
        pipeline = TilePipeline(
            project=project,
            store=open_store(project.storage_url),
            database=database,
            engine=engine or InlineEngine(),
            clock=lambda: dt.datetime.now(dt.UTC),
            owner="benchmark",
        )
        for outcome in pipeline.run(tiles, stages=stages or pipeline.chain.stages):
            if expected is not None and outcome.state is not expected:
                message = f"{outcome.tile}: {outcome.state}, not {expected}: {outcome.trouble}"
                raise RuntimeError(message)
