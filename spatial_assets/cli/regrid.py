"""Move what is stored to where a larger area or another start of time has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import format_count
from spatial_assets.cli.app.open_project import current_project

if TYPE_CHECKING:
    from spatial_assets.cli.app.open_project import OpenProject
    from spatial_assets.pipeline.regrid.operation import Regrid


@click.command("regrid")
@click.option("--dry-run", is_flag=True, help="Say what would be moved; write nothing.")
@click.option(
    "--yes",
    is_flag=True,
    help="Agree to lose the periods before a later [time] start; without it they are refused.",
)
@click.option(
    "--clean",
    is_flag=True,
    help="Instead: delete the objects under the keys that they had before the last regrid.",
)
def regrid(*, dry_run: bool, yes: bool, clean: bool) -> None:
    """Move what is stored to where a larger area or another start of time has it.

    Needed after [area] grew to the west or north, or [time] start, [grid] level or partitions
    changed. Objects are copied within the store, under their new keys; rows and manifests follow;
    nothing is computed again.
    Readers see the cubes as they were or as they are. No run works meanwhile. If it is
    interrupted, run it again: it continues. The objects under their old keys stay for readers
    that have a cube open; --clean deletes them, and so does the next regrid.
    """
    from spatial_assets.cli.app.clock import now
    from spatial_assets.cli.app.open_project import unverified_project
    from spatial_assets.cli.local_run.run_here import lease_owner
    from spatial_assets.pipeline import ownership
    from spatial_assets.pipeline.regrid.operation import Regrid
    from spatial_assets.stores.objects.regrid_journal import stored_journal

    project = current_project()
    with unverified_project(project) as opened:
        if not opened.has_store:
            click.echo("Nothing to move: nothing has been made here yet.")
            return
        ownership.verify_owner(project, opened.store, opened.database)
        work = Regrid(
            project=project,
            store=opened.store,
            database=opened.database,
            owner=lease_owner(),
            clock=now,
            say=click.echo,
        )
        if clean:
            click.echo(f"{format_count(work.clean(), 'object')} of before the regrid deleted.")
            return
        journal = stored_journal(opened.store)
        if journal is not None:
            click.echo(f"A regrid was interrupted: {journal.why} (begun {journal.started_at}).")
        elif not _is_agreed(work, yes=yes or dry_run):
            return
        if dry_run:
            click.echo("Nothing was written; to do it: spatial-assets regrid")
            return
        regroups = bool(journal.operation.get("former")) if journal else work.regroups()
        work.run()
        if regroups:
            make_rows(opened)
        click.echo(
            "Done. The objects under their old keys stay for readers that have a cube open; to "
            "delete them: spatial-assets regrid --clean"
        )


def make_rows(opened: OpenProject) -> None:
    """Make the rows of the tiles that were grouped anew, from their pixels in the cubes."""
    from spatial_assets.cli.local_run.progress import progress_display
    from spatial_assets.cli.local_run.run_here import engine_for, run_tiles
    from spatial_assets.pipeline.regrid.operation import manifest_keys
    from spatial_assets.pipeline.stages import TILE_INDEX, chain_of

    stored = manifest_keys(opened.store)
    keys = [key for key in opened.project.partitioning.keys if key in stored]
    stages = (*chain_of(opened.project).statistics, TILE_INDEX)
    with progress_display() as progress:
        engine = engine_for(opened, None)
        report = run_tiles(opened, keys, stages=stages, engine=engine, progress=progress)
    report.raise_if_any_tile_is_bad()


def _is_agreed(work: Regrid, *, yes: bool) -> bool:
    """Say what is planned; False if there is nothing to do.

    Raises:
        UsageError: periods would be lost, which needs --yes.
    """
    plan = work.planned()
    if plan is None:
        click.echo("Nothing to move: everything is where the project has it.")
        return False
    for line in plan.lines():
        click.echo(f"{line[0].upper()}{line[1:]}.")
    if plan.removed and not yes:
        message = "[time] start is later than stored periods; to lose them: spatial-assets regrid"
        raise click.UsageError(f"{message} --yes")
    return True
