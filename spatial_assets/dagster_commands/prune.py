"""List objects and rows that the project keeps no longer, and remove them with --yes."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import format_count
from spatial_assets.cli.app.open_project import current_project
from spatial_assets.errors import SettingsError

if TYPE_CHECKING:
    from spatial_assets.project import Project


@click.command("prune")
@click.option(
    "--yes",
    is_flag=True,
    help="Remove the listed objects and rows; without it, nothing is removed.",
)
@click.option(
    "--scenes",
    is_flag=True,
    help="Instead: scenes that the catalogue does not list, or that [scenes] no longer asks for. "
    "With --yes the next run of their tiles drops what was made of them.",
)
@click.option(
    "--events",
    is_flag=False,
    flag_value="",
    metavar="AGE",
    help='Instead: events in Dagster that are older than AGE ("90d", "90 days"; default: '
    "[retention] events) and that newer ones supersede, and the logs of runs.",
)
@click.option(
    "--vacuum",
    is_flag=True,
    help="With --events --yes: give the freed space back to the disk. SQLite locks the event log "
    "meanwhile, so do it when nothing runs.",
)
def prune(*, yes: bool, scenes: bool, events: str | None, vacuum: bool) -> None:
    """List what the project keeps no longer, and remove it with --yes.

    That is: tiles outside a reduced [area]; indices and boundary sets that left the project file;
    periods outside [scenes] datetime; periods and pixels that [retention] keeps no longer; and
    objects of killed runs that no manifest names. A tile that a run is working on is skipped.
    """
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.pruning.absent_scenes import prune_scenes
    from spatial_assets.cli.pruning.leftover_text import leftover_lines
    from spatial_assets.cli.pruning.leftovers import find_leftovers, remove_leftovers
    from spatial_assets.pipeline import ownership
    from spatial_assets.stores.objects.grid_identity import claim_grid, stored_grid

    project = current_project()
    if events is not None:
        prune_dagster(project, events, yes=yes, vacuum=vacuum)
        return
    with open_project(project) as opened:
        if not opened.has_store or stored_grid(opened.store) is None:
            click.echo("Nothing to prune: nothing has been made here yet.")
            return
        if yes:
            ownership.claim(project, opened.store, opened.database)
        opened.database.declare_tables(project.boundaries, project.indices.names)
        claim_grid(opened.store, project.grid_id, grid=project.grid.model_dump(mode="json"))
        if scenes:
            prune_scenes(opened, yes=yes)
            return
        left = find_leftovers(opened)
        for line in leftover_lines(left):
            click.echo(line)
        if not left:
            click.echo("Nothing to prune: everything here belongs to a tile.")
        elif yes:
            click.echo(
                f"{format_count(remove_leftovers(opened, left, say=click.echo), 'object')} removed."
            )
        else:
            click.echo("Nothing was removed; to remove it: spatial-assets prune --yes")


def prune_dagster(project: Project, age: str, *, yes: bool, vacuum: bool) -> None:
    """List the superseded events in Dagster, and delete them with `yes`.

    Raises:
        SettingsError: no age is given, or $DAGSTER_HOME names no instance.
    """
    import dagster as dg

    from spatial_assets.automation.event_retention import prune_scope
    from spatial_assets.cli.diagnosis.identity import DAGSTER_HOME_VARIABLE
    from spatial_assets.instance.event_pruning import give_back_space, prune_events
    from spatial_assets.resources import now

    kept = event_age(age, project.retention.events)
    if not os.environ.get(DAGSTER_HOME_VARIABLE):
        raise SettingsError(
            f"events are in Dagster's storage; set {DAGSTER_HOME_VARIABLE} to the folder of the "
            "instance"
        )
    with dg.DagsterInstance.get() as instance:
        scope = prune_scope(project, instance, before=now() - kept)
        pruned = prune_events(instance, scope, dry=not yes)
        for line in pruned.lines():
            click.echo(line)
        size = f"{pruned.size / 1e6:,.1f} MB"
        if not pruned.size:
            click.echo(f"Nothing to prune: no event older than {kept.days} days is superseded.")
        elif not yes:
            click.echo(f"{size} in all. Nothing was deleted; to delete it, add --yes")
        else:
            click.echo(f"{size} deleted; Dagster uses the space for its next events.")
        if yes and vacuum:
            give_back_space(instance)
            click.echo("The event log was compacted.")


def event_age(age: str, default: timedelta | None) -> timedelta:
    """Return the age that an option means: "90d", "90 days", or nothing for the default.

    Raises:
        SettingsError: it means none.
    """
    found = re.fullmatch(r"([1-9]\d{0,4}) ?d(ays?)?", age)
    if found:
        return timedelta(days=int(found[1]))
    if not age and default is not None:
        return default
    raise SettingsError(
        f"--events: got {age!r}, wanted a number of days such as 90d"
        + ('; [retention] events is "keep", so there is no default' if not age else "")
    )
