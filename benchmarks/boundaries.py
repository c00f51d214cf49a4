"""One changed feature of a large boundary set, compared with loading the set for the first time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import process_time

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks.rows import Row, row
from benchmarks.tables import server
from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.project import load_project
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database

SIDE = 316  # squared: 100,000 parcels
VERTICES_OF_EDGE = 5
JITTER_METRES = 4.0
PARCEL_METRES = 100.0
MOST_OF_A_LOAD = 0.3
PROJECT = """
[area]
bbox = [14.9, 45.9, 15.6, 46.6]
[scenes]
catalog = "scenes"
sensor = "sentinel-2-l2a"
datetime = "2023-08-01/2023-08-31"
[[boundaries]]
name = "parcels"
source = "parcels.gpkg"
key = "parcel_id"
columns = ["name", "worth"]
"""


def rows(side: int = SIDE) -> list[Row]:
    """Measure the set in PostGIS; CPU of this process and, in a second row, of the server."""
    for url in server():
        costs(url, side=10)  # imports of the first use are not counted
        ours, servers = costs(url, side=side)
        what = f"one of {side**2:,} boundary features changed, against loading all, CPU"
        return [
            row(
                what,
                ours[1],
                ours[0],
                most=MOST_OF_A_LOAD if side >= SIDE else None,
                unit="seconds",
            ),
            row(f"{what} of PostGIS", servers[1], servers[0], most=None, unit="seconds"),
        ]
    raise RuntimeError("no server")


def costs(url: str, *, side: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """CPU seconds of (the first load, one changed feature): of this process, and of the server."""
    with tempfile.TemporaryDirectory(prefix="spatial-assets-boundaries-") as folder:
        root = Path(folder)
        (root / "project.toml").write_text(PROJECT)
        frame = parcels(side)
        frame.to_file(root / "parcels.gpkg", driver="GPKG")
        schema = f"{url}?schema=side_{side}"
        first = cost(root, schema)
        frame.loc[5, "geometry"] = shapely.transform(frame.geometry[5], lambda xy: xy * 1.0000001)
        frame.to_file(root / "parcels.gpkg", driver="GPKG")
        again = cost(root, schema)
    return (first[0], again[0]), (first[1], again[1])


def cost(root: Path, url: str) -> tuple[float, float]:
    """CPU seconds of all steps of the set: of this process, and of its session on the server."""
    project = load_project(root, {})
    with open_database(url, pool_size=1) as database:
        pipeline = BoundaryPipeline(
            project=project,
            settings=project.boundaries[0],
            store=open_store(project.storage_url),
            clock=lambda: datetime(2023, 8, 10, 12, tzinfo=UTC),
        )
        session = server_clock(database.in_transaction(backend, write=False))
        before, started = session(), process_time()
        pipeline.fetch()
        pipeline.validate()
        pipeline.record_quarantine(database)
        pipeline.load(database)
        return process_time() - started, session() - before


def backend(transaction: object) -> int:
    """Process of this session on the server."""
    return int(transaction.run("SELECT pg_backend_pid()")[0][0])  # type: ignore[attr-defined]


def server_clock(pid: int) -> Callable[[], float]:
    """CPU seconds so far of a process of this machine."""

    def seconds() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100  # utime and stime in clock ticks

    return seconds


def parcels(side: int) -> gpd.GeoDataFrame:
    """Parcels of four bent edges that share their vertices, in metres of the Slovene grid."""
    corners = jittered(side * VERTICES_OF_EDGE + 1)
    shapes = [
        shapely.Polygon(ring(corners, row * VERTICES_OF_EDGE, column * VERTICES_OF_EDGE))
        for row in range(side)
        for column in range(side)
    ]
    keys = [f"parcel {number}" for number in range(len(shapes))]
    columns = {"parcel_id": keys, "name": keys, "worth": np.arange(len(shapes)) * 1.5}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:3794")


def jittered(count: int) -> NDArray[np.float64]:
    """Points of a bent lattice, shape (row, column, 2): easting, northing."""
    steps = np.arange(count) * PARCEL_METRES / VERTICES_OF_EDGE
    lattice = np.stack(np.meshgrid(steps + 400_000, steps + 60_000), axis=-1)
    return lattice + np.random.default_rng(4).uniform(-JITTER_METRES, JITTER_METRES, lattice.shape)


def ring(corners: NDArray[np.float64], row: int, column: int) -> NDArray[np.float64]:
    """Vertices around the parcel that begins at a row and column of the lattice."""
    ahead = np.arange(VERTICES_OF_EDGE)
    back = VERTICES_OF_EDGE - ahead
    far_row, far_column = row + VERTICES_OF_EDGE, column + VERTICES_OF_EDGE
    edges = [
        corners[row, column + ahead],
        corners[row + ahead, far_column],
        corners[far_row, column + back],
        corners[row + back, column],
    ]
    return np.concatenate(edges)
