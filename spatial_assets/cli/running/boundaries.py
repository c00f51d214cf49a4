"""Boundary sets brought up to date before the tiles that are summed up by them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from spatial_assets.cli.running.selection import steps_of
from spatial_assets.cli.shell.ground import Ground
from spatial_assets.pipeline.boundaries import BoundaryPipeline, BoundaryStep


def bring_up_to_date(
    ground: Ground,
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
    ground.database.ensure_schema(ground.project.boundaries, ground.project.indices.names)
    for settings in ground.project.boundaries:
        pipeline = BoundaryPipeline(
            project=ground.project, settings=settings, store=ground.store, clock=clock
        )
        raw, validated, table = steps_of(settings.name)
        if raw in wanted:
            say(f"{raw}: {_fetched(pipeline.fetch())}")
        if validated in wanted:
            step = pipeline.validate()
            pipeline.record_quarantine(ground.database)
            say(f"{validated}: {_validated(step)}")
        if table in wanted:
            say(f"{table}: {pipeline.load(ground.database).facts['rows']} rows")


def _fetched(step: BoundaryStep) -> str:
    return f"{step.facts['source']}, {step.state}"


def _validated(step: BoundaryStep) -> str:
    told = [f"{step.facts['features']} features"]
    told += [
        f"{step.facts[name]} {name}" for name in ("repaired", "quarantined") if step.facts[name]
    ]
    reasons = step.facts.get("reasons")
    if isinstance(reasons, Mapping) and reasons:
        told.append(", ".join(f"{reason} {count}" for reason, count in reasons.items()))
    return f"{', '.join(told)}, {step.state}"
