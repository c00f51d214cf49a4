"""Forecast of a run from the items of the catalogue: scenes, periods, memory and Dagster runs.

Opens no file and writes nothing; what only the image files can tell is left to the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from spatial_assets.catalog import Catalogue
from spatial_assets.catalog.item_notes import ItemNotes
from spatial_assets.catalog.sources.search import lacking_bands
from spatial_assets.cli.planning.scene_overlaps import SceneOverlaps, scene_overlaps
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.pipeline.key_ranges import KeyRange, key_ranges
from spatial_assets.pipeline.run.memory_planning import MemoryNeed, need_of
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

    overlaps: SceneOverlaps = field(repr=False)
    """Scenes that may overlap each tile."""


def forecast(
    project: Project, keys: Sequence[str], catalogue: Catalogue, *, today: date
) -> Forecast:
    """Forecast a run over `keys`, which are at least one.

    Raises:
        SettingsError: the start of the time axis is unknown.
    """
    overlaps = scene_overlaps(project, keys, catalogue.scenes)
    earliest = min((scene.solar_day for scene in catalogue.scenes), default=None)
    periods = project.periods(today, earliest=earliest or today)
    scenes = overlaps.found
    needs = _needs(project, overlaps.tiles, overlaps.fullest(periods).tolist())
    shares = [need.total_mb / allowed for need, allowed in needs]
    at = shares.index(max(shares))
    largest, allowed_mb = needs[at]
    days = {scene.solar_day for scene in scenes.values()}
    indices = sorted({periods.index_of(day) for day in days if day >= periods.first_day(0)})
    return Forecast(
        tiles=len(keys),
        pixels=sum(need.pixels for need, _ in needs),
        scenes=len(scenes),
        refused=dict(Counter(scene.reason for scene in catalogue.rejected)),
        notes=catalogue.notes,
        lacking=tuple(lacking_bands(project, catalogue.scenes)),
        periods=tuple(periods.label(index) for index in indices),
        need=largest,
        largest_tile=keys[at],
        allowed_mb=allowed_mb,
        ranges=key_ranges(
            project.partitioning.keys, keys, longest=project.compute.max_tiles_per_run
        ),
        overlaps=overlaps,
    )


def _needs(
    project: Project, tiles: Sequence[Tile], layers: Sequence[int]
) -> list[tuple[MemoryNeed, int]]:
    """Return the memory that each tile needs, and the limit of its worker in megabytes."""
    known: dict[tuple[object, ...], tuple[MemoryNeed, int]] = {}
    found = []
    for tile, fullest in zip(tiles, layers, strict=True):
        compute, window = project.compute.for_tile(tile.key), tile.window
        alike = (window.width * window.height, fullest, compute.memory_mb, compute.gdal_cache_mb)
        if alike not in known:
            known[alike] = need_of(project, tile, layers=fullest), compute.memory_mb
        found.append(known[alike])
    return found
