"""Folder of the demo: its project file, its inputs, and commands that open the result."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from spatial_assets.cli.demo_run.dagster_run import HOME_VARIABLE
from spatial_assets.demo import make_demo_inputs
from spatial_assets.errors import SettingsError
from spatial_assets.project import Project
from spatial_assets.project.base import PROJECT_FILE
from spatial_assets.project.loading import DEMO_FOLDER, PROJECT_VARIABLE
from spatial_assets.project.urls import is_url
from spatial_assets.stores import layout

INPUTS = ("scenes", "boundaries")
CHECKOUT = Path(__file__).parents[3]
FOLDER_OUTSIDE_CHECKOUT = "demo"
"""Folder of the demo in the working directory if there is no checkout."""


def demo_folder(folder: Path | None, *, is_checkout: bool | None = None) -> Path:
    """Return the folder for the demo: `folder`, else that of the checkout, else `./demo`."""
    if folder is not None:
        return folder.expanduser().resolve()
    if (CHECKOUT / "pyproject.toml").is_file() if is_checkout is None else is_checkout:
        return DEMO_FOLDER.resolve()
    return (Path.cwd() / FOLDER_OUTSIDE_CHECKOUT).resolve()


def prepare_folder(folder: Path) -> None:
    """Create the project of the demo in `folder` unless it is there.

    Raises:
        SettingsError: the folder holds another project or cannot be written.
    """
    template, file = DEMO_FOLDER / PROJECT_FILE, folder / PROJECT_FILE
    try:
        if not file.exists():
            if folder.is_dir() and any(folder.iterdir()):
                message = f"{folder} is not empty and holds no demo; name a new folder"
                raise SettingsError(message)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(template, file)
        elif file.read_bytes() != template.read_bytes():
            message = (
                f"{file} is not the demo's; name a new folder for the demo, or run your own "
                "project with `spatial-assets materialize`"
            )
            raise SettingsError(message)
    except OSError as error:
        message = f"{folder} cannot be used ({error}); choose a writable folder"
        raise SettingsError(message) from error


def ensure_inputs(folder: Path, make: Callable[[Path], None] = make_demo_inputs) -> bool:
    """Create scenes and boundaries unless they exist, all or none; return True if created.

    Raises:
        SettingsError: they cannot be written.
    """
    if all((folder / name).is_dir() for name in INPUTS):
        return False
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".inputs-") as made:
            make(Path(made))
            for name in INPUTS:
                shutil.rmtree(folder / name, ignore_errors=True)
                (Path(made) / name).rename(folder / name)
    except OSError as error:
        message = f"the demo's inputs cannot be written to {folder}: {error}"
        raise SettingsError(message) from error
    return True


def dagster_command(project: Project, home: Path) -> str:
    """Return the command that opens Dagster on this project with the records of its runs."""
    if project.root == DEMO_FOLDER.resolve() and home == CHECKOUT / ".dagster_home":
        return "make ui"
    variables = f"{HOME_VARIABLE}={shlex.quote(str(home))}"
    variables += f" {PROJECT_VARIABLE}={shlex.quote(str(project.root))}"
    return f"{variables} dagster dev -m spatial_assets.definitions"


def python_lines(project: Project, period: str) -> Iterator[str]:
    """Yield two lines of Python that open the cube and print the mean of a period."""
    index = project.indices.names[0]
    if is_url(project.storage_url):
        yield "from spatial_assets.stores import cube, objects"
        opened = f'cube.open_cube(objects.open_store("{project.storage_url}"), "{index}")'
    else:
        yield "import xarray"
        opened = f'xarray.open_zarr("{project.storage_url}/{layout.cube(index)}", chunks=None)'
    yield f'print({opened}["{index}"].sel(time="{period}").mean().item())'
