"""What a run would meet: scenes, memory and runs, from the catalogue's items alone.

No file is opened and nothing is written; what only the files know is found out by the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import shapely

from spatial_assets.catalog import Catalogue, Scene
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.key_ranges import KeyRange, key_ranges
from spatial_assets.pipeline.run.memory_planning import MemoryNeed, need_of
from spatial_assets.pipeline.run.scene_extent import item_extent
from spatial_assets.project import Project


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run over some tiles would meet."""

    tiles: int
    pixels: int
    """Of all tiles together."""

    scenes: int
    """That may reach the tiles, by their items."""

    refused: dict[str, int]
    """Reason -> items that cannot become a scene."""

    periods: tuple[str, ...]
    """Labels of the periods with scenes."""

    need: MemoryNeed
    """Of the tile that needs most of what it may have."""

    neediest: str
    """Key of that tile."""

    allowed_mb: int
    """What a worker may use for it."""

    ranges: tuple[KeyRange, ...]
    """As Dagster would run them."""

    near: Mapping[Tile, Sequence[Scene]] = field(repr=False)
    """Each tile with the scenes that may reach it, by their items."""


def forecast(
    project: Project, keys: Sequence[str], catalogue: Catalogue, *, today: date
) -> Forecast:
    """Look ahead; `keys` are at least one.

    Raises:
        SettingsError: no start of the time axis is known.
    """
    tiles = [project.partitioning.tile(key) for key in keys]
    near = _near(project, tiles, catalogue.scenes)
    earliest = min((scene.solar_day for scene in catalogue.scenes), default=None)
    periods = project.periods(today, earliest=earliest or today)
    scenes = {scene.id: scene for found in near.values() for scene in found}
    counted = {
        tile: need_of(project, tile, layers=_fullest(found, periods))
        for tile, found in near.items()
    }
    neediest = max(counted, key=lambda tile: counted[tile].total_mb / _allowed(project, tile))
    days = {scene.solar_day for scene in scenes.values()}
    within = sorted({periods.index_of(day) for day in days if day >= periods.first_day(0)})
    return Forecast(
        tiles=len(tiles),
        pixels=sum(need.pixels for need in counted.values()),
        scenes=len(scenes),
        refused=dict(Counter(scene.reason for scene in catalogue.rejected)),
        periods=tuple(periods.label(index) for index in within),
        need=counted[neediest],
        neediest=neediest.key,
        allowed_mb=_allowed(project, neediest),
        ranges=key_ranges(
            project.partitioning.keys, keys, longest=project.compute.max_tiles_per_run
        ),
        near=near,
    )


def _near(
    project: Project, tiles: Sequence[Tile], scenes: Sequence[Scene]
) -> dict[Tile, list[Scene]]:
    """The scenes that may reach each tile."""
    tree = shapely.STRtree([item_extent(scene) for scene in scenes])
    return {
        tile: [
            scenes[number]
            for number in tree.query(tile.footprint(project.pixel_grid), predicate="intersects")
        ]
        for tile in tiles
    }


def _fullest(scenes: Sequence[Scene], periods: Periods) -> int:
    """Scenes of the fullest period; at least one."""
    first = periods.first_day(0)
    counts = Counter(
        periods.index_of(scene.solar_day) for scene in scenes if scene.solar_day >= first
    )
    return max(counts.values(), default=1)


def _allowed(project: Project, tile: Tile) -> int:
    return project.compute.for_tile(tile.key).memory_mb
