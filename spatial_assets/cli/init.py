"""Create a project folder that works with a public STAC API."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from spatial_assets.errors import SettingsError
from spatial_assets.project.loading import PROJECT_VARIABLE, load_project

STARTER = Path(__file__).parent / "starter"


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Create a project folder DIR that works with a public STAC API.

    The folder is a copy of a commented example; DIR must be empty or not exist.
    """
    write_starter(folder)
    load_project(folder)  # fail here rather than at the first command if the example is invalid
    click.echo(f"{folder}/project.toml: edit [area], [scenes] and [[boundaries]], then")
    click.echo(f"  export {PROJECT_VARIABLE}={folder.resolve()}")
    click.echo("  spatial-assets check")


def write_starter(folder: Path) -> None:
    """Copy the example project into `folder`.

    Raises:
        SettingsError: the folder is not empty or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"{folder} is not an empty folder; name a new one: nothing is overwritten"
        raise SettingsError(message)
    try:
        shutil.copytree(STARTER, folder, dirs_exist_ok=True)
    except OSError as error:
        message = f"{folder} cannot be written ({error}); choose a writable folder"
        raise SettingsError(message) from error
