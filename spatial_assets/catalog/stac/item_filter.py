"""Which items of a catalogue are wanted: by collection, time, cloud cover and place.

An item that does not say what is asked is kept here, so that reading it can tell what is wrong.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog.stac.footprints import footprint_of, rolled
from spatial_assets.catalog.stac.items import acquired_of, cloud_cover_of
from spatial_assets.errors import SceneError
from spatial_assets.geo.lonlat import HALF_TURN, BBox
from spatial_assets.project import Project
from spatial_assets.project.sections.scenes import Interval


@dataclass(frozen=True, kw_only=True)
class ItemFilter:
    """What `[scenes]` and `[area]` ask of an item."""

    collections: tuple[str, ...]
    """Empty: all."""

    interval: Interval
    max_cloud_cover: float
    """Per cent; items that do not tell theirs are kept."""

    area: BaseGeometry
    """Lon/lat, within -180..180."""

    def matches(self, item: Mapping[str, object]) -> bool:
        """Whether nothing that the item says speaks against it; cheap questions first."""
        collection = item.get("collection")
        if self.collections and collection not in self.collections:
            return False
        cloud_cover = cloud_cover_of(item)
        if cloud_cover is not None and cloud_cover > self.max_cloud_cover:
            return False
        acquired = acquired_of(item)
        if acquired is not None and not self._in_time(acquired):
            return False
        try:
            footprint = rolled(footprint_of(item))
        except SceneError:
            return True
        return bool(shapely.intersects(footprint, self.area))

    def _in_time(self, acquired: dt.datetime) -> bool:
        """Whether a moment lies in the interval; its last second counts as a whole."""
        start, end = self.interval.start, self.interval.end
        after_start = start is None or acquired >= start
        return after_start and (end is None or acquired.replace(microsecond=0) <= end)

    @property
    def boxes(self) -> tuple[BBox, ...]:
        """The area's bounds; two boxes where the area crosses the antimeridian."""
        west, south, east, north = shapely.bounds(self.area)
        parts = shapely.get_parts(self.area)
        if east - west <= HALF_TURN or len(parts) == 1:
            return ((float(west), float(south), float(east), float(north)),)
        sides = [
            [part for part in parts if (shapely.bounds(part)[0] >= 0) is eastern]
            for eastern in (True, False)
        ]
        bounds = [shapely.total_bounds(side) for side in sides if side]
        return tuple((float(b[0]), float(b[1]), float(b[2]), float(b[3])) for b in bounds)

    @property
    def datetime(self) -> str | None:
        """The interval as a STAC API takes it; None: all times."""
        ends = (self.interval.start, self.interval.end)
        if ends == (None, None):
            return None
        return "/".join(f"{end:%Y-%m-%dT%H:%M:%SZ}" if end else ".." for end in ends)


def item_filter_of(project: Project) -> ItemFilter:
    """The selection that a project asks for."""
    shapely.prepare(project.area_geometry)
    return ItemFilter(
        collections=tuple(project.scenes.collections),
        interval=project.scenes.interval,
        max_cloud_cover=project.scenes.max_cloud_cover,
        area=project.area_geometry,
    )
