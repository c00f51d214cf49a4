"""A product of a thousand shards, moved for one more column to the west, or made again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from benchmarks.direct_run import run_directly
from benchmarks.projects import SQUARE_ZOOM, square, write_project
from benchmarks.rows import Row, row, wall
from benchmarks.tiny_tiles import tiny_tiles_project
from spatial_assets.pipeline.regrid.operation import Regrid
from spatial_assets.project import Project
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database

MOST = 0.1
"""Limit of the ratio."""


def rows(folder: Path, *, shards: int) -> list[Row]:
    """Wall time of `regrid`, against that of making the same tiles, all of them of 256 pixels.

    Larger tiles cost more to make and the same to move: the ratio is the worst there is.
    """
    project = tiny_tiles_project(folder, shards)
    keys = project.partitioning.keys
    made = wall(lambda: run_directly(project, keys))
    west, south, east, north = square(shards)
    grown = write_project(
        folder,
        bbox=(west - 360.0 / 2**SQUARE_ZOOM, south, east, north),
        scenes="scenes",
        zoom=SQUARE_ZOOM,
        pixels=256,
    )
    moved = wall(lambda: move(grown))
    return [
        row(
            f"regrid of {len(keys):,} shards by one column west, against making them",
            moved,
            made,
            most=MOST,
            unit="s wall",
        )
    ]


def move(project: Project) -> None:
    """Move the product of a project to where its larger area has it."""
    with open_database(project.database_url) as database:
        Regrid(
            project=project,
            store=open_store(project.storage_url),
            database=database,
            owner="benchmark",
            clock=lambda: datetime.now(UTC),
            say=lambda _: None,
        ).run()
