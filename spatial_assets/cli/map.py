"""Draw a map of the tiles: how they stand, over a period of an index; for a browser or as PNG."""

from __future__ import annotations

from pathlib import Path

import click

from spatial_assets.cli.app.open_project import current_project
from spatial_assets.errors import SettingsError

PAGE, PICTURE = ".html", ".png"


@click.command("map")
@click.argument("destination", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--index", help="The index; default: the first of the project.")
@click.option("--period", help="The period by its label, for example 2023-08; default: the newest.")
@click.option(
    "--size",
    type=click.IntRange(min=16),
    default=1024,
    show_default=True,
    help="Most pixels along the longer side.",
)
def draw_map(destination: Path, index: str | None, *, period: str | None, size: int) -> None:
    """Draw the tiles over a period of an index, and write OUT.

    OUT.html is one page for a browser, without a network: pointing at a tile says how it stands.
    OUT.png is a picture with a legend.
    """
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.mapping.html import map_page
    from spatial_assets.cli.mapping.map_data import map_subtitle, newest_period, read_map_data
    from spatial_assets.cli.mapping.png import map_png
    from spatial_assets.cli.selection.inventory import Inventory

    ending = destination.suffix.lower()
    if ending not in {PAGE, PICTURE}:
        message = f"{destination}: wanted a name that ends in {PAGE} or {PICTURE}"
        raise click.BadParameter(message, param_hint="OUT")
    project = current_project()
    index = index or project.indices.names[0]
    with open_project(project) as opened:
        inventory = Inventory(opened)
        period = period or newest_period(inventory.rows("tile_index"), index)
        tiles = inventory.tiles()
        subject = read_map_data(opened, tiles, index=index, period=period, longest=size)
    subtitle = map_subtitle(project)
    drawn = (
        map_png(subject, subtitle=subtitle)
        if ending == PICTURE
        else map_page(subject, subtitle=subtitle).encode()
    )
    try:
        destination.write_bytes(drawn)
    except OSError as error:
        message = f"{destination} cannot be written ({error}); name a file in a folder of yours"
        raise SettingsError(message) from error
    click.echo(f"{destination}: {subject.title}, {len(tiles):,} tiles, {len(drawn) / 1e6:.1f} MB")
