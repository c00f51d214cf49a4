"""Show the status of the tiles: states, ages, next due times, throughput and quarantine."""

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
    help="Also write FILE: one feature per tile with its state, reason and valid_fraction.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Also verify that every object in the store is the one committed.",
)
def status(*, as_json: bool, geojson: Path | None, verify: bool) -> None:
    """Show the number of tiles per state, the oldest of each, due tiles, and the quarantine.

    Reads the database and the store; writes nothing except the FILE of --geojson.
    """
    from spatial_assets.catalog.item_notes import ItemNotes
    from spatial_assets.cli.app.clock import now
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.selection import report
    from spatial_assets.cli.selection.inventory import Inventory
    from spatial_assets.cli.selection.run_rates import recent_throughput
    from spatial_assets.pipeline.freshness.former_code import AcceptedCode
    from spatial_assets.pipeline.freshness.stored_notes import stored_notes

    project = current_project()
    with open_project(project) as opened, opened.database.keep_open():
        inventory = Inventory(opened)
        found = report.StatusReport(
            project=project,
            tiles=inventory.tiles(verify=verify),
            quarantine=inventory.quarantine(),
            throughput=recent_throughput(inventory.rows("run_log")),
            not_asked_for=inventory.not_asked_for(),
            now=now(),
            accepted=AcceptedCode.load(opened.store).versions if opened.has_store else (),
            notes=stored_notes(opened.store) if opened.has_store else ItemNotes(),
        )
    if geojson is not None:
        _write(geojson, report.geojson(found))
    if as_json:
        click.echo(mask_secrets(json.dumps(report.document(found), indent=2)))
        return
    out = console()
    title = f"{project.file}: {len(found.tiles):,} tiles"
    out.print(table(report.STATUS_COLUMNS, report.status_rows(found), title=title))
    if found.freshness:
        out.print(table(report.FRESHNESS_COLUMNS, report.freshness_rows(found), title="Freshness"))
    click.echo(report.format_throughput(found))
    for line in found.notes.lines():
        click.echo(f"last run, {line}")
    for line in report.kept_lines(found):
        click.echo(line)
    if found.quarantine:
        out.print(
            table(QUARANTINE_COLUMNS, quarantine_rows(found.quarantine), title="In quarantine")
        )


QUARANTINE_COLUMNS = ("kind", "subject", "reason", "message")


def quarantine_rows(found: Iterable[Row]) -> Iterable[tuple[str, ...]]:
    """Yield a row per subject in quarantine."""
    for row in found:
        kind, subject = str(row["kind"]), str(row["subject"])
        yield kind, subject, str(row["reason"]), mask_secrets(str(row["message"]))


def _write(path: Path, text: str) -> None:
    """Write a file that the user named.

    Raises:
        SettingsError: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be written ({error}); choose a file in a writable folder"
        raise SettingsError(message) from error
