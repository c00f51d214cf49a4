"""Extent of a scene in lon/lat: quick to compute, and never too small."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog.scene import Scene
from spatial_assets.geo.lonlat import CRS84, HALF_TURN, POLE_LATITUDE
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.pipeline.tile.scene_record import SceneRecord

MARGIN_DEGREES = 0.02
"""Margin of two kilometres, as footprints are drawn by hand or simplified."""

POINTS_PER_EDGE = 64  # a straight edge of one CRS is curved in another
EVERYWHERE = shapely.box(-HALF_TURN, -POLE_LATITUDE, HALF_TURN, POLE_LATITUDE)


def item_extent(scene: Scene) -> BaseGeometry:
    """Return the extent that the item declares, of footprint and raster, with a margin."""
    known = [scene.footprint] if scene.extent is None else [scene.footprint, scene.extent]
    return shapely.box(*shapely.union_all(known).bounds).buffer(MARGIN_DEGREES)


def files_extent(record: SceneRecord) -> BaseGeometry:
    """Return the extent of the scene's files with a margin; the whole earth if not one box."""
    grids = {id(facts.grid): facts.grid for facts in record.facts.bands.values()}
    boxes = [_box(grid) for grid in grids.values()]
    if any(box is None for box in boxes):
        return EVERYWHERE
    return shapely.box(*shapely.union_all(boxes).bounds).buffer(MARGIN_DEGREES)


def _box(grid: SourceGrid) -> BaseGeometry | None:
    """Return the lon/lat box of a grid; None if it holds a pole or crosses the antimeridian."""
    x, y = _outline(grid)
    lon, lat = _to_lonlat(grid.crs).transform(x, y)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    if np.abs(np.diff(lon, append=lon[0])).max() > HALF_TURN:
        return None
    box: BaseGeometry = shapely.box(lon.min(), lat.min(), lon.max(), lat.max())
    return box


@lru_cache(maxsize=128)
def _to_lonlat(crs: CRS) -> Transformer:
    """Return the transformer from x/y of a CRS to lon/lat; making one takes milliseconds."""
    return Transformer.from_crs(crs, CRS84, always_xy=True)


def _outline(grid: SourceGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (x, y) of points along the four edges of a grid, in order around it."""
    ahead = np.linspace(0.0, 1.0, POINTS_PER_EDGE, endpoint=False)
    zero, one = np.zeros(POINTS_PER_EDGE), np.ones(POINTS_PER_EDGE)
    columns = np.concatenate([ahead, one, 1.0 - ahead, zero]) * grid.width
    rows = np.concatenate([zero, ahead, one, 1.0 - ahead]) * grid.height
    matrix = grid.transform
    return matrix.a * columns + matrix.c, matrix.e * rows + matrix.f
