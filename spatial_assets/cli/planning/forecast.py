"""Forecast of a run from the items of the catalogue: scenes, periods, memory and Dagster runs.

Opens no file and writes nothing; what only the image files can tell is left to the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import shapely

from spatial_assets.catalog import Catalogue, Scene
from spatial_assets.catalog.item_notes import ItemNotes
from spatial_assets.catalog.sources.search import lacking_bands
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.key_ranges import KeyRange, key_ranges
from spatial_assets.pipeline.run.memory_planning import MemoryNeed, need_of
from spatial_assets.pipeline.run.scene_extent import item_extent
from spatial_assets.project import Project


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Forecast of a run over some tiles."""

    tiles: int
    pixels: int
    """Total of all tiles."""

    scenes: int
    """Number of scenes that may overlap the tiles, by the extents of their items."""

    refused: dict[str, int]
    """Reason -> number of items that cannot become a scene."""

    notes: ItemNotes
    """Items that are not used, or are used with a doubt."""

    lacking: tuple[str, ...]
    """A line on each index for which scenes have no bands."""

    periods: tuple[str, ...]
    """Labels of the periods with scenes."""

    need: MemoryNeed
    """Memory of the tile that needs the largest share of its limit."""

    largest_tile: str
    """Key of that tile."""

    allowed_mb: int
    """Memory limit of a worker for that tile."""

    ranges: tuple[KeyRange, ...]
    """Key ranges, one per Dagster run."""

    scenes_by_tile: Mapping[Tile, Sequence[Scene]] = field(repr=False)
    """Tile -> scenes that may overlap it, by the extents of their items."""


def forecast(
    project: Project, keys: Sequence[str], catalogue: Catalogue, *, today: date
) -> Forecast:
    """Forecast a run over `keys`, which are at least one.

    Raises:
        SettingsError: the start of the time axis is unknown.
    """
    tiles = [project.partitioning.tile(key) for key in keys]
    scenes_by_tile = _scenes_by_tile(project, tiles, catalogue.scenes)
    earliest = min((scene.solar_day for scene in catalogue.scenes), default=None)
    periods = project.periods(today, earliest=earliest or today)
    scenes = {scene.id: scene for found in scenes_by_tile.values() for scene in found}
    needs = {
        tile: need_of(project, tile, layers=_fullest(found, periods))
        for tile, found in scenes_by_tile.items()
    }
    largest = max(needs, key=lambda tile: needs[tile].total_mb / _allowed_mb(project, tile))
    days = {scene.solar_day for scene in scenes.values()}
    indices = sorted({periods.index_of(day) for day in days if day >= periods.first_day(0)})
    return Forecast(
        tiles=len(tiles),
        pixels=sum(need.pixels for need in needs.values()),
        scenes=len(scenes),
        refused=dict(Counter(scene.reason for scene in catalogue.rejected)),
        notes=catalogue.notes,
        lacking=tuple(lacking_bands(project, catalogue.scenes)),
        periods=tuple(periods.label(index) for index in indices),
        need=needs[largest],
        largest_tile=largest.key,
        allowed_mb=_allowed_mb(project, largest),
        ranges=key_ranges(
            project.partitioning.keys, keys, longest=project.compute.max_tiles_per_run
        ),
        scenes_by_tile=scenes_by_tile,
    )


def _scenes_by_tile(
    project: Project, tiles: Sequence[Tile], scenes: Sequence[Scene]
) -> dict[Tile, list[Scene]]:
    """Return the scenes that may overlap each tile."""
    tree = shapely.STRtree([item_extent(scene) for scene in scenes])
    return {
        tile: [
            scenes[number]
            for number in tree.query(tile.footprint(project.pixel_grid), predicate="intersects")
        ]
        for tile in tiles
    }


def _fullest(scenes: Sequence[Scene], periods: Periods) -> int:
    """Return the number of scenes of the fullest period; at least one."""
    first = periods.first_day(0)
    counts = Counter(
        periods.index_of(scene.solar_day) for scene in scenes if scene.solar_day >= first
    )
    return max(counts.values(), default=1)


def _allowed_mb(project: Project, tile: Tile) -> int:
    return project.compute.for_tile(tile.key).memory_mb
