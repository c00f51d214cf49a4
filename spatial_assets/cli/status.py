"""Show how the tiles stand: states, ages, what is due next, how fast runs are, and quarantine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import console, table
from spatial_assets.cli.app.open_project import current_project
from spatial_assets.errors import SettingsError
from spatial_assets.project.secrets import mask_secrets

if TYPE_CHECKING:
    from spatial_assets.stores.rows import Row


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: counts, tiles, quarantine.")
@click.option(
    "--geojson",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write FILE: a feature a tile, with its state, reason and valid_fraction.",
)
@click.option(
    "--verify", is_flag=True, help="Also see that every object is still as it was committed."
)
def status(*, as_json: bool, geojson: Path | None, verify: bool) -> None:
    """Show how many tiles stand where, the oldest of each state, what is due, and quarantine.

    Reads the database and the store, and writes nothing but the FILE of --geojson.
    """
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.local_run.run_here import now
    from spatial_assets.cli.selection import report
    from spatial_assets.cli.selection.inventory import Inventory
    from spatial_assets.cli.selection.run_rates import recent_throughput

    project = current_project()
    with open_project(project) as opened:
        inventory = Inventory(opened)
        found = report.StatusReport(
            project=project,
            tiles=inventory.tiles(verify=verify),
            quarantine=inventory.quarantine(),
            throughput=recent_throughput(inventory.rows("run_log")),
            now=now(),
        )
    if geojson is not None:
        _write(geojson, report.geojson(found))
    if as_json:
        click.echo(mask_secrets(json.dumps(report.document(found), indent=2)))
        return
    out = console()
    title = f"{project.file}: {len(found.tiles):,} tiles"
    out.print(table(report.STATUS_COLUMNS, report.status_rows(found), title=title))
    if found.windows:
        out.print(table(report.FRESHNESS_COLUMNS, report.freshness_rows(found), title="Freshness"))
    click.echo(report.format_throughput(found))
    if found.quarantine:
        out.print(
            table(QUARANTINE_COLUMNS, quarantine_rows(found.quarantine), title="In quarantine")
        )


QUARANTINE_COLUMNS = ("kind", "what", "reason", "message")


def quarantine_rows(found: Iterable[Row]) -> Iterable[tuple[str, ...]]:
    """A row for each subject."""
    for row in found:
        kind, what = str(row["kind"]), str(row["subject"])
        yield kind, what, str(row["reason"]), mask_secrets(str(row["message"]))


def _write(path: Path, text: str) -> None:
    """Write a file of a user's.

    Raises:
        SettingsError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be written ({error}); name a file in a folder that you may use"
        raise SettingsError(message) from error
