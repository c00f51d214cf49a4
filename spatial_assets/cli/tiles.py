"""Print the tile keys, one per line, in partition order."""

from __future__ import annotations

import click
from shapely.geometry.base import BaseGeometry

from spatial_assets.cli.app.open_project import current_project
from spatial_assets.cli.app.options import area_option, bbox_option, region_option, selected_area


@click.command("tiles")
@bbox_option
@area_option
@region_option
def tiles(bbox: BaseGeometry | None, area: BaseGeometry | None, regions: tuple[str, ...]) -> None:
    """Print the tile keys, one per line, in partition order."""
    partitioning = current_project().partitioning
    selected = selected_area(bbox, area)
    chosen = {*regions, *(() if selected is None else partitioning.touching(selected))}
    for key in partitioning.keys:
        if key in chosen or (selected is None and not regions):
            click.echo(key)
