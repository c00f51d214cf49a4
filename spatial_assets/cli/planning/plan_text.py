"""What a run would meet, told: to people line by line, to programs as JSON. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from spatial_assets.cli.app.console import counted, data_size, duration, listed
from spatial_assets.cli.planning.forecast import Forecast
from spatial_assets.cli.planning.read_volume import Reading
from spatial_assets.cli.selection.changes import Changes
from spatial_assets.cli.selection.inventory import Choice
from spatial_assets.cli.selection.run_rates import Rate
from spatial_assets.project import Project

RANGES_SHOWN = 12
TILES_SHOWN = 12
NOTHING = "Nothing to do: no tile is as was asked for."
NOTHING_AS_JSON = json.dumps({"tiles": 0, "keys": [], "runs": []})


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Everything that is known of a run before it begins."""

    project: Project
    choice: Choice
    stages: tuple[str, ...]
    states: Mapping[str, int]
    """How the tiles stand -> how many."""

    forecast: Forecast
    reading: Reading
    rate: Rate | None
    """Of the last runs of these stages; None: there was none."""


def lines(plan: Planned) -> Iterator[str]:
    """For people."""
    found = plan.forecast
    states = ", ".join(f"{count} {state}" for state, count in plan.states.items())
    yield f"{counted(found.tiles, 'tile')}, {found.pixels / 1e6:,.1f} million pixels: {states}"
    yield from changes(plan.choice.why)
    periods = f"{counted(len(found.periods), 'period')} ({listed(found.periods, most=6)})"
    yield f"{counted(found.scenes, 'scene')} may reach them, of {periods}"
    for reason, count in found.refused.items():
        yield f"{counted(count, 'item')} of the catalogue refused: {reason}"
    yield reading(plan.reading)
    yield f"memory, by tile {found.neediest}: {found.need.arithmetic()} of {found.allowed_mb:,} MB"
    if found.need.total_mb > found.allowed_mb:
        yield "  too much: such tiles are refused; raise [compute] memory_mb or [grid] level"
    yield time_needed(plan)
    yield f"{counted(len(found.ranges), 'run')} of Dagster, each of neighbours along the curve:"
    for each in found.ranges[:RANGES_SHOWN]:
        yield f"  {each.option}  ({counted(each.count, 'tile')})"
    if len(found.ranges) > RANGES_SHOWN:
        yield f"  and {len(found.ranges) - RANGES_SHOWN:,} more"


def changes(why: Changes) -> Iterator[str]:
    """How many tiles changed by what, and the first of them; nothing where that was not asked."""
    if not why:
        return
    counts = Counter(cause for causes in why.values() for cause in causes)
    told = ", ".join(f"{cause} of {counted(count, 'tile')}" for cause, count in counts.items())
    yield f"changed: {told}"
    for key, causes in list(why.items())[:TILES_SHOWN]:
        yield f"  {key}: {', '.join(causes)}"
    if len(why) > TILES_SHOWN:
        yield f"  and {len(why) - TILES_SHOWN:,} more"


def reading(found: Reading) -> str:
    """What is read, and how well that is known."""
    if not found.scenes:
        return "nothing to read: what the scenes have for them is in the store"
    told = f"about {data_size(found.bytes)} to read, of {counted(found.scenes, 'scene')}"
    if found.guessed:
        told += f"; nobody says how large {found.guessed} of them are: guessed by their pixels"
    return told


def time_needed(plan: Planned) -> str:
    """How long it takes, if a run has shown that."""
    on = where(plan)
    if plan.rate is None:
        return f"how long it takes {on} is not known: no run has computed these stages so yet"
    took = f"{plan.rate.seconds:,.1f} s a tile in the last {counted(plan.rate.runs, 'run')}"
    whole = duration(plan.rate.duration(plan.forecast.tiles))
    return f"about {whole} {on}, if all are computed ({took})"


def workers(plan: Planned) -> int | None:
    """How many make it; None: nobody knows of a cluster before its first run."""
    if plan.project.compute.dask:
        return None if plan.rate is None else plan.rate.workers
    return plan.project.compute.workers


def where(plan: Planned) -> str:
    """By whom it is made; a cluster is taken to be what it was in the last run."""
    compute = plan.project.compute
    if not compute.dask:
        return f"with {counted(compute.workers, 'worker')} on this machine"
    of = f"the cluster at {compute.dask}"
    return f"with {counted(plan.rate.workers, 'worker')} of {of}" if plan.rate else f"by {of}"


def document(plan: Planned) -> dict[str, object]:
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
        "bytes_to_read": plan.reading.bytes,
        "scenes_to_read": plan.reading.scenes,
        "scenes_of_guessed_size": plan.reading.guessed,
        "memory": {
            **asdict(found.need),
            "tile": found.neediest,
            "allowed_mb": found.allowed_mb,
        },
        "workers": workers(plan),
        "seconds": None if rate is None else round(rate.duration(found.tiles), 1),
        "seconds_a_tile": None if rate is None else round(rate.seconds, 3),
        "runs": [
            {"first": each.first, "last": each.last, "tiles": each.count} for each in found.ranges
        ],
    }
