"""Draw a map of one period of an index with the status of the tiles, as HTML or PNG."""

from __future__ import annotations

from pathlib import Path

import click

from spatial_assets.cli.app.open_project import current_project
from spatial_assets.errors import SettingsError

PAGE, PICTURE = ".html", ".png"


@click.command("map")
@click.argument("destination", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--index", help="Index to draw. Default: the first of the project.")
@click.option("--period", help="Label of the period, for example 2023-08. Default: the newest.")
@click.option(
    "--size",
    type=click.IntRange(min=16),
    default=1024,
    show_default=True,
    help="Maximum number of pixels along the longer side.",
)
def draw_map(destination: Path, index: str | None, *, period: str | None, size: int) -> None:
    """Draw one period of an index with the tiles on top, and write it to OUT.

    OUT.html is a self-contained page for a browser that shows the status of the tile under the
    pointer. OUT.png is a picture with a legend.
    """
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.mapping.html import map_page
    from spatial_assets.cli.mapping.map_data import map_subtitle, newest_period, read_map_data
    from spatial_assets.cli.mapping.png import map_png
    from spatial_assets.cli.selection.inventory import Inventory

    ending = destination.suffix.lower()
    if ending not in {PAGE, PICTURE}:
        message = f"{destination}: expected a file name that ends in {PAGE} or {PICTURE}"
        raise click.BadParameter(message, param_hint="OUT")
    project = current_project()
    index = index or project.indices.names[0]
    with open_project(project) as opened, opened.database.keep_open():
        inventory = Inventory(opened)
        columns = ("index_name", "period", "period_start", "valid_fraction")
        period = period or newest_period(inventory.rows("tile_index", columns=columns), index)
        tiles = inventory.tiles()
        map_data = read_map_data(opened, tiles, index=index, period=period, longest=size)
    subtitle = map_subtitle(project)
    drawn = (
        map_png(map_data, subtitle=subtitle)
        if ending == PICTURE
        else map_page(map_data, subtitle=subtitle).encode()
    )
    try:
        destination.write_bytes(drawn)
    except OSError as error:
        message = f"{destination} cannot be written ({error}); choose a file in a writable folder"
        raise SettingsError(message) from error
    click.echo(f"{destination}: {map_data.title}, {len(tiles):,} tiles, {len(drawn) / 1e6:.1f} MB")
