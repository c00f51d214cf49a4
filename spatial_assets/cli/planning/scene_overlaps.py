"""Scenes that may overlap tiles, all pairs at once, by the extents of their items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial_assets.catalog import Scene
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.run.scene_extent import item_extent
from spatial_assets.project import Project


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneOverlaps:
    """Pairs of a tile and a scene that may overlap it."""

    tiles: Sequence[Tile]
    footprints: NDArray[np.object_]
    """Outlines of the tiles in lon/lat."""

    scenes: Sequence[Scene]
    """Scenes of the catalogue, whether they overlap a tile or not."""

    tile_numbers: NDArray[np.int64]
    """Number of the tile of each pair."""

    scene_numbers: NDArray[np.int64]
    """Number of the scene of each pair."""

    @cached_property
    def found(self) -> dict[str, Scene]:
        """Scenes that may overlap a tile, by id."""
        scenes = (self.scenes[number] for number in np.unique(self.scene_numbers).tolist())
        return {scene.id: scene for scene in scenes}

    def fullest(self, periods: Periods) -> NDArray[np.int64]:
        """Count the scenes of the fullest period of each tile; at least one."""
        first = periods.first_day(0)
        period_of_scene = np.array(
            [
                periods.index_of(scene.solar_day) if scene.solar_day >= first else -1
                for scene in self.scenes
            ],
            dtype=np.int64,
        )
        period = period_of_scene[self.scene_numbers]
        most = int(period_of_scene.max(initial=0)) + 1
        pairs = (self.tile_numbers * most + period)[period >= 0]
        groups, counts = np.unique(pairs, return_counts=True)
        fullest = np.ones(len(self.tiles), dtype=np.int64)
        np.maximum.at(fullest, groups // most, counts)
        return fullest


def scene_overlaps(project: Project, keys: Sequence[str], scenes: Sequence[Scene]) -> SceneOverlaps:
    """Find the scenes that may overlap each tile of `keys`."""
    partitioning = project.partitioning
    tiles = [partitioning.tile(key) for key in keys]
    footprints = partitioning.footprints_of(keys)
    extents = np.array([item_extent(scene) for scene in scenes], dtype=object)
    scene_numbers, tile_numbers = shapely.STRtree(footprints).query(extents, predicate="intersects")
    order = np.lexsort((scene_numbers, tile_numbers))
    return SceneOverlaps(
        tiles=tiles,
        footprints=footprints,
        scenes=scenes,
        tile_numbers=tile_numbers[order],
        scene_numbers=scene_numbers[order],
    )
