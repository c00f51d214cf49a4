"""Tiles walked through the chain in this process, with every outcome counted and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from spatial_assets.cli.running.clock import now, owner
from spatial_assets.cli.running.meter import Meter
from spatial_assets.cli.shell.ground import Ground
from spatial_assets.pipeline.driver import TilePipeline
from spatial_assets.pipeline.engine import Engine
from spatial_assets.pipeline.engine_choice import chosen_engine
from spatial_assets.pipeline.outcome import BAD, RunReport, TileOutcome


def engine_of(ground: Ground, workers: int | None) -> Engine:
    """The engine for a number of processes here; None: as the project says, 0: this process."""
    compute = ground.project.compute
    return chosen_engine(
        ground.project,
        ground.store,
        workers=compute.workers if workers is None else workers,
        gdal_cache_mb=compute.gdal_cache_mb,
        dask=compute.dask if workers is None else "",
    )


def walk(
    ground: Ground,
    keys: Sequence[str],
    *,
    stages: Sequence[str],
    engine: Engine,
    meter: Meter,
    clock: Callable[[], datetime] = now,
) -> RunReport:
    """Walk the tiles; bad ones are told as they end, and counted in what is returned."""
    pipeline = TilePipeline(
        project=ground.project,
        store=ground.store,
        database=ground.database,
        engine=engine,
        clock=clock,
        owner=owner(),
    )
    report = RunReport()
    meter.begin(f"{', '.join(stages)}", total=len(keys))
    for outcome in pipeline.run(keys, stages=stages):
        report.add(outcome)
        if outcome.state in BAD:
            meter.say(told(outcome))
        meter.step(f"{outcome.tile} {outcome.state}")
    return report


def told(outcome: TileOutcome) -> str:
    """A bad tile in one line: which, how, where and why."""
    trouble = outcome.trouble
    if trouble is None:
        return f"{outcome.tile} {outcome.state}"
    why = " ".join(f"{trouble.reason}: {trouble.message}".split())
    return f"{outcome.tile} {trouble.state} at {trouble.stage}: {why}"
