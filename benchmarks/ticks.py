"""Cost of an automation tick by the number of tiles, on SQLite and on PostgreSQL.

Five assets, every tile materialized once, one in a hundred stale. Events are copied in bulk from
one that Dagster wrote itself: a million regular events would take hours.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from benchmarks.projects import SQUARE_ZOOM, square, write_project
from benchmarks.rows import Row, bound, row
from spatial_assets.definitions import build_definitions
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project
from spatial_assets_tests.servers.postgis import postgres_programs, serve, server_user

SIZES = (1_000, 10_000, 100_000)
STALE_SHARE = 0.01
TICKS = 3
MAX_SECONDS = 5.0
"""Maximum at 100,000 tiles."""

LINEAR = 1.3
"""Tolerance of linear growth: the cost may grow by this factor more than the number of tiles."""

WARN = dt.timedelta(days=5)
MORE = """
[[boundaries]]
name = "boundaries"
source = "boundaries.gpkg"
key = "id"
[freshness]
raw_tile = { warn = "5 days", fail = "10 days" }
"""


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One evaluation of all tiles."""

    tiles: int
    cpu: float
    """CPU seconds of this process."""

    wall: float
    requested: int
    cursor_bytes: int
    peak_mb: int
    """Peak memory of this process so far; sizes ascend, so the peak is of this size."""


def rows(sizes: Sequence[int] = SIZES) -> list[Row]:
    """Rows for each storage and size, and one for the growth of the cost."""
    found: list[Row] = []
    for storage, start in (("SQLite", sqlite_home), ("PostgreSQL", postgres_home)):
        costs = {}
        for size in sizes:
            with tempfile.TemporaryDirectory(prefix="spatial-assets-ticks-") as scratch:
                tick = measure(Path(scratch), size, start=start)
            costs[size] = tick.cpu
            print(f"  {storage}: {describe(tick)}", flush=True)
        most = MAX_SECONDS if sizes[-1] >= SIZES[-1] else None
        what = f"tick on {storage}, {tick.tiles:,} tiles x 5 assets, 1 % stale"
        found.append(bound(what, tick.wall, most=most, unit="seconds"))
        found.append(growth(storage, costs))
    return found


def growth(storage: str, costs: Mapping[int, float]) -> Row:
    """Row that compares the growth of the cost with the growth of the number of tiles."""
    (few, less), (many, more) = sorted(costs.items())[-2:]
    times = many / few
    return row(
        f"tick on {storage}, cost of {many:,} tiles against {few:,}, of linear growth",
        more / times,
        less,
        most=LINEAR,
        unit="CPU seconds, the first divided by how many times more tiles it has",
    )


def describe(tick: Tick) -> str:
    """Describe one size in a line."""
    return (
        f"{tick.tiles:>7,} tiles: {tick.wall:.2f} s a tick ({tick.cpu:.2f} s CPU), "
        f"{tick.requested:,} requested, cursor {tick.cursor_bytes / 1024:,.0f} kB, "
        f"peak {tick.peak_mb:,} MB"
    )


def measure(folder: Path, size: int, *, start: Any) -> Tick:  # noqa: ANN401 - a context manager
    """Median of some ticks after the first, which reads what the others find cached."""
    project = write_project(
        folder, bbox=square(size), scenes="scenes", zoom=SQUARE_ZOOM, pixels=256, more=MORE
    )
    with start(folder) as home, dg.DagsterInstance.from_config(str(home)) as instance:
        clock = fill(project, instance)
        definitions = build_definitions(project, clock=lambda: clock + WARN)
        cursor, costs = None, []
        for number in range(TICKS + 1):
            begun, worked = time.perf_counter(), time.process_time()
            result = dg.evaluate_automation_conditions(
                definitions, instance, dg.AssetSelection.groups("tiles"), cursor=cursor
            )
            spent = (time.process_time() - worked, time.perf_counter() - begun)
            if number == 0:
                requested = len(result.get_requested_partitions(dg.AssetKey("raw_tile")))
            else:
                costs.append(spent)
            cursor = result.cursor
    cpu, wall = sorted(costs)[len(costs) // 2]
    return Tick(
        tiles=len(project.partitioning.keys),
        cpu=cpu,
        wall=wall,
        requested=requested,
        cursor_bytes=len(dg.serialize_value(cursor)),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    )


def fill(project: Project, instance: dg.DagsterInstance) -> dt.datetime:
    """Record every tile of every asset as materialized, stale ones first; return that time."""
    keys = project.partitioning.keys
    stale = set(keys[:: round(1 / STALE_SHARE)])
    ordered = sorted(keys, key=lambda key: key not in stale)
    assets = chain_of(project).stages
    for asset in assets:
        event = dg.AssetMaterialization(asset, partition="template")
        instance.report_runless_asset_event(event)
    now = dt.datetime.now(dt.UTC)
    between = now - dt.timedelta(seconds=30)
    for asset in assets:
        copies(instance, asset, ordered, stale=stale, between=between)
    return between


def copies(
    instance: dg.DagsterInstance,
    asset: str,
    tiles: list[str],
    *,
    stale: set[str],
    between: dt.datetime,
) -> None:
    """Copy the event of an asset once for each tile."""
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        table = sa.Table("event_logs", sa.MetaData(), autoload_with=connection)
        path = dg.AssetKey(asset).to_string()
        template = dict(
            connection.execute(
                sa.select(table).where(table.c.asset_key == path, table.c.partition == "template")
            )
            .mappings()
            .one()
        )
        number = template.pop("id")
        connection.execute(sa.delete(table).where(table.c.id == number))
        early = between - dt.timedelta(seconds=1)
        batch = [
            {
                **template,
                "partition": tile,
                "event": template["event"].replace('"template"', json.dumps(tile)),
                "timestamp": (
                    early if tile in stale else between + dt.timedelta(seconds=1)
                ).replace(tzinfo=None),
            }
            for tile in tiles
        ]
        for at in range(0, len(batch), 5_000):
            connection.execute(sa.insert(table), batch[at : at + 5_000])
        commit = getattr(connection, "commit", None)
        if commit is not None:
            commit()


@contextlib.contextmanager
def sqlite_home(folder: Path) -> Iterator[Path]:
    """A DAGSTER_HOME with the default storage."""
    home = folder / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    yield home


@contextlib.contextmanager
def postgres_home(folder: Path) -> Iterator[Path]:
    """A DAGSTER_HOME whose storage is a separate PostgreSQL server."""
    home = folder / "dagster_home"
    home.mkdir()
    user = server_user()
    place = Path(tempfile.mkdtemp(prefix="spatial-assets-postgres-"))
    if user is not None:
        shutil.chown(place, user)
    for server in serve(postgres_programs(), place / "cluster", user=user):
        url = server.url("gis").replace("+psycopg:", "+psycopg2:")
        (home / "dagster.yaml").write_text(
            f"telemetry: {{enabled: false}}\nstorage: {{postgres: {{postgres_url: '{url}'}}}}\n"
        )
        yield home
