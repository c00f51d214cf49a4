"""Create the demo: scenes and boundaries, and all assets made from them by Dagster."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import format_duration
from spatial_assets.cli.app.open_project import project_option
from spatial_assets.project import load_project
from spatial_assets.project.loading import PROJECT_VARIABLE

if TYPE_CHECKING:
    from spatial_assets.cli.app.open_project import OpenProject
    from spatial_assets.cli.demo_run.summary import DemoSummary
    from spatial_assets.cli.mapping.map_data import MapData


@click.command("demo")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--inputs-only", is_flag=True, help="Create only the scenes and boundaries.")
def demo(folder: Path | None, *, inputs_only: bool) -> None:
    """Create the demo in DIR: scenes and boundaries, and all assets made from them by Dagster.

    Takes under a minute; a second run finds everything unchanged. Default for DIR: the current
    project folder, else the demo folder of this checkout, else a new folder `demo`.
    """
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.demo_run import dagster_run
    from spatial_assets.cli.demo_run.folder import (
        dagster_command,
        demo_folder,
        ensure_inputs,
        prepare_folder,
        python_lines,
    )
    from spatial_assets.cli.demo_run.summary import display_path, read_summary
    from spatial_assets.cli.local_run.progress import progress_display

    began = time.monotonic()
    chosen = demo_folder(folder or project_option() or _folder_in_force())
    prepare_folder(chosen)
    project = load_project(chosen)
    with progress_display() as progress:
        progress.begin("scenes and boundaries")
        created = ensure_inputs(chosen)
        spent = format_duration(time.monotonic() - began)
        progress.say(
            f"Scenes and boundaries: {f'created in {spent}' if created else 'already there'}."
        )
        if inputs_only:
            return
        home = dagster_run.dagster_home(project, os.environ)
        run = dagster_run.materialize_everything(project, home=home, progress=progress)
    seconds = format_duration(time.monotonic() - began)
    if run.exit_code and not run.tile_counts:
        message = f"Dagster exited with {run.exit_code} before the tiles; see its log: {run.log}"
        raise click.ClickException(message)
    # The log may lack its last lines, the exit code does not; the summary is read from the store.
    counts = run.tile_counts or f"all {len(project.partitioning.keys)} tiles"
    click.echo(f"Made by Dagster in {seconds}: {counts}.")
    with open_project(project) as opened:
        summary = read_summary(opened)
        print_summary(summary)
        draw_newest_period(opened, summary)
    click.echo(f"\nIn Dagster: {dagster_command(project, home)}")
    click.echo(f"In Python ({display_path(sys.executable)}):")
    for line in python_lines(project, summary.period or ""):
        click.echo(f"  {line}")
    if run.exit_code:
        message = f"some tiles need attention, see above; Dagster's log: {run.log}"
        raise click.ClickException(message)


def _folder_in_force() -> Path | None:
    named = os.environ.get(PROJECT_VARIABLE)
    return Path(named) if named else None


def print_summary(summary: DemoSummary) -> None:
    """Print what exists and how bad input was handled."""
    click.echo("\nWhat exists now:")
    for location, description in summary.products:
        click.echo(f"  {location}")
        for line in description.splitlines():
            click.echo(f"    {line}")
    click.echo("\nBad input, which the demo contains by design:")
    for line in summary.incidents:
        click.echo(f"  {line}")


def draw_newest_period(opened: OpenProject, summary: DemoSummary) -> None:
    """Draw the newest period as a PNG file, and in the terminal if it has colours."""
    from spatial_assets.cli.app.console import console
    from spatial_assets.cli.demo_run.summary import display_path
    from spatial_assets.cli.mapping.map_data import map_subtitle, read_map_data
    from spatial_assets.cli.mapping.png import map_png
    from spatial_assets.cli.mapping.terminal import can_show, half_blocks

    index = opened.project.indices.names[0]
    map_data: MapData = read_map_data(opened, summary.tiles, index=index, period=summary.period)
    out = console()
    if can_show(out):
        out.print("", half_blocks(map_data.values, out), sep="\n")
    picture = opened.project.root / f"{index}_{summary.period}.png"
    picture.write_bytes(map_png(map_data, subtitle=map_subtitle(opened.project)))
    click.echo(f"\n{map_data.title}: {display_path(str(picture))}")
