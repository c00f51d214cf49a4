"""Make tiles here and now, without Dagster: chosen by place, state or age."""

from __future__ import annotations

import time

import click

from spatial_assets.cli.selection.selectors import Selectors, selecting_tiles
from spatial_assets.cli.shell.context import current_project
from spatial_assets.cli.shell.selectors import select_option
from spatial_assets.cli.shell.words import counted, duration

WITHOUT_DAGSTER = "Dagster was not told: its UI shows what its own runs made."


@click.command("materialize")
@selecting_tiles
@select_option
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes; 0: within this one. Default: [compute] workers.",
)
def materialize(*, selectors: Selectors, names: tuple[str, ...], workers: int | None) -> None:
    """Make tiles in this process, chosen by what Dagster does not know: place, state and age.

    What has not changed is left as it is, whoever made it. Dagster is not told; to have events
    in its UI, use `dagster asset materialize`. Exits with 1 if a tile is newly bad.
    """
    from spatial_assets.cli.running.boundaries import bring_up_to_date  # noqa: PLC0415 - GDAL
    from spatial_assets.cli.running.clock import now  # noqa: PLC0415
    from spatial_assets.cli.running.meter import meter  # noqa: PLC0415 - rich
    from spatial_assets.cli.running.selection import selection_of  # noqa: PLC0415 - the database
    from spatial_assets.cli.running.tiles import engine_of, walk  # noqa: PLC0415 - pixels
    from spatial_assets.cli.selection.inventory import Inventory  # noqa: PLC0415 - the database
    from spatial_assets.cli.shell.ground import open_ground  # noqa: PLC0415 - the store

    started = time.monotonic()
    project = current_project()
    selection = selection_of(project, names)
    with open_ground(project) as ground, meter() as gauge:
        keys = Inventory(ground).chosen(selectors, selection.stages, now=now())
        if not keys:
            click.echo("Nothing to do: no tile is as was asked for.")
            return
        ground.database.ensure_schema(project.boundaries, project.indices.names)
        bring_up_to_date(ground, selection.boundaries, clock=now, say=gauge.say)
        report = walk(
            ground,
            keys,
            stages=selection.stages,
            engine=engine_of(project, workers),
            meter=gauge,
        )
    seconds = duration(time.monotonic() - started)
    if selection.stages:
        click.echo(
            f"{counted(len(keys), 'tile')} in {seconds}: {report.sentence()}. {WITHOUT_DAGSTER}"
        )
    if report.standing:
        click.echo(f"{len(report.standing)} were in quarantine before, and still are.")
    if report.bad:
        message = (
            f"{len(report.bad)} of {counted(len(keys), 'tile')} need attention, named above; mend "
            "the input and materialize them again: nothing else is recomputed"
        )
        raise click.ClickException(message)
