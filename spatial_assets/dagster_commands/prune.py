"""List objects and rows that belong to no tile of the area, and remove them with --yes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import format_count, format_list
from spatial_assets.cli.app.open_project import current_project

if TYPE_CHECKING:
    from spatial_assets.cli.pruning.leftovers import Leftovers
    from spatial_assets.stores.objects.store import ObjectInfo


MAX_LISTED_LEFTOVERS = 5  # of each kind; the rest is counted


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
def prune(*, yes: bool, scenes: bool) -> None:
    """List leftovers that belong to no tile of the area, and remove them with --yes.

    Leftovers are tiles outside a reduced [area] with their objects, rows and manifests, and
    objects of killed runs that no manifest names. A tile that a run is working on is skipped.
    """
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.pruning.absent_scenes import prune_scenes
    from spatial_assets.cli.pruning.leftovers import find_leftovers, remove_leftovers
    from spatial_assets.pipeline import ownership
    from spatial_assets.stores.objects.grid_identity import claim_grid, stored_grid

    project = current_project()
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


def leftover_lines(left: Leftovers) -> Iterator[str]:
    """Yield a few lines that summarize the leftovers."""
    gone = sorted({*left.gone, *left.rows})
    if gone:
        objects = [info for found in left.gone.values() for info in found]
        rows = format_count(sum(left.rows.values()), "row")
        named = format_list(gone, most=MAX_LISTED_LEFTOVERS)
        yield f"{format_count(len(gone), 'tile')} no longer in the area: {named}"
        yield f"  {format_objects(objects)}, {rows}"
    orphans = sorted(info.path for found in left.orphans.values() for info in found)
    if orphans:
        objects = [info for found in left.orphans.values() for info in found]
        named = format_list(orphans, most=MAX_LISTED_LEFTOVERS)
        yield f"{format_objects(objects)} not named by any manifest: {named}"


def format_objects(objects: Iterable[ObjectInfo]) -> str:
    """Format the number of objects and their size."""
    sizes = [info.size for info in objects]
    return f"{format_count(len(sizes), 'object')} of {sum(sizes) / 1e6:,.1f} MB"
