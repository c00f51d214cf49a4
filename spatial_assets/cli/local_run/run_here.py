"""Runs of tiles and updates of boundary sets in this process, with their outcomes reported.

Also the name of the command line as the owner of leases.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime

from spatial_assets.cli.app.clock import now
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.local_run.progress import ProgressDisplay
from spatial_assets.cli.selection.asset_options import boundary_assets
from spatial_assets.errors import SourceUnavailableError, VectorError
from spatial_assets.pipeline import ownership
from spatial_assets.pipeline.boundaries import BoundaryPipeline, BoundaryStep, warnings_of
from spatial_assets.pipeline.engines.choice import chosen_engine
from spatial_assets.pipeline.engines.engine import Engine
from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.outcome import BAD_STATES, RunReport, TileOutcome
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.stores import layout


def lease_owner() -> str:
    """Return the name of this process as the owner of a lease: host and process id."""
    return f"{socket.gethostname()} process {os.getpid()}"


def engine_for(opened: OpenProject, workers: int | None) -> Engine:
    """Choose an engine; `workers`: None for the setting of the project, 0 for this process."""
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
    without_boundaries: Collection[str] = (),
) -> RunReport:
    """Run the stages of the tiles; report bad tiles as they end, and return all outcomes."""
    pipeline = TilePipeline(
        project=opened.project,
        store=opened.store,
        database=opened.database,
        engine=engine,
        clock=now,
        owner=lease_owner(),
        without_boundaries=without_boundaries,
    )
    report = RunReport()
    progress.begin(f"{', '.join(stages)}", total=len(keys))
    with closing(pipeline.run(keys, stages=stages)) as outcomes:
        for outcome in outcomes:
            report.add(outcome)
            if outcome.state in BAD_STATES:
                progress.say(format_outcome(outcome))
            progress.step(f"{outcome.tile} {outcome.state}")
    return report


def format_outcome(outcome: TileOutcome) -> str:
    """Format a bad tile in one line: key, state, stage, reason and message."""
    bad = outcome.bad_stage
    if bad is None:
        return f"{outcome.tile} {outcome.state}"
    cause = " ".join(f"{bad.reason}: {bad.message}".split())
    return f"{outcome.tile} {bad.state} at {bad.stage}: {cause}"


def update_boundaries(
    opened: OpenProject,
    assets: Collection[str],
    *,
    clock: Callable[[], datetime],
    say: Callable[[str], None],
) -> tuple[str, ...]:
    """Fetch, validate and load boundary sets as far as `assets` has them; report each result.

    A set that cannot be used stops neither the others nor the tiles.

    Returns:
        The names of the sets that could not be brought up to date.

    Raises:
        ForeignProjectError: the store or the database belongs to another project.
        DatabaseError, StoreError: the database or the store is not available.
    """
    ownership.claim(opened.project, opened.store, opened.database)
    failed = []
    for settings in opened.project.boundaries:
        pipeline = BoundaryPipeline(
            project=opened.project, settings=settings, store=opened.store, clock=clock
        )
        try:
            _update_set(opened, pipeline, assets, say=say)
        except (VectorError, SourceUnavailableError, MissingInputError) as error:
            failed.append(settings.name)
            say(f"boundaries {settings.name!r} failed: {mask_secrets(str(error))}")
    return tuple(failed)


def never_valid(opened: OpenProject, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the boundary sets of which the store has no validated features."""
    store = opened.store
    return tuple(n for n in names if store.head(layout.validated_boundaries(n)) is None)


def _update_set(
    opened: OpenProject,
    pipeline: BoundaryPipeline,
    assets: Collection[str],
    *,
    say: Callable[[str], None],
) -> None:
    raw, validated, table = boundary_assets(pipeline.settings.name)
    if raw in assets:
        say(f"{raw}: {_fetched(pipeline.fetch())}")
    if validated in assets:
        step = pipeline.validate()
        pipeline.record_quarantine(opened.database)
        say(f"{validated}: {_validated(step)}")
        for warning in warnings_of(step.facts):
            say(f"{validated}: warning: {warning}")
    if table in assets:
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
