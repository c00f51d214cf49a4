"""Tiles walked through the chain in this process, with every outcome counted and format_outcome.

Boundary sets brought up to date before the tiles that are summed up by them.

The one clock of the command line, and its name as a writer.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.local_run.progress import ProgressDisplay
from spatial_assets.cli.selection.asset_options import boundary_assets
from spatial_assets.pipeline.boundaries import BoundaryPipeline, BoundaryStep
from spatial_assets.pipeline.engines.choice import chosen_engine
from spatial_assets.pipeline.engines.engine import Engine
from spatial_assets.pipeline.outcome import BAD_STATES, RunReport, TileOutcome
from spatial_assets.pipeline.run.driver import TilePipeline


def now() -> datetime:
    """The present moment, UTC."""
    return datetime.now(UTC)


def lease_owner() -> str:
    """Who holds a lease, for people: host and process."""
    return f"{socket.gethostname()} process {os.getpid()}"


def engine_for(opened: OpenProject, workers: int | None) -> Engine:
    """The engine for a number of processes here; None: as the project says, 0: this process."""
    compute = opened.project.compute
    return chosen_engine(
        opened.project,
        opened.store,
        workers=compute.workers if workers is None else workers,
        gdal_cache_mb=compute.gdal_cache_mb,
        dask=compute.dask if workers is None else "",
    )


def run_tiles(
    opened: OpenProject,
    keys: Sequence[str],
    *,
    stages: Sequence[str],
    engine: Engine,
    progress: ProgressDisplay,
    clock: Callable[[], datetime] = now,
) -> RunReport:
    """Walk the tiles; bad ones are format_outcome as they end, and counted in what is returned."""
    pipeline = TilePipeline(
        project=opened.project,
        store=opened.store,
        database=opened.database,
        engine=engine,
        clock=clock,
        owner=lease_owner(),
    )
    report = RunReport()
    progress.begin(f"{', '.join(stages)}", total=len(keys))
    for outcome in pipeline.run(keys, stages=stages):
        report.add(outcome)
        if outcome.state in BAD_STATES:
            progress.say(format_outcome(outcome))
        progress.step(f"{outcome.tile} {outcome.state}")
    return report


def format_outcome(outcome: TileOutcome) -> str:
    """A bad tile in one line: which, how, where and why."""
    trouble = outcome.bad_stage
    if trouble is None:
        return f"{outcome.tile} {outcome.state}"
    why = " ".join(f"{trouble.reason}: {trouble.message}".split())
    return f"{outcome.tile} {trouble.state} at {trouble.stage}: {why}"


def update_boundaries(
    opened: OpenProject,
    wanted: Collection[str],
    *,
    clock: Callable[[], datetime],
    say: Callable[[str], None],
) -> None:
    """Fetch, validate and load, as far as those assets are `wanted`; says what was found.

    Raises:
        VectorError: a file as a whole cannot be used.
        MissingInputError: a step before the wanted one was never made.
    """
    opened.database.ensure_schema(opened.project.boundaries, opened.project.indices.names)
    for settings in opened.project.boundaries:
        pipeline = BoundaryPipeline(
            project=opened.project, settings=settings, store=opened.store, clock=clock
        )
        raw, validated, table = boundary_assets(settings.name)
        if raw in wanted:
            say(f"{raw}: {_fetched(pipeline.fetch())}")
        if validated in wanted:
            step = pipeline.validate()
            pipeline.record_quarantine(opened.database)
            say(f"{validated}: {_validated(step)}")
        if table in wanted:
            say(f"{table}: {pipeline.load(opened.database).facts['rows']} rows")


def _fetched(step: BoundaryStep) -> str:
    return f"{step.facts['source']}, {step.state}"


def _validated(step: BoundaryStep) -> str:
    parts = [f"{step.facts['features']} features"]
    parts += [
        f"{step.facts[name]} {name}" for name in ("repaired", "quarantined") if step.facts[name]
    ]
    reasons = step.facts.get("reasons")
    if isinstance(reasons, Mapping) and reasons:
        parts.append(", ".join(f"{reason} {count}" for reason, count in reasons.items()))
    return f"{', '.join(parts)}, {step.state}"
