"""Show the project that the store and the database belong to; take them over with --yes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.open_project import current_project

if TYPE_CHECKING:
    from spatial_assets.cli.app.open_project import OpenProject
    from spatial_assets.stores.claims import Claim


@click.command("claim")
@click.option(
    "--yes",
    is_flag=True,
    help="Make both belong to this project; without it, nothing is written.",
)
def claim(*, yes: bool) -> None:
    """Show the project that the store and the database belong to; take them over with --yes.

    A store and a database belong to the project that first wrote to them, and refuse all others.
    With --yes they belong to this project, and the one before is refused from then on. To go on
    with a renamed project folder, set [project] name instead.
    """
    from spatial_assets.cli.app.open_project import unverified_project
    from spatial_assets.pipeline import ownership

    project = current_project()
    with unverified_project(project) as opened:
        for line in claim_lines(opened):
            click.echo(line)
        if yes:
            ownership.take_over(project, opened.store, opened.database)
            click.echo(f"Both belong to project {project.name!r} now ({project.file}).")
        else:
            click.echo(
                f"This is project {project.name!r} ({project.file}). Nothing was written; to take "
                "both over: spatial-assets claim --yes"
            )


def claim_lines(opened: OpenProject) -> Iterator[str]:
    """Yield a line for the store, and one or more for the database."""
    from spatial_assets.stores.objects.store_claim import stored_claim

    of_store = stored_claim(opened.store) if opened.has_store else None
    yield f"store {opened.store.url}: {_owner(of_store)}"
    for found in opened.database.claims() or (None,):
        store = f", for the store {found.store}" if found and found.store else ""
        yield f"database {opened.database.url}: {_owner(found)}{store}"


def _owner(found: Claim | None) -> str:
    return f"project {found.project!r} ({found.file})" if found else "no project yet"
