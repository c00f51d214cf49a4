"""Bytes that each growing thing takes, measured on a small product; and the arithmetic of a large.

`python -m benchmarks growth` prints the table of docs/operations.md, section "What grows, and who
removes it". Sizes are those of files and tables on disk, not of the text in them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
import yaml

from benchmarks.projects import SQUARE_ZOOM, square, write_project
from benchmarks.ticks import MORE, postgres_home
from spatial_assets.automation.event_retention import prune_scope
from spatial_assets.definitions import build_definitions
from spatial_assets.instance.event_pruning import give_back_space, prune_events
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.dagster_runs import BOUNDARIES, CHAIN, definitions, materialize
from spatial_assets_tests.fixtures.event_logs import OPEN_SQLITE, POOLED_POSTGRES
from spatial_assets_tests.fixtures.ten_village_project import (
    ten_tiles,
    ten_villages_with_districts,
    widen_scene,
)

VISITS = 5
"""Renewals measured: rows come by pages of 4 and 8 kB, and ten tiles hardly fill some."""

EVENT_TABLES = ("event_logs", "asset_event_tags", "asset_check_executions")
TICK_TILES = 256

TILES, YEARS, VISITS_A_YEAR, DAYS_KEPT = 100_000, 5, 73, 90
PERIODS = 36 * YEARS
TILES_A_RUN = 2_000
SCENES_A_TILE = YEARS * 146
"""Two satellites that pass every five days."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Bytes by what they are bytes of."""

    made: float
    """Events, checks and run log of a tile that was made."""

    renewed: float
    """The same of one that was found unchanged."""

    kept: float
    """The same that a tile leaves after `prune --events`."""

    run_record: float
    """The record of a run, in SQLite, which is its default."""


def lines() -> Iterator[str]:
    """Yield the table of the measured bytes, and the sums of a large product."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="spatial-assets-growth-") as scratch:
        folder = Path(scratch)
        sizes = {
            "SQLite": events(folder / "sqlite", sqlite_home, sqlite_bytes),
            "PostgreSQL": events(folder / "postgres", pooled_home, postgres_bytes),
        }
        stored = product(folder / "sqlite")
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            stored |= tick(Path(place))
    yield from (*measured_lines(sizes, stored), "", *sums(sizes, stored))


Home = Callable[[Path], contextlib.AbstractContextManager[Path]]
SizeOf = Callable[[dg.DagsterInstance, Path], int]


def events(folder: Path, start: Home, size_of: SizeOf) -> Measured:
    """Bytes of events of a tile, made and renewed, and what is left of them."""
    folder.mkdir()
    project = ten_villages_with_districts(folder)
    defs, tiles = definitions(project), ten_tiles(project)
    for tile in tiles:
        widen_scene(project, tile)  # pictures of the size that real tiles have
    with start(folder) as home, dg.DagsterInstance.from_config(str(home)) as instance:
        materialize(defs, instance, BOUNDARIES)
        sizes, runs = [size_of(instance, home)], [run_bytes(home)]
        for _ in range(1 + VISITS):
            materialize(defs, instance, CHAIN, tiles=tiles)
            sizes.append(size_of(instance, home))
            runs.append(run_bytes(home))
        scope = prune_scope(project, instance, before=dt.datetime.now(dt.UTC))
        prune_events(instance, scope, dry=False)
        give_back_space(instance)
        if not instance.event_log_storage.is_run_sharded:
            shrink(instance)
        kept = size_of(instance, home) - sizes[0]
    return Measured(
        made=(sizes[1] - sizes[0]) / len(tiles),
        renewed=(sizes[-1] - sizes[1]) / len(tiles) / VISITS,
        kept=kept / len(tiles),
        run_record=(runs[-1] - runs[0]) / (1 + VISITS),
    )


def run_bytes(home: Path) -> int:
    """Size of the table of runs in SQLite, which is the default."""
    return in_use(home / "history" / "runs.db")


def in_use(path: Path) -> int:
    """Bytes of the pages in use of a database of SQLite."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        used = database.execute(
            "select page_size * (page_count - freelist_count) "
            "from pragma_page_size, pragma_page_count, pragma_freelist_count"
        )
        return int(used.fetchone()[0])


@contextlib.contextmanager
def sqlite_home(folder: Path) -> Iterator[Path]:
    """A DAGSTER_HOME with the event log that dagster.yaml names."""
    home = folder / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n" + OPEN_SQLITE)
    yield home


@contextlib.contextmanager
def pooled_home(folder: Path) -> Iterator[Path]:
    """A DAGSTER_HOME with the event log that dagster-postgres.yaml names, on its own server."""
    with postgres_home(folder) as home:
        stock = yaml.safe_load((home / "dagster.yaml").read_text())
        url = stock["storage"]["postgres"]["postgres_url"]
        (home / "dagster.yaml").write_text(
            "telemetry: {enabled: false}\n" + POOLED_POSTGRES.format(url=url)
        )
        yield home


def sqlite_bytes(instance: dg.DagsterInstance, home: Path) -> int:
    """Bytes of the files of the event log, each without what it has when it is empty."""
    folder = home / "history" / "runs"
    with instance.event_log_storage.run_connection("empty"):  # type: ignore[attr-defined]
        pass
    nothing = in_use(folder / "empty.db")
    return sum(in_use(each) - nothing for each in folder.glob("*.db"))


