"""Print the tile keys, one per line, in partition order."""

from __future__ import annotations

import click
from shapely.geometry.base import BaseGeometry

from spatial_assets.cli.app.open_project import current_project
from spatial_assets.cli.app.options import area_option, bbox_option, region_option, selected_area
from spatial_assets.cli.selection.tile_options import TileSelectors


@click.command("tiles")
@bbox_option
@area_option
@region_option
def tiles(bbox: BaseGeometry | None, area: BaseGeometry | None, regions: tuple[str, ...]) -> None:
    """Print the tile keys, one per line, in partition order; none at the location is an error."""
    partitioning = current_project().partitioning
    selectors = TileSelectors(area=selected_area(bbox, area), keys=regions)
    for key in selectors.located(partitioning):
        click.echo(key)
