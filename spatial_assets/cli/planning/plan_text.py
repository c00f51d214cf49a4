"""Text and JSON of a plan. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from spatial_assets.cli.app.console import format_count, format_duration, format_list, format_size
from spatial_assets.cli.planning.forecast import Forecast
from spatial_assets.cli.planning.read_volume import ReadVolume
from spatial_assets.cli.selection.changes import ChangedTiles
from spatial_assets.cli.selection.inventory import SelectedTiles
from spatial_assets.cli.selection.run_rates import RunRate
from spatial_assets.pipeline.freshness.scene_register import AbsentScenes
from spatial_assets.project import Project

MAX_LISTED_RUNS = 12
MAX_LISTED_CHANGES = 12
NO_TILES_JSON = json.dumps({"tiles": 0, "keys": [], "runs": []})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Estimate of a run before it starts."""

    project: Project
    selected: SelectedTiles
    stages: tuple[str, ...]
    absent: AbsentScenes
    """Scenes in use that the catalogue does not list."""

    states: Mapping[str, int]
    """Status -> number of tiles."""

    forecast: Forecast
    read_volume: ReadVolume
    rate: RunRate | None
    """Rate of the last runs of these stages; None if there was none."""

    obstacles: tuple[str, ...] = ()
    """Reasons for which the run would be refused over what is stored, with the remedy."""

    expired: tuple[str, ...] = ()
    """Periods of the product that [retention] keeps no longer."""


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield the lines that `plan` prints."""
    found = plan.forecast
    yield from (f"the run would stop: {line}" for line in plan.obstacles)
    states = ", ".join(f"{count} {state}" for state, count in plan.states.items())
    yield f"{format_count(found.tiles, 'tile')}, {found.pixels / 1e6:,.1f} million pixels: {states}"
    yield from change_lines(plan.selected.changes)
    periods = f"{format_count(len(found.periods), 'period')} ({format_list(found.periods, most=6)})"
    yield f"{format_count(found.scenes, 'scene')} may overlap them, in {periods}"
    for reason, count in found.refused.items():
        yield f"{format_count(count, 'item')} of the catalogue rejected: {reason}"
    yield from found.notes.lines()
    yield from found.lacking
    refusal = plan.absent.refusal(plan.project)
    yield from (f"the run would stop: {refusal}",) if refusal else plan.absent.lines()
    if plan.expired:
        old = format_list(plan.expired, most=6)
        yield f"[retention] removes {format_count(len(plan.expired), 'period')}: {old}"
    yield format_read_volume(plan.read_volume)
    arithmetic = found.need.arithmetic()
    yield f"memory of tile {found.largest_tile}: {arithmetic} of {found.allowed_mb:,} MB"
    if found.need.total_mb > found.allowed_mb:
        yield "  too much: the run rejects such tiles; raise [compute] memory_mb or [grid] level"
    yield format_time(plan)
    runs = format_count(len(found.ranges), "run")
    yield f"{runs} in Dagster, one per range of consecutive tile keys:"
    for each in found.ranges[:MAX_LISTED_RUNS]:
        yield f"  {each.option}  ({format_count(each.count, 'tile')})"
    if len(found.ranges) > MAX_LISTED_RUNS:
        yield f"  and {len(found.ranges) - MAX_LISTED_RUNS:,} more"


def change_lines(changed: ChangedTiles) -> Iterator[str]:
    """Yield the number of tiles per cause and the first of them; nothing without --changed."""
    if not changed:
        return
    counts = Counter(cause for causes in changed.values() for cause in causes)
    by_cause = ", ".join(
        f"{cause} of {format_count(count, 'tile')}" for cause, count in counts.items()
    )
    yield f"changed: {by_cause}"
    for key, causes in list(changed.items())[:MAX_LISTED_CHANGES]:
        yield f"  {key}: {', '.join(causes)}"
    if len(changed) > MAX_LISTED_CHANGES:
        yield f"  and {len(changed) - MAX_LISTED_CHANGES:,} more"


def format_read_volume(found: ReadVolume) -> str:
    """Format the bytes to read, and how many of them are estimated."""
    if not found.scenes:
        return "nothing to read: the store already holds the pixels of these scenes"
    text = f"about {format_size(found.bytes)} to read from {format_count(found.scenes, 'scene')}"
    if found.estimated:
        text += (
            f"; the size of {found.estimated} of them is unknown and estimated from their pixels"
        )
    if found.sampled_tiles < found.changed_tiles:
        text += (
            f"; of {found.changed_tiles:,} tiles with other scenes than before, "
            f"{found.sampled_tiles:,} were looked at"
        )
    return text


def format_time(plan: Plan) -> str:
    """Format the expected duration, if a previous run gives a rate."""
    by = format_workers(plan)
    if plan.rate is None:
        return f"duration {by} unknown: no run has computed these stages this way yet"
    measured = (
        f"{plan.rate.seconds:,.1f} s per tile in the last {format_count(plan.rate.runs, 'run')}"
    )
    whole = format_duration(plan.rate.duration(plan.forecast.tiles))
    return f"about {whole} {by} if all tiles are computed ({measured})"


def worker_count(plan: Plan) -> int | None:
    """Return the number of workers; None for a cluster before its first run."""
    if plan.project.compute.dask:
        return None if plan.rate is None else plan.rate.workers
    return plan.project.compute.workers


def format_workers(plan: Plan) -> str:
    """Format the workers; a cluster is assumed to be as large as in the last run."""
    compute = plan.project.compute
    if not compute.dask:
        return f"with {format_count(compute.workers, 'worker')} on this machine"
    cluster = f"the cluster at {compute.dask}"
    return (
        f"with {format_count(plan.rate.workers, 'worker')} of {cluster}"
        if plan.rate
        else f"on {cluster}"
    )


def document(plan: Plan) -> dict[str, object]:
    """Return the plan as JSON types; unknown values are null."""
    found, rate = plan.forecast, plan.rate
    return {
        "project": str(plan.project.file),
        "stages": list(plan.stages),
        "tiles": found.tiles,
        "keys": list(plan.selected.keys),
        "changed": {key: list(causes) for key, causes in plan.selected.changes.items()},
        "states": dict(plan.states),
        "pixels": found.pixels,
        "scenes": found.scenes,
        "refused": found.refused,
        "items": dict(found.notes.counts),
        "absent_scenes": plan.absent.document(),
        "refusal": plan.absent.refusal(plan.project) or "; ".join(plan.obstacles) or None,
        "periods": list(found.periods),
        "expired_periods": list(plan.expired),
        "bytes_to_read": plan.read_volume.bytes,
        "scenes_to_read": plan.read_volume.scenes,
        "scenes_of_guessed_size": plan.read_volume.estimated,
        "memory": {
            **asdict(found.need),
            "tile": found.largest_tile,
            "allowed_mb": found.allowed_mb,
        },
        "workers": worker_count(plan),
        "seconds": None if rate is None else round(rate.duration(found.tiles), 1),
        "seconds_a_tile": None if rate is None else round(rate.seconds, 3),
        "runs": [
            {"first": each.first, "last": each.last, "tiles": each.count} for each in found.ranges
        ],
    }
