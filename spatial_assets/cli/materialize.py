"""Materialize tiles selected by location, state or age, in this process or through Dagster."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import format_count, format_duration
from spatial_assets.cli.app.open_project import current_project
from spatial_assets.cli.app.options import select_option
from spatial_assets.cli.selection.tile_options import (
    NO_MATCHING_TILE,
    TileSelectors,
    tile_selection_options,
)
from spatial_assets.project import Project

if TYPE_CHECKING:
    from spatial_assets.cli.selection.asset_options import AssetSelection
    from spatial_assets.pipeline.outcome import RunReport


NOT_IN_DAGSTER = "Not reported to Dagster: its UI shows only its own runs."


@click.command("materialize")
@tile_selection_options
@select_option
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Worker processes on this machine; 0: none, run in this process. Default: [compute] dask, "
    "else [compute] workers.",
)
@click.option(
    "--launch",
    metavar="[URL]",
    is_flag=False,
    flag_value="",
    help="Launch a backfill in the Dagster webserver at URL instead. Default URL: "
    "$DAGSTER_WEBSERVER_URL, else http://127.0.0.1:3000.",
)
@click.option("--wait", is_flag=True, help="With --launch: show progress until the backfill ends.")
def materialize(
    *,
    selectors: TileSelectors,
    names: tuple[str, ...],
    workers: int | None,
    launch: str | None,
    wait: bool,
) -> None:
    """Materialize tiles selected by location, state, age or change.

    Tiles with unchanged inputs are not recomputed, whether Dagster or this command made them.
    Tiles made in this process do not appear in Dagster's UI; use --launch for that. Exits with 1
    if a tile newly failed or was newly quarantined.
    """
    from spatial_assets.cli.selection.asset_options import select_assets

    project = current_project()
    selection = select_assets(project, names)
    if launch is None:
        if wait:
            message = "waits for a launched backfill; add --launch"
            raise click.BadParameter(message, param_hint="--wait")
        materialize_here(project, selectors, selection, workers=workers)
        return
    if workers is not None:
        message = "applies to this process only; Dagster runs use [compute] workers"
        raise click.BadParameter(message, param_hint="--workers")
    from spatial_assets.cli.launching.launch import launch_tiles

    launch_tiles(project, selectors, selection, url=launch, wait=wait)


def materialize_here(
    project: Project, selectors: TileSelectors, selection: AssetSelection, *, workers: int | None
) -> None:
    """Materialize the tiles in this process.

    Raises:
        ClickException: a tile newly failed or was newly quarantined, or a boundary set could not
            be brought up to date.
    """
    from spatial_assets.cli.app.clock import now
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.local_run.progress import progress_display
    from spatial_assets.cli.local_run.run_here import (
        engine_for,
        never_valid,
        run_tiles,
        update_boundaries,
    )
    from spatial_assets.cli.selection.inventory import Inventory

    started = time.monotonic()
    failed: tuple[str, ...] = ()
    with open_project(project) as opened, progress_display() as progress:
        update = partial(
            update_boundaries, opened, selection.boundaries, clock=now, say=progress.say
        )
        if selectors.changed:
            failed = update()  # changes are found by comparing with the validated boundaries
        selected = Inventory(opened).select(selectors, selection.stages, now=now())
        keys = selected.keys
        selected.let_runs_find_lost(opened.store)
        if not keys:
            click.echo(NO_MATCHING_TILE)
            report_bad_boundaries(failed)
            return
        if not selectors.changed:
            failed = update()
        report = run_tiles(
            opened,
            keys,
            stages=selection.stages,
            engine=engine_for(opened, workers),
            progress=progress,
            without_boundaries=never_valid(opened, failed),
        )
    if selection.stages:
        seconds = format_duration(time.monotonic() - started)
        click.echo(
            f"{format_count(len(keys), 'tile')} in {seconds}: {report.summary()}. {NOT_IN_DAGSTER}"
        )
    report_bad_tiles(report, tiles=len(keys))
    report_bad_boundaries(failed)


def report_bad_boundaries(names: tuple[str, ...]) -> None:
    """Report the boundary sets that could not be brought up to date.

    Raises:
        ClickException: there are some.
    """
    if names:
        message = (
            f"boundary sets {', '.join(names)} need attention, see above; tiles and the other "
            "sets were not affected: correct them and materialize again"
        )
        raise click.ClickException(message)


def report_bad_tiles(report: RunReport, *, tiles: int) -> None:
    """Report what is doubtful, and the number of bad tiles.

    Raises:
        ClickException: a tile newly failed or was newly quarantined.
    """
    for line in report.warning_lines():
        click.echo(f"warning: {line}", err=True)
    if report.already_quarantined:
        click.echo(f"{len(report.already_quarantined)} were in quarantine before and still are.")
    if report.bad:
        message = (
            f"{len(report.bad)} of {format_count(tiles, 'tile')} need attention, see above; "
            "correct their input and materialize them again: nothing else is recomputed"
        )
        raise click.ClickException(message)
