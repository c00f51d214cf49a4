"""The bulk path to PostGIS compared with `to_postgis`, on a separate server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from statistics import median

import geopandas as gpd
import numpy as np
import shapely
import sqlalchemy as sa
from shapely.geometry.base import BaseGeometry

from benchmarks.rows import Row, row, wall
from spatial_assets.stores.rows import BoundarySet, Columns, Replace
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.servers.postgis import postgres_programs, serve, server_user

POLYGONS = 200_000
CORNERS = 24
TILES = 500
ROWS_OF_A_TILE = 12
REPEATS = 3
LEAST_TIMES_FASTER = 3.0
PARCELS = BoundarySet(name="parcels", key="parcel_id", columns=("name",))


def rows(polygons: int = POLYGONS, tiles: int = TILES) -> list[Row]:
    """Measure loading boundaries, and replacing the rows of tiles one by one."""
    for url in server():
        load_both(url, parcels(100))  # imports of the first use are not timed
        return [load(url, polygons), tile_rows(url, tiles)]
    raise RuntimeError("no server")


def server() -> Iterator[str]:
    """Run a PostGIS server and yield the URL of its database."""
    user = server_user()
    place = Path(tempfile.mkdtemp(prefix="spatial-assets-postgres-"))
    if user is not None:
        shutil.chown(place, user)
    for started in serve(postgres_programs(), place / "cluster", user=user):
        yield started.url("gis")


def load(url: str, polygons: int) -> Row:
    """Load the same polygons into a table with a key and a spatial index; few have no target."""
    seconds = load_both(url, parcels(polygons))
    what = f"load of {polygons:,} polygons of {CORNERS} corners, against geopandas.to_postgis"
    ours, theirs = (median(each) for each in zip(*seconds, strict=True))
    most = 1 / LEAST_TIMES_FASTER if polygons >= POLYGONS else None
    return row(what, ours, theirs, most=most, unit="seconds")


def load_both(url: str, frame: gpd.GeoDataFrame) -> list[tuple[float, float]]:
    """Seconds of the product and of `to_postgis`, in turn.

    `to_postgis` creates the spatial index itself; its users add the key and ANALYZE.
    """
    engine = sa.create_engine(url)

    def theirs() -> None:
        frame.to_postgis("theirs", engine, if_exists="replace")
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE theirs ADD PRIMARY KEY (boundary_key)"))
            connection.execute(sa.text("ANALYZE theirs"))

    with open_database(url) as database:
        sets = [replace(PARCELS, name=f"parcels_{n}") for n in range(REPEATS)]
        database.ensure_schema(sets)

        def ours(name: str) -> None:
            columns = {str(each): frame[each].to_numpy().tolist() for each in frame.columns}
            database.replace_all(name, Columns(columns))

        seconds = [(wall(partial(ours, each.name)), wall(theirs)) for each in sets]
    engine.dispose()
    return seconds


def parcels(count: int) -> gpd.GeoDataFrame:
    """Small round polygons all over a country, with the columns of a boundary table."""
    generator = np.random.default_rng(4)
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    across, up = generator.uniform(14, 19, count), generator.uniform(42, 46, count)
    rings = np.stack(
        [across[:, None] + 1e-3 * np.cos(angle), up[:, None] + 1e-3 * np.sin(angle)], axis=-1
    )
    names = [f"parcel {number}" for number in range(count)]
    return gpd.GeoDataFrame(
        {
            "boundary_key": names,
            "parcel_id": names,
            "name": names,
            "area_m2": generator.uniform(1e4, 2e4, count),
            "feature_fingerprint": [f"{number:064x}" for number in range(count)],
            "source": "parcels.gpkg",
        },
        geometry=multipolygons(rings),
        crs="EPSG:4326",
    )


def multipolygons(rings: np.ndarray) -> list[BaseGeometry]:
    """A MultiPolygon of one part for each ring, shape (ring, corner, 2)."""
    polygons = np.asarray(shapely.polygons(rings))
    return [shapely.MultiPolygon([each]) for each in polygons]


def tile_rows(url: str, tiles: int) -> Row:
    """Replace the rows of one tile after the other, each in its transaction."""
    with open_database(url) as database:
        database.ensure_schema([PARCELS], ["ndvi"])
        changes = [change(number) for number in range(tiles)]

        def ours() -> None:
            for each in changes:
                database.commit([each])

        seconds = wall(ours)
        together = wall(lambda: database.commit(changes))
    return row(
        f"rows of a tile ({ROWS_OF_A_TILE}) replaced in a transaction each, against all in one",
        seconds / tiles * 1000,
        together / tiles * 1000,
        most=None,
        unit="ms a tile",
    )


def change(number: int) -> Replace:
    """Entries of one tile in the tile index."""
    keys = {"grid_id": "0123456789ab", "tile": f"{number:08d}"}
    box = shapely.multipolygons([shapely.box(15, 45, 15.1, 45.1)])
    entries = [
        {
            **keys,
            "index_name": "ndvi",
            "period": f"2023-{month:02d}",
            "period_start": date(2023, month, 1),
            "valid_fraction": 0.5,
            "observations": 3.0,
            "scenes": 4,
            "uri": "ndvi.zarr",
            "fingerprint": "f" * 64,
            "geometry": box,
            "refreshed_at": datetime(2023, 9, 1, tzinfo=UTC),
        }
        for month in range(1, ROWS_OF_A_TILE + 1)
    ]
    return Replace("tile_index", keys, entries)
