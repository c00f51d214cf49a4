"""CPU seconds of `plan`, `status` and `tiles` at 100,000 tiles: none made, or all.

States and inputs are written through the tables, manifests into the store; no pixel is computed.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from benchmarks.projects import SQUARE_ZOOM, Bounds, square, write_project
from benchmarks.rows import Row, bound
from benchmarks.tables import server
from spatial_assets.catalog import find_scenes
from spatial_assets.pipeline import ownership
from spatial_assets.pipeline.freshness.stage_inputs import SceneIndex, inputs_by_stage, inputs_row
from spatial_assets.pipeline.run.commit import as_multipolygon
from spatial_assets.pipeline.stages import TILE_INDEX, chain_of
from spatial_assets.project import Project, load_project
from spatial_assets.stores.objects.grid_identity import claim_grid
from spatial_assets.stores.objects.manifests import TileManifest, commit_manifest
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.rows import Columns, TileInputs, Upsert
from spatial_assets.stores.tables.connect import open_database

DATABASE_URL = "SPATIAL_ASSETS_DATABASE_URL"
TILES = 100_000
MAX_SECONDS = 5.0
"""Maximum of every command at 100,000 tiles."""

PROGRAM = Path(sys.executable).with_name("spatial-assets")
COMMANDS = ("plan", "status", "tiles")
MORE = """
[indices]
names = ["ndvi"]
[freshness]
raw_tile = { warn = "5 days", fail = "10 days" }
"""

GRANULE_DEGREES = 1.2
"""Side of the footprint of a scene, about that of a Sentinel-2 granule."""

DAYS = (4, 14, 24)
BANDS = {"red": "red", "nir": "nir", "scl": "scl"}
WHEN = datetime(2023, 9, 1, tzinfo=UTC)
WRITERS = 8
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"  # without bytecode every start compiles our modules


def rows(tiles: int = TILES) -> list[Row]:
    """Measure the commands on DuckDB and on PostGIS, before the first run and after all runs."""
    with tempfile.TemporaryDirectory(prefix="spatial-assets-commands-") as scratch:
        on_duckdb = measured(Path(scratch) / "duckdb", tiles, "DuckDB")
        for url in server():
            return on_duckdb + measured(Path(scratch) / "postgis", tiles, "PostGIS", url)
    raise RuntimeError("no server")


def measured(folder: Path, tiles: int, database: str, url: str = "") -> list[Row]:
    """Measure the commands on one database."""
    project = made_project(folder, tiles, database=url)
    most = MAX_SECONDS if tiles >= TILES else None

    def row_of(command: str, when: str) -> Row:
        name = f"spatial-assets {command}, {tiles:,} tiles, {database}, {when}"
        cpu = cpu_of(folder, command, database=url)
        return bound(name, cpu, most=most, unit="CPU seconds, start included")

    cpu_of(folder, "plan", database=url)  # the first use writes bytecode
    found = [row_of("plan", "no tile made")]
    make_all(project)
    return found + [row_of(command, "all made") for command in COMMANDS]


def made_project(folder: Path, tiles: int, *, database: str = "") -> Project:
    """Write a project and its catalogue of scenes; `database`: empty for a file of DuckDB."""
    bbox = square(tiles)
    write_items(folder / "scenes", bbox)
    write_project(folder, bbox=bbox, scenes="scenes", zoom=SQUARE_ZOOM, pixels=256, more=MORE)
    return load_project(folder, env={DATABASE_URL: database} if database else {})


def write_items(folder: Path, bbox: Bounds) -> None:
    """Write the items of scenes that cover an area on each day; their files are empty."""
    west, south, east, north = bbox
    for day in DAYS:
        for column, left in enumerate(np.arange(west, east, GRANULE_DEGREES).tolist()):
            for row, lower in enumerate(np.arange(south, north, GRANULE_DEGREES).tolist()):
                name = f"S2A_{column:02d}{row:02d}_202308{day:02d}_0_L2A"
                box = (left, lower, left + GRANULE_DEGREES, lower + GRANULE_DEGREES)
                write_item(folder / name, name, day=day, box=box)


def write_item(folder: Path, name: str, *, day: int, box: Bounds) -> None:
    """Write one item."""
    folder.mkdir(parents=True)
    west, south, east, north = box
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": list(box),
        "properties": {
            "datetime": f"2023-08-{day:02d}T10:00:00Z",
            "platform": "sentinel-2a",
            "s2:processing_baseline": "05.09",
            "earthsearch:boa_offset_applied": True,
        },
        "links": [],
        "assets": {
            band: {"href": f"{band}.tif", "eo:bands": [{"common_name": common}]}
            for band, common in BANDS.items()
        },
    }
    for band in BANDS:
        (folder / f"{band}.tif").touch()
    (folder / f"{name}.json").write_text(json.dumps(item))


def make_all(project: Project) -> None:
    """Write the manifests, states, inputs and index rows of all tiles, as runs would have."""
    store = open_store(project.storage_url)
    claim_grid(store, project.grid_id, grid=project.grid.model_dump(mode="json"))
    keys = project.partitioning.keys
    with open_database(project.database_url) as database:
        ownership.claim(project, store, database)
        database.commit([Upsert("tile_state", Columns(states(project, keys)))])
        database.commit([Upsert("tile_inputs", inputs(project))])
        database.replace_all(TILE_INDEX, index_rows(project))
    manifests = (TileManifest(grid_id=project.grid_id, tile=key) for key in keys)
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(lambda manifest: commit_manifest(store, manifest), manifests):
            pass


def states(project: Project, keys: tuple[str, ...]) -> Mapping[str, Sequence[object]]:
    """Columns of `tile_state`: every stage of every tile made."""
    stages = chain_of(project).stages
    count = len(keys) * len(stages)
    return {
        "grid_id": [project.grid_id] * count,
        "tile": [key for key in keys for _ in stages],
        "stage": list(stages) * len(keys),
        "state": ["materialized"] * count,
        "evidence": [{}] * count,
        "fingerprint": ["f" * 64] * count,
        "since": [WHEN] * count,
    }


def inputs(project: Project) -> Iterator[TileInputs]:
    """Rows of `tile_inputs`: the scenes that the catalogue has now."""
    scene_index = SceneIndex(find_scenes(project).scene_versions)
    for key, tile in project.partitioning.tiles.items():
        scenes = scene_index.scenes_hash(tile.footprint(project.pixel_grid))
        made = inputs_by_stage(project, scenes=scenes, boundaries={})
        yield inputs_row(made, grid_id=project.grid_id, tile=key, looked_at=WHEN)


def index_rows(project: Project) -> list[Mapping[str, object]]:
    """Rows of `tile_index`: one period of each tile."""
    return [
        {
            "grid_id": project.grid_id,
            "tile": key,
            "index_name": "ndvi",
            "period": "2023-08",
            "period_start": date(2023, 8, 1),
            "valid_fraction": 0.5,
            "observations": 1.5,
            "scenes": 3,
            "uri": "ndvi.zarr",
            "fingerprint": "f" * 64,
            "geometry": as_multipolygon(tile.footprint(project.pixel_grid)),
            "refreshed_at": WHEN,
        }
        for key, tile in project.partitioning.tiles.items()
    ]


def cpu_of(folder: Path, *arguments: str, database: str = "") -> float:
    """CPU seconds of one command, its start and imports included."""
    env = {name: value for name, value in os.environ.items() if name != NO_BYTECODE}
    if database:
        env[DATABASE_URL] = database
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [PROGRAM, "--project", folder, *arguments],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        env=env,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
