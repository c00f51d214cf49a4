"""Our pipeline without Dagster."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from spatial_assets.pipeline.engines.engine import Engine, InlineEngine
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.project import Project
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database


def run_directly(
    project: Project,
    tiles: Sequence[str],
    *,
    stages: Sequence[str] = (),
    engine: Engine | None = None,
    expected: State | None = State.MATERIALIZED,
) -> None:
    """Run tiles through all stages, or some; in this process unless an engine is given.

    Raises:
        RuntimeError: the state of a tile is not `expected`, so the time would be of other work.
    """
    with open_database(project.database_url) as database:
        pipeline = TilePipeline(
            project=project,
            store=open_store(project.storage_url),
            database=database,
            engine=engine or InlineEngine(),
            clock=lambda: dt.datetime.now(dt.UTC),
            owner="benchmark",
        )
        for outcome in pipeline.run(tiles, stages=stages or pipeline.chain.stages):
            if expected is not None and outcome.state is not expected:
                message = f"{outcome.tile}: {outcome.state}, not {expected}: {outcome.bad_stage}"
                raise RuntimeError(message)
