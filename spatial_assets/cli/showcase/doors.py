"""How to open what was made: in Dagster, and in Python."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from spatial_assets.cli.showcase.dagster_run import HOME_VARIABLE
from spatial_assets.cli.showcase.place import CHECKOUT
from spatial_assets.project import Project
from spatial_assets.project.loading import DEMO_FOLDER, PROJECT_VARIABLE
from spatial_assets.project.places import is_url
from spatial_assets.stores import layout


def dagster_command(project: Project, home: Path) -> str:
    """What opens Dagster on this project with the records of its runs."""
    if project.root == DEMO_FOLDER.resolve() and home == CHECKOUT / ".dagster_home":
        return "make ui"
    variables = f"{HOME_VARIABLE}={shlex.quote(str(home))}"
    variables += f" {PROJECT_VARIABLE}={shlex.quote(str(project.root))}"
    return f"{variables} dagster dev -m spatial_assets.definitions"


def python_lines(project: Project, period: str) -> Iterator[str]:
    """Two lines of Python that open the cube and answer something."""
    index = project.indices.names[0]
    if is_url(project.storage_url):
        yield "from spatial_assets.stores import cube, objects"
        opened = f'cube.open_cube(objects.open_store("{project.storage_url}"), "{index}")'
    else:
        yield "import xarray"
        opened = f'xarray.open_zarr("{project.storage_url}/{layout.cube(index)}", chunks=None)'
    yield f'print({opened}["{index}"].sel(time="{period}").mean().item())'
