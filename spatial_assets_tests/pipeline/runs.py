"""Runs of a pipeline, and what is in its store and its database afterwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spatial_assets.geo.grid.geobox import Window
from spatial_assets.pipeline.engines.engine import Engine, InlineEngine
from spatial_assets.pipeline.outcome import (
    BadTilesError,
    RunReport,
    StageOutcome,
    State,
    TileOutcome,
)
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.project import Project
from spatial_assets.stores.cube.cube import read_window
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets.stores.tables.database import open_database

NOON = dt.datetime(2023, 9, 15, 12, tzinfo=dt.UTC)
PIXELS = ("raw_tile", "reprojected_raster", "ndvi")
"""The stages that make pixels."""

Outcomes = Mapping[str, TileOutcome]


def walk(
    project: Project,
    *,
    stages: Iterable[str] | None = None,
    keys: Sequence[str] | None = None,
    engine: Engine | None = None,
    now: dt.datetime | Callable[[], dt.datetime] = NOON,
    patience: float = 0.0,
    **of_the_pipeline: Any,  # noqa: ANN401 - further fields
) -> Outcomes:
    """Run tiles (default: all) through stages (default: all); outcomes by tile, as they ended."""
    with open_database(project.database_url) as database:
        pipeline = TilePipeline(
            project=project,
            store=store_of(project),
            database=database,
            engine=engine or InlineEngine(),
            clock=now if callable(now) else (lambda: now),
            owner="test",
            lease_wait=dt.timedelta(seconds=patience),
            **of_the_pipeline,
        )
        wanted = project.partitioning.keys if keys is None else keys
        chosen = pipeline.chain.stages if stages is None else tuple(stages)
        return {outcome.tile: outcome for outcome in pipeline.run(wanted, stages=chosen)}


def store_of(project: Project) -> ObjectStore:
    """The project's store."""
    return open_store(project.storage_url)


def states(outcomes: Outcomes) -> set[State]:
    """The states that tiles ended in."""
    return {outcome.state for outcome in outcomes.values()}


def stage_of(outcome: TileOutcome, name: str) -> StageOutcome:
    """How one stage of a tile ended."""
    return next(stage for stage in outcome.stages if stage.stage == name)


def made(outcomes: Outcomes) -> dict[str, set[str]]:
    """Tile -> the stages of which anything was made."""
    changed = {
        tile: {each.stage for each in outcome.stages if each.state is not State.UNCHANGED}
        for tile, outcome in outcomes.items()
    }
    return {tile: stages for tile, stages in changed.items() if stages}


def trouble_of(outcome: TileOutcome) -> tuple[str, str]:
    """Reason and message of what is wrong with a tile."""
    assert outcome.bad_stage is not None
    return outcome.bad_stage.reason, outcome.bad_stage.message


def red(outcomes: Mapping[str, TileOutcome]) -> bool:
    """Whether a run must end as failed; if so, it names the tiles."""
    report = RunReport()
    for outcome in outcomes.values():
        report.add(outcome)
    if not report.bad:
        report.raise_if_any_tile_is_bad()
        return False
    with pytest.raises(BadTilesError) as caught:
        report.raise_if_any_tile_is_bad()
    return all(tile in str(caught.value) for tile in report.bad)


def cube(
    project: Project, *, period: int = 0, window: Window | None = None
) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Stored NDVI and observations of a period, over the whole product or a window."""
    area = project.partitioning.extent if window is None else window
    return read_window(store_of(project), "ndvi", period=period, window=area)


def objects(project: Project) -> dict[str, tuple[int, str, int]]:
    """Path -> size, etag and time of every object of the product."""
    root = Path(project.storage_url)
    return {
        info.path: (info.size, info.etag, (root / info.path).stat().st_mtime_ns)
        for info in store_of(project).list()
        if not info.path.startswith(("leases/", "spatial.duckdb"))
    }


def changed(before: Mapping[str, tuple[int, str, int]], project: Project) -> set[str]:
    """Paths of objects that were written, or removed, since `before` was taken."""
    after = objects(project)
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def folders(paths: Iterable[str]) -> set[str]:
    """First segments of paths: the stages that they belong to."""
    return {path.split("/", 1)[0] for path in paths}


def pixels(project: Project) -> dict[str, bytes]:
    """Path -> bytes of every object that holds pixels."""
    store = store_of(project)
    kept = ("raw_tile/", "reprojected_raster/", "ndvi.zarr/")
    return {each.path: store.get(each.path) for each in store.list() if each.path.startswith(kept)}


def rows(project: Project, table: str) -> list[dict[str, object]]:
    """All rows of a table or view."""
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        return database.rows(table)


def tables(project: Project) -> dict[str, list[dict[str, object]]]:
    """Every table that the chain writes."""
    names = ["tile_index", "tile_state", "quarantine"]
    if project.boundaries:
        names.append("ndvi_by_boundary")
    return {name: rows(project, name) for name in names}
