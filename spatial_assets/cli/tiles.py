"""Print the keys of the tiles, one a line, in their order along the curve."""

from __future__ import annotations

import click
from shapely.geometry.base import BaseGeometry

from spatial_assets.cli.shell.context import current_project
from spatial_assets.cli.shell.selectors import area_option, bbox_option, selected_area


@click.command("tiles")
@bbox_option
@area_option
def tiles(bbox: BaseGeometry | None, area: BaseGeometry | None) -> None:
    """Print the keys of the tiles, one a line, in their order along the curve."""
    partitioning = current_project().partitioning
    selected = selected_area(bbox, area)
    keys = partitioning.keys if selected is None else partitioning.touching(selected)
    for key in keys:
        click.echo(key)
