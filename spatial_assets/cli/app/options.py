"""Options that select part of the area or assets: --bbox, --area, --region and --select."""

from __future__ import annotations

from pathlib import Path

import click
import shapely
from pydantic import ValidationError
from shapely.geometry.base import BaseGeometry

from spatial_assets.cli.app.open_project import current_project
from spatial_assets.errors import SettingsError
from spatial_assets.project.polygons import box_polygon, read_area
from spatial_assets.project.sections.area import AreaSettings


def _parse_bbox(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> BaseGeometry | None:
    """Parse a lon/lat bounding box into a polygon; west > east crosses the antimeridian."""
    if value is None:
        return None
    try:
        edges = [float(edge) for edge in value.split(",")]
        box = AreaSettings.model_validate({"bbox": edges}).bbox
    except ValidationError as error:
        context = error.errors()[0].get("ctx", {})
        raise click.BadParameter(f"{value}: {context['wrong']}; {context['remedy']}") from error
    except ValueError as error:
        message = f"{value}: not four numbers; for example 15.0,45.06,16.44,46.95"
        raise click.BadParameter(message) from error
    return None if box is None else box_polygon(*box)


def _parse_area(
    _context: click.Context, _option: click.Parameter, value: Path | None
) -> BaseGeometry | None:
    """Read the polygons of a file, in lon/lat."""
    if value is None:
        return None
    try:
        return read_area(value)
    except SettingsError as error:
        raise click.BadParameter(f"{value}: {error}") from error


def _parse_names(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Split names at commas; the option may be repeated."""
    return tuple(name for value in values for name in value.split(","))


def _tiles_of_regions(
    _context: click.Context, _option: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the tile keys of the regions; empty if no region is named."""
    if not names:
        return ()
    project = current_project()
    for name in names:
        if name not in project.regions:
            known = ", ".join(project.regions) or "none"
            raise click.BadParameter(
                f"{name}: not in [regions] of {project.file}, which has {known}"
            )
    return tuple(tile for name in names for tile in project.region_tiles(name))


bbox_option = click.option(
    "--bbox",
    metavar="WEST,SOUTH,EAST,NORTH",
    callback=_parse_bbox,
    help="Only tiles that touch this lon/lat box; west > east crosses the antimeridian.",
)
area_option = click.option(
    "--area",
    metavar="FILE",
    type=click.Path(path_type=Path),
    callback=_parse_area,
    help="Only tiles that touch the polygons of this vector file.",
)
select_option = click.option(
    "--select",
    "names",
    metavar="ASSET,ASSET",
    multiple=True,
    callback=_parse_names,
    help="Only these assets. Default: all, boundary sets first.",
)
region_option = click.option(
    "--region",
    "regions",
    metavar="NAME",
    multiple=True,
    callback=_tiles_of_regions,
    help="Only tiles of this region of project.toml; may be repeated.",
)


def selected_area(bbox: BaseGeometry | None, area: BaseGeometry | None) -> BaseGeometry | None:
    """Union of --bbox and --area, lon/lat; None if neither is given."""
    parts = [part for part in (bbox, area) if part is not None]
    return shapely.union_all(parts) if parts else None
