"""What a run would meet, told: to people line by line, to programs as JSON. Pure."""

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
from spatial_assets.project import Project

MAX_LISTED_RUNS = 12
MAX_LISTED_CHANGES = 12
NO_TILES = "Nothing to do: no tile is as was asked for."
NO_TILES_JSON = json.dumps({"tiles": 0, "keys": [], "runs": []})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is known of a run before it begins."""

    project: Project
    choice: SelectedTiles
    stages: tuple[str, ...]
    states: Mapping[str, int]
    """How the tiles stand -> how many."""

    forecast: Forecast
    read_volume: ReadVolume
    rate: RunRate | None
    """Of the last runs of these stages; None: there was none."""


def plan_lines(plan: Plan) -> Iterator[str]:
    """For people."""
    found = plan.forecast
    states = ", ".join(f"{count} {state}" for state, count in plan.states.items())
    yield f"{format_count(found.tiles, 'tile')}, {found.pixels / 1e6:,.1f} million pixels: {states}"
    yield from change_lines(plan.choice.why)
    periods = f"{format_count(len(found.periods), 'period')} ({format_list(found.periods, most=6)})"
    yield f"{format_count(found.scenes, 'scene')} may reach them, of {periods}"
    for reason, count in found.refused.items():
        yield f"{format_count(count, 'item')} of the catalogue refused: {reason}"
    yield format_read_volume(plan.read_volume)
    yield f"memory, by tile {found.neediest}: {found.need.arithmetic()} of {found.allowed_mb:,} MB"
    if found.need.total_mb > found.allowed_mb:
        yield "  too much: such tiles are refused; raise [compute] memory_mb or [grid] level"
    yield format_time(plan)
    runs = format_count(len(found.ranges), "run")
    yield f"{runs} in Dagster, each a range of consecutive tile keys:"
    for each in found.ranges[:MAX_LISTED_RUNS]:
        yield f"  {each.option}  ({format_count(each.count, 'tile')})"
    if len(found.ranges) > MAX_LISTED_RUNS:
        yield f"  and {len(found.ranges) - MAX_LISTED_RUNS:,} more"


def change_lines(why: ChangedTiles) -> Iterator[str]:
    """How many tiles changed by what, and the first of them; nothing where that was not asked."""
    if not why:
        return
    counts = Counter(cause for causes in why.values() for cause in causes)
    told = ", ".join(f"{cause} of {format_count(count, 'tile')}" for cause, count in counts.items())
    yield f"changed: {told}"
    for key, causes in list(why.items())[:MAX_LISTED_CHANGES]:
        yield f"  {key}: {', '.join(causes)}"
    if len(why) > MAX_LISTED_CHANGES:
        yield f"  and {len(why) - MAX_LISTED_CHANGES:,} more"


def format_read_volume(found: ReadVolume) -> str:
    """What is read, and how well that is known."""
    if not found.scenes:
        return "nothing to read: what the scenes have for them is in the store"
    told = f"about {format_size(found.bytes)} to read, of {format_count(found.scenes, 'scene')}"
    if found.guessed:
        told += f"; nobody says how large {found.guessed} of them are: guessed by their pixels"
    return told


def format_time(plan: Plan) -> str:
    """How long it takes, if a run has shown that."""
    on = format_workers(plan)
    if plan.rate is None:
        return f"how long it takes {on} is not known: no run has computed these stages so yet"
    took = f"{plan.rate.seconds:,.1f} s a tile in the last {format_count(plan.rate.runs, 'run')}"
    whole = format_duration(plan.rate.duration(plan.forecast.tiles))
    return f"about {whole} {on}, if all are computed ({took})"


def worker_count(plan: Plan) -> int | None:
    """How many make it; None: nobody knows of a cluster before its first run."""
    if plan.project.compute.dask:
        return None if plan.rate is None else plan.rate.workers
    return plan.project.compute.workers


def format_workers(plan: Plan) -> str:
    """By whom it is made; a cluster is taken to be what it was in the last run."""
    compute = plan.project.compute
    if not compute.dask:
        return f"with {format_count(compute.workers, 'worker')} on this machine"
    of = f"the cluster at {compute.dask}"
    return f"with {format_count(plan.rate.workers, 'worker')} of {of}" if plan.rate else f"by {of}"


def document(plan: Plan) -> dict[str, object]:
    """For programs; what is not known is null."""
    found, rate = plan.forecast, plan.rate
    return {
        "project": str(plan.project.file),
        "stages": list(plan.stages),
        "tiles": found.tiles,
        "keys": list(plan.choice.keys),
        "changed": {key: list(causes) for key, causes in plan.choice.why.items()},
        "states": dict(plan.states),
        "pixels": found.pixels,
        "scenes": found.scenes,
        "refused": found.refused,
        "periods": list(found.periods),
        "bytes_to_read": plan.read_volume.bytes,
        "scenes_to_read": plan.read_volume.scenes,
        "scenes_of_guessed_size": plan.read_volume.guessed,
        "memory": {
            **asdict(found.need),
            "tile": found.neediest,
            "allowed_mb": found.allowed_mb,
        },
        "workers": worker_count(plan),
        "seconds": None if rate is None else round(rate.duration(found.tiles), 1),
        "seconds_a_tile": None if rate is None else round(rate.seconds, 3),
        "runs": [
            {"first": each.first, "last": each.last, "tiles": each.count} for each in found.ranges
        ],
    }
