"""Say what a run would meet, without doing any of it: tiles, scenes, memory, runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.selection.selectors import Selectors, selecting_tiles
from spatial_assets.cli.shell.context import current_project
from spatial_assets.cli.shell.words import counted, listed
from spatial_assets.project import Project

if TYPE_CHECKING:
    from spatial_assets.cli.running.forecast import Forecast

RANGES_SHOWN = 12


@click.command("plan")
@selecting_tiles
def plan(*, selectors: Selectors) -> None:
    """Say what a run over these tiles would meet; nothing is made, fetched or written.

    Asks the catalogue, but opens no image: what only the files know, a run finds out.
    """
    from spatial_assets.catalog import find_scenes  # noqa: PLC0415 - GDAL, HTTP
    from spatial_assets.cli.running.clock import now  # noqa: PLC0415
    from spatial_assets.cli.running.forecast import forecast  # noqa: PLC0415 - pixels
    from spatial_assets.cli.selection.inventory import Inventory  # noqa: PLC0415 - the database
    from spatial_assets.cli.shell.ground import open_ground  # noqa: PLC0415 - the store

    project = current_project()
    with open_ground(project) as ground:
        inventory = Inventory(ground)
        keys = inventory.chosen(selectors, (), now=now())
        standings = Counter(str(tile.standing) for tile in inventory.tiles(keys=keys))
    if not keys:
        click.echo("Nothing to do: no tile is as was asked for.")
        return
    found = forecast(project, keys, find_scenes(project), today=now().date())
    states = ", ".join(f"{count} {state}" for state, count in standings.items())
    click.echo(
        f"{counted(found.tiles, 'tile')}, {found.pixels / 1e6:,.1f} million pixels: {states}"
    )
    for line in (*lines(found, project), *runs(found)):
        click.echo(line)


def lines(found: Forecast, project: Project) -> Iterator[str]:
    """Scenes and memory."""
    periods = f"{counted(len(found.periods), 'period')} ({listed(found.periods, most=6)})"
    yield f"{counted(found.scenes, 'scene')} may reach them, of {periods}"
    for reason, count in found.refused.items():
        yield f"{counted(count, 'item')} of the catalogue refused: {reason}"
    yield f"memory, by tile {found.neediest}: {found.need.arithmetic()} of {found.allowed_mb:,} MB"
    if found.need.total_mb > found.allowed_mb:
        yield "  too much: such tiles are refused; raise [compute] memory_mb or [grid] level"
    yield f"{counted(project.compute.workers, 'worker')} on this machine"


def runs(found: Forecast) -> Iterator[str]:
    """How Dagster would run them: a run takes neighbours along the curve."""
    yield f"{counted(len(found.ranges), 'run')} of Dagster, each of neighbours along the curve:"
    for each in found.ranges[:RANGES_SHOWN]:
        yield f"  {each.option}  ({counted(each.count, 'tile')})"
    if len(found.ranges) > RANGES_SHOWN:
        yield f"  and {len(found.ranges) - RANGES_SHOWN:,} more"
