"""Make tiles chosen by place, state or age: here and now, or launched in Dagster."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import format_count, format_duration
from spatial_assets.cli.app.open_project import current_project
from spatial_assets.cli.app.options import select_option
from spatial_assets.cli.selection.tile_options import TileSelectors, tile_selection_options
from spatial_assets.project import Project

if TYPE_CHECKING:
    from spatial_assets.cli.selection.asset_options import AssetSelection
    from spatial_assets.pipeline.outcome import RunReport


WITHOUT_DAGSTER = "Dagster was not told: its UI shows what its own runs made."


@click.command("materialize")
@tile_selection_options
@select_option
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes of this machine; 0: within this one. Default: [compute] dask, else workers.",
)
@click.option(
    "--launch",
    metavar="[URL]",
    is_flag=False,
    flag_value="",
    help="Launch a backfill in the Dagster webserver at URL instead; default: "
    "$DAGSTER_WEBSERVER_URL, else http://127.0.0.1:3000.",
)
@click.option("--wait", is_flag=True, help="With --launch: wait for the end, showing progress.")
def materialize(
    *,
    selectors: TileSelectors,
    names: tuple[str, ...],
    workers: int | None,
    launch: str | None,
    wait: bool,
) -> None:
    """Make tiles chosen by what Dagster does not know: place, state and age.

    What has not changed is left as it is, whoever made it. Dagster is not told of what is made in
    this process; to see it in the UI, use --launch. Exits with 1 if a tile is newly bad.
    """
    from spatial_assets.cli.selection.asset_options import select_assets

    project = current_project()
    selection = select_assets(project, names)
    if launch is None:
        if wait:
            message = "waits for what is launched; add --launch"
            raise click.BadParameter(message, param_hint="--wait")
        materialize_here(project, selectors, selection, workers=workers)
        return
    if workers is not None:
        message = "is of this process; runs of Dagster take [compute] workers"
        raise click.BadParameter(message, param_hint="--workers")
    from spatial_assets.cli.launching.launch import launch_tiles

    launch_tiles(project, selectors, selection, url=launch, wait=wait)


def materialize_here(
    project: Project, selectors: TileSelectors, selection: AssetSelection, *, workers: int | None
) -> None:
    """Make the tiles in this process.

    Raises:
        ClickException: a tile is newly bad.
    """
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.local_run.progress import progress_display
    from spatial_assets.cli.local_run.run_here import engine_for, now, run_tiles, update_boundaries
    from spatial_assets.cli.selection.inventory import Inventory

    started = time.monotonic()
    with open_project(project) as opened, progress_display() as progress:
        update = partial(
            update_boundaries, opened, selection.boundaries, clock=now, say=progress.say
        )
        if selectors.changed:
            update()  # whether a tile's boundaries changed is seen in those that are validated
        keys = Inventory(opened).chosen(selectors, selection.stages, now=now()).keys
        if not keys:
            click.echo("Nothing to do: no tile is as was asked for.")
            return
        if not selectors.changed:
            update()
        report = run_tiles(
            opened,
            keys,
            stages=selection.stages,
            engine=engine_for(opened, workers),
            progress=progress,
        )
    if selection.stages:
        seconds = format_duration(time.monotonic() - started)
        click.echo(
            f"{format_count(len(keys), 'tile')} in {seconds}: {report.summary()}. {WITHOUT_DAGSTER}"
        )
    report_bad_tiles(report, tiles=len(keys))


def report_bad_tiles(report: RunReport, *, tiles: int) -> None:
    """Say how many of `tiles` are bad.

    Raises:
        ClickException: one is newly bad.
    """
    if report.already_quarantined:
        click.echo(f"{len(report.already_quarantined)} were in quarantine before, and still are.")
    if report.bad:
        message = (
            f"{len(report.bad)} of {format_count(tiles, 'tile')} need attention, named above; mend "
            "the input and materialize them again: nothing else is recomputed"
        )
        raise click.ClickException(message)