def postgres_bytes(instance: dg.DagsterInstance, _home: Path) -> int:
    """Size of the tables of the event log with their indices."""
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        return sum(
            connection.execute(sa.text(f"select pg_total_relation_size('{table}')")).scalar()
            for table in EVENT_TABLES
        )


def shrink(instance: dg.DagsterInstance) -> None:
    """Rewrite the tables without free space, to see what is left in them."""
    for table in EVENT_TABLES:
        with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            connection.execute(sa.text(f"vacuum full {table}"))


def product(folder: Path) -> dict[str, float]:
    """Bytes of what grows with tiles and scenes in the store: one scene a tile here, ten in all."""
    data = folder / "project" / "data"
    files = [each for each in data.rglob("*") if each.is_file()]
    manifests = [each for each in files if "manifests" in each.relative_to(data).parts]
    register = [each for each in files if "scene" in each.name]
    return {
        "manifest of a tile with one scene": sum(each.stat().st_size for each in manifests) / 10,
        "register of a scene": sum(each.stat().st_size for each in register) / 10,
    }


def tick(folder: Path) -> dict[str, float]:
    """Bytes that evaluations of automation take for a tile: when requested, and while it waits."""
    more = MORE.replace('"10 days" }', '"10 days", never_made = "first" }')
    project = write_project(
        folder, bbox=square(TICK_TILES), scenes="scenes", zoom=SQUARE_ZOOM, pixels=256, more=more
    )
    with dg.DagsterInstance.ephemeral() as instance:
        first, cursor = evaluated(project, instance, None)
        instance.create_run_for_job(
            build_definitions(project).resolve_job_def("tiles"),
            tags={
                "dagster/asset_partition_range_start": project.tile_keys[0],
                "dagster/asset_partition_range_end": project.tile_keys[-1],
            },
            status=dg.DagsterRunStatus.STARTED,
        )
        waiting, cursor = evaluated(project, instance, cursor)
        instance.report_runless_asset_event(
            dg.AssetMaterialization("raw_tile", partition=project.tile_keys[0])
        )
        again, _ = evaluated(project, instance, cursor)
    changed = sum(again[key][0] for key in again if again[key][1] != waiting[key][1])
    tiles = len(project.tile_keys)
    return {
        "evaluations that request a tile": sum(size for size, _ in first.values()) / tiles,
        "evaluations of a tick while it is in progress": changed / tiles,
    }


def evaluated(
    project: Project, instance: dg.DagsterInstance, cursor: object
) -> tuple[Mapping[str, tuple[int, str]], object]:
    """Asset -> bytes of its evaluation and the hash by which Dagster stores it, and the cursor."""
    result = dg.evaluate_automation_conditions(
        build_definitions(project),
        instance,
        dg.AssetSelection.groups("tiles"),
        cursor=cursor,  # type: ignore[arg-type]
    )
    found = {
        each.key.to_user_string(): (
            len(dg.serialize_value(each.serializable_evaluation)),
            each.value_hash,
        )
        for each in result.results
    }
    return found, result.cursor


def measured_lines(sizes: Mapping[str, Measured], stored: Mapping[str, float]) -> Iterator[str]:
    """Yield the measured bytes as a table in Markdown."""
    yield "| measured | bytes |"
    yield "|---|---:|"
    for name, size in sizes.items():
        yield f"| {name}: events of a tile that is made | {size.made:,.0f} |"
        yield f"| {name}: events of a tile that is renewed | {size.renewed:,.0f} |"
        yield f"| {name}: what a tile leaves after `prune --events` | {size.kept:,.0f} |"
    yield f"| record of a run | {sizes['SQLite'].run_record:,.0f} |"
    for name, number in stored.items():
        yield f"| {name} | {number:,.0f} |"


def sums(sizes: Mapping[str, Measured], stored: Mapping[str, float]) -> Iterator[str]:
    """Yield what 100,000 tiles take, with the arithmetic."""
    yield f"{TILES:,} tiles, {VISITS_A_YEAR} visits a year, {YEARS} years:"
    visits = VISITS_A_YEAR * DAYS_KEPT / 365
    for name, size in sizes.items():
        everything = TILES * VISITS_A_YEAR * YEARS * size.renewed
        kept = TILES * (visits * size.renewed + size.kept)
        yield (
            f"- events on {name}: {TILES:,} x ({visits:.0f} visits x {size.renewed:,.0f} + "
            f"{size.kept:,.0f}) = {kept / 1e9:,.0f} GB; "
            f"without retention {everything / 1e12:,.1f} TB"
        )
    runs = TILES / TILES_A_RUN * VISITS_A_YEAR
    evaluations = stored["evaluations that request a tile"]
    yield (
        f"- evaluations, 30 days: {TILES:,} x 6 visits x {evaluations:,.0f} = "
        f"{TILES * 6 * evaluations / 1e9:,.1f} GB"
    )
    record = sizes["SQLite"].run_record
    yield (
        f"- records of runs: {runs:,.0f} runs a year x {YEARS} x {record:,.0f} = "
        f"{runs * YEARS * record / 1e9:,.1f} GB"
    )
    manifest = stored["manifest of a tile with one scene"]
    yield (
        f"- manifests: at most {TILES:,} x {SCENES_A_TILE} scenes x {manifest:,.0f} = "
        f"{TILES * SCENES_A_TILE * manifest / 1e12:,.1f} TB"
    )
