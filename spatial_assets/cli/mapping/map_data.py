"""Data of a map: one period of an index at reduced size, the outlines of the tiles, the legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from spatial_assets.cli.app.console import format_count
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.errors import StoreError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.pixels.downsample import Overview
from spatial_assets.geo.radiometry import INDEX_SCALE, dequantise
from spatial_assets.project import Project
from spatial_assets.stores.cube.cube import read_window, stored_cube
from spatial_assets.stores.cube.export import parts, period_index
from spatial_assets.stores.cube.metadata import CubeSpec

EARTH = Geod(ellps="WGS84")
MAX_MAP_CELLS = 1024  # cells along the longer side; fits a screen


@dataclass(frozen=True, kw_only=True, eq=False)
class TileOnMap:
    """Tile with its outlines on the map."""

    summary: TileSummary
    rings: tuple[NDArray[np.float64], ...]
    """Outlines in cells of the map from its top-left corner, each (points, 2) as x, y."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MapData:
    """Data that a map shows."""

    index: str
    period: str
    """Label of the period, such as "2023-07"."""

    values: NDArray[np.float64]
    """Mean of the index per cell, NaN if unknown; shape (row, column)."""

    metres_of_a_cell: float
    """True width of a cell on the ground in the middle of the map, metres."""

    tiles: tuple[TileOnMap, ...]

    @property
    def title(self) -> str:
        """Title such as `NDVI, 2023-07`."""
        return f"{self.index.upper()}, {self.period}"


def newest_period(rows: Sequence[dict[str, object]], index: str) -> str | None:
    """Return the label of the newest period with valid pixels, from rows of `tile_index`."""
    seen = [row for row in rows if row["index_name"] == index and row["valid_fraction"]]
    newest = max(seen, key=lambda row: str(row["period_start"]), default=None)
    return None if newest is None else str(newest["period"])


def read_map_data(
    opened: OpenProject,
    tiles: Sequence[TileSummary],
    *,
    index: str,
    period: str | None,
    longest: int = MAX_MAP_CELLS,
) -> MapData:
    """Read the data of a map.

    Args:
        opened: the project.
        tiles: its tiles with their status.
        index: name of the index.
        period: label of the period; None if nothing was made yet, for a map without pixels.
        longest: maximum number of cells along the longer side.

    Raises:
        StoreError: there is no cube, or a shard is damaged.
        GridError: there is no such period.
    """
    project = opened.project
    extent = project.partitioning.extent
    overview = Overview(extent.shape, longest)
    if period is not None:
        spec = stored_cube(opened.store, index)
        if spec is None:
            message = f"there is no {index}.zarr in {opened.store.url}; materialize {index} first"
            raise StoreError(message)
        _fill(overview, opened, spec, period=period, extent=extent)
    cell = overview.pixels_of_a_cell
    return MapData(
        index=index,
        period=period or "nothing made yet",
        values=overview.means(),
        metres_of_a_cell=pixel_width_m(project) * cell,
        tiles=tuple(_on_map(project, tile, extent=extent, cell=cell) for tile in tiles),
    )


def _fill(
    overview: Overview, opened: OpenProject, spec: CubeSpec, *, period: str, extent: Window
) -> None:
    """Add the pixels of a period, one shard at a time."""
    number = period_index(spec, period)
    within = extent.intersection(spec.extent)
    for part in () if within is None else parts(within, size=spec.grid.shard):
        steps, _ = read_window(opened.store, spec.index, period=number, window=part)
        values, valid = dequantise(steps, INDEX_SCALE)
        known = np.where(valid, values, np.float32("nan"))
        overview.add(known, part.row - extent.row, part.column - extent.column)


def _on_map(project: Project, tile: TileSummary, *, extent: Window, cell: int) -> TileOnMap:
    """Return a tile with its outlines in cells of the map."""
    grid = project.pixel_grid
    shards = project.partitioning.tile(tile.tile).shards
    if len(shards) == 1:
        w = project.partitioning.tile(tile.tile).window
        columns, rows = np.array([w.column, w.column_stop]), np.array([w.row, w.row_stop])
        ring = np.column_stack([columns[[1, 1, 0, 0, 1]], rows[[0, 1, 1, 0, 0]]])
        return TileOnMap(summary=tile, rings=((ring - [extent.column, extent.row]) / cell,))
    windows = [grid.shard_window(shard) for shard in shards]
    outline = shapely.union_all(
        [shapely.box(w.column, w.row, w.column_stop, w.row_stop) for w in windows]
    )
    rings = [
        (shapely.get_coordinates(ring) - [extent.column, extent.row]) / cell
        for polygon in shapely.get_parts(outline)
        for ring in (polygon.exterior, *polygon.interiors)
    ]
    return TileOnMap(summary=tile, rings=tuple(rings))


def pixel_width_m(project: Project) -> float:
    """Return the true width of a pixel in the middle of the area, metres."""
    grid, extent = project.pixel_grid, project.partitioning.extent
    column, row = extent.column + extent.width // 2, extent.row + extent.height // 2
    ends = [shapely.Point(grid.origin @ (column + step, row)) for step in (0, 1)]
    (lon, lat), (other_lon, other_lat) = (grid.unproject(end).coords[0] for end in ends)
    metres: float = EARTH.inv(lon, lat, other_lon, other_lat)[2]
    return metres


TICKS = (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8)
VALUE_MEANINGS = {"ndvi": {-0.2: "water", 0.2: "bare soil", 0.8: "dense leaves"}}
"""Index -> value -> surface that it is typical of."""

STATUS_COLOURS = {
    TileStatus.FAILED: (214, 69, 48),
    TileStatus.QUARANTINED: (232, 146, 22),
    TileStatus.MISSING: (120, 120, 120),
    TileStatus.EMPTY: (96, 130, 182),
}
"""Colour of an incomplete tile; materialized tiles are transparent."""


def map_subtitle(project: Project) -> str:
    """Return a subtitle that explains the values and the tiles."""
    time = project.time
    values = f"{time.composite} of the clear observations of each {time.period}"
    tiles = format_count(len(project.partitioning.keys), "tile")
    return f"{values[0].upper()}{values[1:]}; {tiles}, each a partition"
