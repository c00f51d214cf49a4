"""Costs of a tile besides its pixels, on which the scaling page is based."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from benchmarks.direct_run import run_directly
from benchmarks.ranges import CACHE_MB, WORKERS, run_range
from benchmarks.rows import Row, bound
from benchmarks.tiny_tiles import tiny_tiles_project
from spatial_assets.pipeline.engines.engine import ProcessEngine
from spatial_assets.project import Project
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets.stores.tables.connect import open_database

TILES = 300
MB = "MB a tile"
GRANULE_PIXELS = 10_980
"""Side of a granule at 10 m."""

REQUESTS = ("put", "create", "get", "find", "head", "delete", "list")
TABLES = ("tile_index", "tile_state", "tile_inputs")


def rows(folder: Path, tiles: int = TILES) -> list[Row]:
    """Costs of tiles with hardly a pixel, one scene and no boundary."""
    plain, ours = (
        tiny_tiles_project(folder / name, 2 * tiles) for name in ("costs", "costs-dagster")
    )
    few, many = plain.partitioning.keys[: tiles // 5], plain.partitioning.keys[tiles // 5 : tiles]
    engine = ProcessEngine(workers=WORKERS, gdal_cache_mb=CACHE_MB)
    more = (len(many) - len(few)) / 1000  # so that the fixed cost of a run is not shared out
    with counted_requests() as requests:
        first = cpu(lambda: run_directly(plain, few, engine=engine))
        alone = (cpu(lambda: run_directly(plain, many, engine=engine)) - first) / more
    home = folder / "costs-home"
    first = cpu(lambda: run_range(ours, few, home))
    with_dagster = (cpu(lambda: run_range(ours, many, home)) - first) / more
    ms = "ms CPU a tile"
    return [
        bound("driver of a tile: leases, rows, manifest", alone, most=None, unit=ms),
        bound("driver of a tile, with Dagster on SQLite", with_dagster, most=None, unit=ms),
        bound("driver's requests to the store", requests.total() / tiles, most=None, unit="a tile"),
        bound("rows in the database", database_rows(plain) / tiles, most=None, unit="a tile"),
        bound("events of Dagster", events(home) / tiles, most=None, unit="a tile"),
    ]


def stored(project: Project, tiles: int) -> list[Row]:
    """Objects and bytes of tiles in the store, by stage."""
    found = open_store(project.storage_url).list()
    stages = {"raw_tile": "raw_tile/", "reprojected_raster": "reproj", "ndvi": "ndvi.zarr/ndvi/c/"}
    of = {name: [each for each in found if each.path.startswith(p)] for name, p in stages.items()}
    of["observations"] = [each for each in found if "/observations/c/" in each.path]
    return [
        *(
            bound(f"stored: {name}", sum(o.size for o in all_) / tiles / 1e6, most=None, unit=MB)
            for name, all_ in of.items()
        ),
        bound("stored objects", sum(map(len, of.values())) / tiles, most=None, unit="a tile"),
    ]


def read(scenes: Path) -> list[Row]:
    """Bytes that the archive holds for a pixel: median over scenes of the file size by pixels."""
    bands = [file for file in scenes.rglob("*.tif") if "scl" not in file.name.lower()]
    pixels = GRANULE_PIXELS**2
    each = sorted(file.stat().st_size / pixels for file in bands)
    return [bound("archive: a pixel of a band", each[len(each) // 2], most=None, unit="bytes")]


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process, the driver."""
    started = time.process_time()
    work()
    return time.process_time() - started


@contextmanager
def counted_requests() -> Iterator[Counter[str]]:
    """Count the requests of this process to object stores; workers are other processes."""
    requests: Counter[str] = Counter()
    before = {name: getattr(ObjectStore, name) for name in REQUESTS}
    for name, method in before.items():
        setattr(ObjectStore, name, counting(method, requests))
    try:
        yield requests
    finally:
        for name, method in before.items():
            setattr(ObjectStore, name, method)


def counting(method: Callable[..., Any], requests: Counter[str]) -> Callable[..., Any]:
    """Wrap a method to count its calls."""

    @wraps(method)
    def counted(*arguments: object, **options: object) -> object:
        requests[method.__name__] += 1
        return method(*arguments, **options)

    return counted


def database_rows(project: Project) -> int:
    """Number of rows in the tables that grow with tiles."""
    with open_database(project.database_url) as database:
        return sum(len(database.rows(table)) for table in TABLES)


def events(home: Path) -> int:
    """Number of events that Dagster has stored, planned ones included."""
    found = 0
    for file in home.rglob("*.db"):
        with closing(sqlite3.connect(file)) as opened:
            tables = opened.execute("select name from sqlite_master where name = 'event_logs'")
            if file.name != "index.db" and tables.fetchone():
                found += int(opened.execute("select count(*) from event_logs").fetchone()[0])
    return found
