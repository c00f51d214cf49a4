"""Export one period of an index as a cloud-optimized GeoTIFF."""

from __future__ import annotations

from pathlib import Path

import click
from shapely.geometry.base import BaseGeometry

from spatial_assets.cli.app.open_project import current_project
from spatial_assets.cli.app.options import area_option, bbox_option, selected_area


@click.command("export")
@click.argument("destination", metavar="OUT.tif", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--index", help="Index to export. Default: the first of the project.")
@click.option("--period", required=True, help="Label of the period, for example 2023-08.")
@bbox_option
@area_option
def export(
    destination: Path,
    index: str | None,
    *,
    period: str,
    bbox: BaseGeometry | None,
    area: BaseGeometry | None,
) -> None:
    """Export one period of an index to OUT.tif, a cloud-optimized GeoTIFF for QGIS and GDAL.

    With --bbox or --area, exports only the pixels of that rectangle; default: the whole cube.
    Values are stored as int16; the file holds their scale and the nodata value.
    """
    from spatial_assets.pipeline import ownership
    from spatial_assets.stores.cube.export import export_cog
    from spatial_assets.stores.objects.store import open_store

    project = current_project()
    store = open_store(project.storage_url)
    ownership.verify(project, store, None)
    exported = export_cog(
        store,
        destination,
        index=index or project.indices.names[0],
        period=period,
        area=selected_area(bbox, area),
    )
    click.echo(
        f"{exported.path}: {exported.window.width} x {exported.window.height} pixels, "
        f"{exported.valid_fraction:.1%} with a value, {exported.size / 1e6:.1f} MB"
    )
    if not exported.valid_fraction:
        click.echo(
            f"no pixel has a value: {period} has no clear pixel there, was never computed, or was "
            "removed by [retention] periods"
        )
