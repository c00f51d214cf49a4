"""Filter of a catalogue's items: by collection, time, cloud cover and area.

An item that lacks the metadata is kept here, so that parsing it can report what is wrong.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog.item_notes import (
    OTHER_COLLECTION,
    OTHER_DAY,
    OUTSIDE_AREA,
    TOO_CLOUDY,
)
from spatial_assets.catalog.stac.footprints import place_of
from spatial_assets.catalog.stac.items import acquired_of, cloud_cover_of, solar_day_of
from spatial_assets.errors import SceneError
from spatial_assets.geo.lonlat import HALF_TURN, BBox
from spatial_assets.project import Project
from spatial_assets.project.sections.scenes import Interval

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class ItemFilter:
    """Conditions of `[scenes]` and `[area]` on an item; the geometry alone decides in an API."""

    collections: tuple[str, ...]
    """Names of the collections; empty: all."""

    interval: Interval
    max_cloud_cover: float
    """Largest cloud cover in per cent; items without one are kept."""

    area: BaseGeometry
    """Area in lon/lat, within -180..180."""

    def matches(self, item: Mapping[str, object]) -> bool:
        """Return True if no metadata of the item contradicts the filter."""
        return self.reason_against(item) is None

    def reason_against(self, item: Mapping[str, object]) -> str | None:
        """Return the reason, of `item_notes.UNUSED`, why an item does not match; None: it does.

        Cheap tests come first. The solar day decides about the time, as about the period.
        """
        collection = item.get("collection")
        if self.collections and collection not in self.collections:
            return OTHER_COLLECTION
        cloud_cover = cloud_cover_of(item)
        if cloud_cover is not None and cloud_cover > self.max_cloud_cover:
            return TOO_CLOUDY
        acquired = acquired_of(item)
        if acquired is not None and not self._may_be_in_time(acquired):
            return OTHER_DAY
        try:
            place = place_of(item)
            if acquired is not None:
                day = solar_day_of(item, acquired, place)
                if not self.interval.contains(acquired, solar_day=day):
                    return OTHER_DAY
        except SceneError:
            return None
        return None if shapely.intersects(place.footprint, self.area) else OUTSIDE_AREA

    def _may_be_in_time(self, acquired: dt.datetime) -> bool:
        """Return False if a time is so far from the interval that no longitude changes it."""
        wider = self.interval.widened(DAY)
        after_start = wider.start is None or acquired >= wider.start
        return after_start and (wider.end is None or acquired <= wider.end)

    @property
    def boxes(self) -> tuple[BBox, ...]:
        """Bounds of the area; two boxes if the area crosses the antimeridian."""
        west, south, east, north = shapely.bounds(self.area)
        parts = shapely.get_parts(self.area)
        if east - west <= HALF_TURN or len(parts) == 1:
            return ((float(west), float(south), float(east), float(north)),)
        sides = [
            [part for part in parts if bool(shapely.bounds(part)[0] >= 0) == eastern]
            for eastern in (True, False)
        ]
        bounds = [shapely.total_bounds(side) for side in sides if side]
        return tuple((float(b[0]), float(b[1]), float(b[2]), float(b[3])) for b in bounds)

    @property
    def datetime(self) -> str | None:
        """Interval in the form of a STAC API; None: all times.

        A day wider at each side: a solar day begins up to half a day before or after that of UTC.
        """
        wider = self.interval.widened(DAY)
        ends = (wider.start, wider.end)
        if ends == (None, None):
            return None
        return "/".join(f"{end:%Y-%m-%dT%H:%M:%SZ}" if end else ".." for end in ends)


def item_filter_of(project: Project) -> ItemFilter:
    """Return the filter that a project configures."""
    shapely.prepare(project.area_geometry)
    return ItemFilter(
        collections=tuple(project.scenes.collections),
        interval=project.scenes.interval,
        max_cloud_cover=project.scenes.max_cloud_cover,
        area=project.area_geometry,
    )
