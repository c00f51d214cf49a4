"""`materialize --launch`: chosen tiles handed to Dagster, and followed where that is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import click

from spatial_assets.cli.launching.backfill import Backfill, launch, require_our_project
from spatial_assets.cli.launching.following import GOOD, Following, Progress
from spatial_assets.cli.launching.webserver import Webserver, webserver_of
from spatial_assets.cli.running.clock import now
from spatial_assets.cli.running.meter import meter
from spatial_assets.cli.running.selection import Selection
from spatial_assets.cli.selection.changes import features_now
from spatial_assets.cli.selection.inventory import Inventory
from spatial_assets.cli.selection.selectors import Selectors
from spatial_assets.cli.selection.standing import Standing, TileStanding
from spatial_assets.cli.shell.ground import Ground, open_ground
from spatial_assets.cli.shell.words import counted
from spatial_assets.errors import LaunchError
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project

BAD = frozenset({Standing.FAILED, Standing.QUARANTINED})
STOPPED = frozenset({"FAILED", "CANCELED"})

Bad = Mapping[str, TileStanding]


def hand_over(
    project: Project, selectors: Selectors, selection: Selection, *, url: str, wait: bool
) -> None:
    """Launch a backfill of the chosen tiles, say where it is, and wait for its end if asked to.

    Raises:
        LaunchError: no webserver answers, it serves another project, or it refused.
        ClickException: tiles went bad while we waited.
    """
    if not selection.stages:
        message = "only boundary sets are selected, which have no tiles; launch them in the UI"
        raise LaunchError(message)
    webserver = webserver_of(url, os.environ)
    with open_ground(project) as ground:
        keys = Inventory(ground).chosen(selectors, selection.stages, now=now()).keys
        boundaries = boundaries_along(ground, selection)
    if not keys:
        click.echo("Nothing to do: no tile is as was asked for.")
        return
    assets = (*selection.stages, *boundaries)
    require_our_project(webserver, project, assets)
    before = bad_tiles(project, keys, selection.stages)
    backfills = launch(webserver, project, keys, assets=assets)
    for each in backfills:
        told = f"{counted(each.tiles, 'tile')} in {counted(each.runs, 'run')}"
        told += ", boundaries in another" if boundaries else ""
        click.echo(f"backfill {each.id}: {told}, {each.url}")
    if wait:
        ended = follow(webserver, backfills, stage=selection.stages[-1])
        after = bad_tiles(project, keys, selection.stages)
        tell_the_end(ended, before=before, after=after, urls=[each.url for each in backfills])


def boundaries_along(ground: Ground, selection: Selection) -> tuple[str, ...]:
    """The assets of boundary sets that go with the tiles.

    Those that were named; else all of them if one was never made and is needed. Not always: with
    them Dagster makes the statistics in runs of their own, once the boundaries are there.
    """
    reads = set(chain_of(ground.project).statistics) & set(selection.stages)
    never_made = bool(reads) and features_now(ground) is None
    return selection.boundaries if selection.is_named or never_made else ()


def follow(
    webserver: Webserver, backfills: Sequence[Backfill], *, stage: str
) -> tuple[Progress, ...]:
    """How they ended, with their progress shown until then."""
    with meter() as gauge:
        following = Following(webserver=webserver, stage=stage, meter=gauge)
        return following.to_the_end(backfills)


def bad_tiles(project: Project, keys: Sequence[str], stages: Sequence[str]) -> Bad:
    """Those of the tiles that failed or are in quarantine now."""
    with open_ground(project) as ground:
        tiles = Inventory(ground).tiles(stages, keys=keys)
    return {tile.tile: tile for tile in tiles if tile.standing in BAD}


def tell_the_end(
    ended: Sequence[Progress], *, before: Bad, after: Bad, urls: Sequence[str]
) -> None:
    """Say what came of it.

    Raises:
        ClickException: a tile is newly bad, or came to nothing for a reason that nobody noted.
    """
    new = [tile for key, tile in after.items() if before.get(key) != tile]
    standing = len(after) - len(new)
    for tile in new:
        why = " ".join(f"{tile.reason}: {tile.message}".split())
        click.echo(f"{tile.tile} {tile.standing} at {tile.stage}: {why}", err=True)
    made, failed = sum(each.made for each in ended), sum(each.failed for each in ended)
    click.echo(f"{counted(made, 'tile')} materialized, {failed:,} not.")
    if standing:
        click.echo(f"{standing:,} were bad before, and still are.")
    stopped = any(each.status in STOPPED for each in ended)
    if new or stopped or failed > standing:
        how = ", ".join(each.error or each.status for each in ended if each.status != GOOD)
        attention = f"{counted(len(new), 'tile')} newly bad" if new else "no tile is newly bad"
        message = f"{attention}; Dagster says {how}: {', '.join(urls)}"
        raise click.ClickException(message)
