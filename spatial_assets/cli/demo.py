"""Make the demo: scenes and boundaries, and through Dagster everything that follows from them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import duration
from spatial_assets.cli.app.open_project import chosen_folder
from spatial_assets.project import load_project
from spatial_assets.project.loading import PROJECT_VARIABLE

if TYPE_CHECKING:
    from spatial_assets.cli.app.open_project import OpenProject
    from spatial_assets.cli.demo_run.summary import Story
    from spatial_assets.cli.mapping.map_data import MapSubject


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
        chosen_place,
        dagster_command,
        ensure_inputs,
        python_lines,
        settle,
    )
    from spatial_assets.cli.demo_run.summary import read_story, shown
    from spatial_assets.cli.local_run.progress import meter

    began = time.monotonic()
    chosen = chosen_place(folder or chosen_folder() or _folder_in_force())
    settle(chosen)
    project = load_project(chosen)
    with meter() as gauge:
        gauge.begin("scenes and boundaries")
        made = ensure_inputs(chosen)
        spent = duration(time.monotonic() - began)
        gauge.say(f"Scenes and boundaries: {f'made in {spent}' if made else 'there already'}.")
        if inputs_only:
            return
        home = dagster_run.home_of(project, os.environ)
        end = dagster_run.run_everything(project, home=home, meter=gauge)
    seconds = duration(time.monotonic() - began)
    if end.exit_code and not end.sentence:
        message = f"Dagster ended with {end.exit_code} before the tiles; it said why in {end.log}"
        raise click.ClickException(message)
    # A log may lose lines on the way, an exit code does not; the story tells what is stored.
    told = end.sentence or f"all {len(project.partitioning.keys)} tiles"
    click.echo(f"Made by Dagster, {seconds} in all: {told}.")
    with open_project(project) as ground:
        story = read_story(ground)
        tell(story)
        show(ground, story)
    click.echo(f"\nIn Dagster: {dagster_command(project, home)}")
    click.echo(f"In Python ({shown(sys.executable)}):")
    for line in python_lines(project, story.period or ""):
        click.echo(f"  {line}")
    if end.exit_code:
        message = f"some tiles need attention, see above; all that Dagster said is in {end.log}"
        raise click.ClickException(message)


def _folder_in_force() -> Path | None:
    named = os.environ.get(PROJECT_VARIABLE)
    return Path(named) if named else None


def tell(story: Story) -> None:
    """Say what exists, and what became of what was not as it should be."""
    click.echo("\nWhat exists now:")
    for where, what in story.exists:
        click.echo(f"  {where}")
        for line in what.splitlines():
            click.echo(f"    {line}")
    click.echo("\nBad input, which the demo has by design:")
    for line in story.happened:
        click.echo(f"  {line}")


def show(ground: OpenProject, story: Story) -> None:
    """The newest period: in the terminal where that has colours, and as a file."""
    from spatial_assets.cli.app.console import console
    from spatial_assets.cli.demo_run.summary import shown
    from spatial_assets.cli.mapping.map_data import map_subject, subtitle_of
    from spatial_assets.cli.mapping.png import map_png
    from spatial_assets.cli.mapping.terminal import can_show, half_blocks

    index = ground.project.indices.names[0]
    subject: MapSubject = map_subject(ground, story.tiles, index=index, period=story.period)
    out = console()
    if can_show(out):
        out.print("", half_blocks(subject.values, out), sep="\n")
    picture = ground.project.root / f"{index}_{story.period}.png"
    picture.write_bytes(map_png(subject, subtitle=subtitle_of(ground.project)))
    click.echo(f"\n{subject.title}: {shown(str(picture))}")
