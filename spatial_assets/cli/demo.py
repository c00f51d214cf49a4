"""Make the demo: scenes and boundaries, and through Dagster everything that follows from them."""

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
@click.option("--inputs-only", is_flag=True, help="Only the scenes and boundaries, no tile.")
def demo(folder: Path | None, *, inputs_only: bool) -> None:
    """Make the demo in DIR: scenes, boundaries, and through Dagster everything from them.

    Takes under a minute; a second time it finds everything unchanged. Default for DIR: the
    project folder in force, else the demo's place in this checkout, else a new folder `demo`.
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
        made = ensure_inputs(chosen)
        spent = format_duration(time.monotonic() - began)
        progress.say(f"Scenes and boundaries: {f'made in {spent}' if made else 'there already'}.")
        if inputs_only:
            return
        home = dagster_run.dagster_home(project, os.environ)
        end = dagster_run.materialize_everything(project, home=home, progress=progress)
    seconds = format_duration(time.monotonic() - began)
    if end.exit_code and not end.sentence:
        message = f"Dagster ended with {end.exit_code} before the tiles; it said why in {end.log}"
        raise click.ClickException(message)
    # A log may lose lines on the way, an exit code does not; the story tells what is stored.
    told = end.sentence or f"all {len(project.partitioning.keys)} tiles"
    click.echo(f"Made by Dagster, {seconds} in all: {told}.")
    with open_project(project) as opened:
        story = read_summary(opened)
        print_summary(story)
        draw_newest_period(opened, story)
    click.echo(f"\nIn Dagster: {dagster_command(project, home)}")
    click.echo(f"In Python ({display_path(sys.executable)}):")
    for line in python_lines(project, story.period or ""):
        click.echo(f"  {line}")
    if end.exit_code:
        message = f"some tiles need attention, see above; all that Dagster said is in {end.log}"
        raise click.ClickException(message)


def _folder_in_force() -> Path | None:
    named = os.environ.get(PROJECT_VARIABLE)
    return Path(named) if named else None


def print_summary(story: DemoSummary) -> None:
    """Say what exists, and what became of what was not as it should be."""
    click.echo("\nWhat exists now:")
    for where, what in story.exists:
        click.echo(f"  {where}")
        for line in what.splitlines():
            click.echo(f"    {line}")
    click.echo("\nBad input, which the demo has by design:")
    for line in story.happened:
        click.echo(f"  {line}")


def draw_newest_period(opened: OpenProject, story: DemoSummary) -> None:
    """The newest period: in the terminal where that has colours, and as a file."""
    from spatial_assets.cli.app.console import console
    from spatial_assets.cli.demo_run.summary import display_path
    from spatial_assets.cli.mapping.map_data import map_subtitle, read_map_data
    from spatial_assets.cli.mapping.png import map_png
    from spatial_assets.cli.mapping.terminal import can_show, half_blocks

    index = opened.project.indices.names[0]
    subject: MapData = read_map_data(opened, story.tiles, index=index, period=story.period)
    out = console()
    if can_show(out):
        out.print("", half_blocks(subject.values, out), sep="\n")
    picture = opened.project.root / f"{index}_{story.period}.png"
    picture.write_bytes(map_png(subject, subtitle=map_subtitle(opened.project)))
    click.echo(f"\n{subject.title}: {display_path(str(picture))}")
