"""Make the database again from the store, or Dagster's events from both, with --yes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import format_count
from spatial_assets.cli.app.open_project import current_project
from spatial_assets.errors import SettingsError

if TYPE_CHECKING:
    from spatial_assets.cli.app.open_project import OpenProject

NOTHING_DONE = "Nothing was written; to do it, add --yes"


@click.command("rebuild")
@click.option("--database", is_flag=True, help="The tables, from the store.")
@click.option(
    "--events", is_flag=True, help="The events in $DAGSTER_HOME, from the tables and the store."
)
@click.option("--yes", is_flag=True, help="Do it; without it, only say what would be done.")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes for the statistics; 0: this one. Default: [compute] workers.",
)
def rebuild(*, database: bool, events: bool, yes: bool, workers: int | None) -> None:
    """Make the database again from the store, or Dagster's events from both, with --yes.

    The store is the truth: it holds the pixels, and the manifests that tell what they were made
    from. --database makes all rows again, after the database was lost or an older copy of it
    restored. Statistics are stored nowhere else, and are computed again from the cube; no image is
    opened. --events reports to Dagster what exists and has no event: after its storage was lost,
    or for tiles that the command line made. Both may be interrupted and repeated.

    A manifest cannot be made from objects, as they do not tell which scenes and settings they
    were made from: the next run makes a tile without one again.
    """
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.stores.objects.grid_identity import claim_grid, stored_grid

    if not (database or events):
        raise click.UsageError("say what to rebuild: --database, --events or both")
    project = current_project()
    with open_project(project) as opened:
        if not opened.has_store or stored_grid(opened.store) is None:
            click.echo("Nothing to rebuild: nothing has been made here yet.")
            return
        opened.database.declare_tables(project.boundaries, project.indices.names)
        claim_grid(opened.store, project.grid_id, grid=project.grid.model_dump(mode="json"))
        if database:
            rebuild_database(opened, yes=yes, workers=workers)
        if events:
            rebuild_events(opened, yes=yes)


def rebuild_database(opened: OpenProject, *, yes: bool, workers: int | None) -> None:
    """Say which rows are missing, and make them with `yes`.

    Raises:
        ClickException: a tile newly failed or was newly quarantined.
    """
    from spatial_assets.cli.local_run.progress import progress_display
    from spatial_assets.cli.rebuilding.tables import rebuild_tables, tiles_to_rebuild
    from spatial_assets.pipeline.outcome import BadTilesError

    keys = tiles_to_rebuild(opened)
    click.echo(
        f"database: rows of {format_count(len(keys), 'tile')} from manifests and the cube, "
        f"and {format_count(len(opened.project.boundaries), 'boundary set')}"
    )
    if not yes:
        click.echo(NOTHING_DONE)
        return
    with progress_display() as progress:
        report = rebuild_tables(opened, keys, workers=workers, progress=progress)
    click.echo(f"{format_count(len(keys), 'tile')}: {report.summary() or 'nothing to do'}")
    try:
        report.raise_if_any_tile_is_bad()
    except BadTilesError as error:
        raise click.ClickException(str(error)) from error


def rebuild_events(opened: OpenProject, *, yes: bool) -> None:
    """Say which events are missing, and report them with `yes`.

    Raises:
        SettingsError: $DAGSTER_HOME names no instance.
    """
    import dagster as dg

    from spatial_assets.assets.boundaries import boundary_specs
    from spatial_assets.assets.missing_events import missing_events, report_missing_events
    from spatial_assets.assets.specs import stage_specs
    from spatial_assets.cli.app.clock import now
    from spatial_assets.cli.diagnosis.identity import DAGSTER_HOME_VARIABLE
    from spatial_assets.cli.local_run.progress import progress_display
    from spatial_assets.cli.rebuilding.made_assets import made_assets
    from spatial_assets.pipeline.stages import chain_of

    if not os.environ.get(DAGSTER_HOME_VARIABLE):
        raise SettingsError(
            f"events are in Dagster's storage; set {DAGSTER_HOME_VARIABLE} to the folder of the "
            "instance"
        )
    project = opened.project
    made = made_assets(opened, now=now())
    specs = [*stage_specs(project, chain_of(project)), *boundary_specs(project)]
    with dg.DagsterInstance.get() as instance:
        missing = missing_events(instance, project, sets=made.sets, tiles=made.tiles)
        tiles = {tile for by_tile in missing.tiles.values() for tile in by_tile}
        click.echo(
            f"events: {len(missing):,} materializations of {format_count(len(tiles), 'tile')} and "
            f"{format_count(len(missing.sets), 'asset')} of boundary sets"
        )
        if made.stale:
            click.echo(
                f"  {format_count(made.stale, 'tile')} left out: older than [freshness] allows; "
                "the run that is due reports them"
            )
        if not yes:
            click.echo(NOTHING_DONE)
            return
        with progress_display() as progress:
            progress.begin("events", total=len(missing))
            report_missing_events(instance, project, missing, specs=specs, step=progress.step)
    click.echo(f"{len(missing):,} events reported; the results of checks follow with the next runs")
