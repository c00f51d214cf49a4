"""The project: its settings, its folder, and everything derived from them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from spatial_assets.errors import GridError, SettingsError
from spatial_assets.geo.lonlat import BBox
from spatial_assets.geo.mercator_tiles import WEB_MERCATOR_QUAD, TileBlock, tile_block
from spatial_assets.geo.periods import Periods
from spatial_assets.geo.sensor_profile import SensorProfile
from spatial_assets.geo.spectral import SpectralIndex
from spatial_assets.indices import INDICES
from spatial_assets.project.base import Problem, settings_error
from spatial_assets.project.project_file import ProjectFile
from spatial_assets.project.sections.area import lonlat_geometry
from spatial_assets.project.sections.freshness import WINDOW_EXAMPLE, WINDOWED_STAGE, Ages
from spatial_assets.project.sections.identity import name_of_folder
from spatial_assets.project.sections.regions import tiles_of_region
from spatial_assets.project.sections.storage import DatabaseSettings
from spatial_assets.project.urls import (
    DATABASE_REMEDY,
    resolved_database_url,
    resolved_reference,
    with_schema,
)

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from spatial_assets.geo.grid.partitioning import Partitioning
    from spatial_assets.geo.grid.pixel_grid import PixelGrid


# Words in a GridError -> the key of [grid] that causes it.
_KEY_BY_WORDS = {"is called": "tile_matrix_set", "no zoom": "pixel_zoom", "chunks of": "shard"}


class Project(ProjectFile):
    """A project folder's settings, resolved; picklable, and cheap to hand to a worker.

    Derived values are computed on first use, and dropped when the project is pickled.
    """

    root: Path
    """Absolute path of the project folder."""

    file: Path
    """Absolute path of the project file."""

    origins: Mapping[str, str] = Field(default_factory=dict)
    """Dotted key -> variable that overrides it, e.g. {"storage.url": "$..."}."""

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        fields = {name: state["__dict__"][name] for name in type(self).model_fields}
        return {**state, "__dict__": fields}

    def __copy__(self) -> Self:
        """Drop derived values: `model_copy` may change the settings that they depend on."""
        copied = super().__copy__()
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    def error(self, key: str, value: object, *, wrong: str, remedy: str) -> SettingsError:
        """Return an error about a setting of this project."""
        source = self.origins.get(key)
        problem = Problem(key=key, value=value, wrong=wrong, remedy=remedy, source=source)
        return settings_error([problem], str(self.file))

    @cached_property
    def pixel_grid(self) -> PixelGrid:
        """The pixel grid of [grid]."""
        from spatial_assets.geo.grid.pixel_grid import PixelGrid

        grid = self.grid
        try:
            return PixelGrid(
                tile_matrix_set=grid.tile_matrix_set,
                pixel_zoom=grid.pixel_zoom,
                chunk=grid.chunk,
                shard=grid.shard,
            )
        except GridError as error:
            keys = (key for words, key in _KEY_BY_WORDS.items() if words in str(error))
            raise self._grid_error(error, next(keys, "tile_matrix_set")) from error

    @cached_property
    def partitioning(self) -> Partitioning:
        """Tiles of the area: their keys, in order, and the shards that they own."""
        from spatial_assets.geo.grid.partitioning import partition_area

        grid = self.grid
        try:
            return partition_area(
                self.pixel_grid, grid.partitions, grid.level, area=self.area_geometry
            )
        except GridError as error:
            raise self._grid_error(error, "level") from error

    @cached_property
    def tile_keys(self) -> tuple[str, ...]:
        """Keys of the tiles in their order: those of `partitioning`, often without its geometry."""
        return self._block.keys() if self._block else self.partitioning.keys

    @cached_property
    def _block(self) -> TileBlock | None:
        """Tiles of a box on the default matrix set; None if they need geometry."""
        box, grid = self.area.bbox, self.grid
        if box is None or grid.partitions != "tiles" or grid.tile_matrix_set != WEB_MERCATOR_QUAD:
            return None
        return tile_block(box, pixel_zoom=grid.pixel_zoom, shard=grid.shard, level=grid.level)

    def check_geometry(self) -> None:
        """Check the grid, the area and the regions.

        Raises:
            SettingsError: there is no such grid, or a file of polygons cannot be used.
        """
        if self._block is None:
            _ = self.pixel_grid, self.area_geometry
        if any(region.area for region in self.regions.values()):
            _ = self.region_geometries

    def _grid_error(self, error: GridError, key: str) -> SettingsError:
        """Return a GridError as an error about a key of [grid]."""
        remedy = "change it, or what it does not fit, in [grid] or [area]"
        value = getattr(self.grid, key)
        return self.error(f"grid.{key}", value, wrong=str(error), remedy=remedy)

    @cached_property
    def area_geometry(self) -> BaseGeometry:
        """Area in lon/lat, polygonal; two parts where it crosses the antimeridian."""
        return self._geometry(self.area.bbox, self.area.file, key="area.file")

    @cached_property
    def region_geometries(self) -> Mapping[str, BaseGeometry | None]:
        """Region -> its geometry in lon/lat; None if it is given by tile key patterns."""
        return {
            name: None
            if region.tiles is not None
            else self._geometry(region.bbox, region.area, key=f"regions.{name}.area")
            for name, region in self.regions.items()
        }

    def _geometry(self, bbox: BBox | None, vector_file: str | None, *, key: str) -> BaseGeometry:
        return lonlat_geometry(bbox, vector_file, key=key, root=self.root, file=str(self.file))

    def region_tiles(self, name: str) -> tuple[str, ...]:
        """Return the tiles of a region, in the order of the partitions; at least one.

        Raises:
            SettingsError: the area has no tile there.
        """
        tiles = self._tiles_by_region[name]
        if not tiles:
            key, value = self.regions[name].selector
            remedy = "correct it, or leave out the region; `spatial-assets tiles` lists them"
            wrong = "[area] has no tile there"
            raise self.error(f"regions.{name}.{key}", value, wrong=wrong, remedy=remedy)
        return tiles

    @cached_property
    def _tiles_by_region(self) -> Mapping[str, tuple[str, ...]]:
        return {
            name: tiles_of_region(region, self.region_geometries[name], self.partitioning)
            for name, region in self.regions.items()
        }

    @cached_property
    def tile_ages(self) -> Mapping[str, Ages]:
        """Tile -> its age limits, for all tiles; empty without a window for raw_tile."""
        window = self.freshness.tiles
        if window is None:
            return {}
        ages = dict.fromkeys(self.tile_keys, window.ages)
        # The first region that holds a tile wins: it is written last.
        for name, other in reversed(list(self.freshness.regions.items())):
            ages.update(dict.fromkeys(self.region_tiles(name), other.ages(window.ages)))
        return ages

    def tile_windows(self) -> Mapping[str, dt.timedelta]:
        """Return tile -> age from which it is due; empty without a window for raw_tile."""
        return self._warnings

    @cached_property
    def _warnings(self) -> Mapping[str, dt.timedelta]:
        return {tile: ages.warn for tile, ages in self.tile_ages.items()}

    def tile_window(self, tile: str) -> dt.timedelta:
        """Return the age from which a tile of the area is due.

        Raises:
            SettingsError: the project has no window for raw_tile.
        """
        if self.freshness.tiles is None:
            raise self.error(
                f"freshness.{WINDOWED_STAGE}",
                None,
                wrong="is missing, so no tile is ever stale",
                remedy=f"add {WINDOW_EXAMPLE} to [freshness]",
            )
        return self._warnings[tile]

    @property
    def name(self) -> str:
        """Name that the store, the database and Dagster's events know the project by."""
        return self.project.name or name_of_folder(self.root.name)

    def asset_path(self, asset: str) -> tuple[str, ...]:
        """Return the path of an asset's key in Dagster: its name after `[project] asset_prefix`."""
        return (*self.project.asset_prefix, asset)

    def asset_of_path(self, path: Sequence[str]) -> str:
        """Return the name of an asset from the path of its key; other keys as Dagster shows them.

        The prefix may be left out.
        """
        prefix = self.project.asset_prefix
        own = prefix and tuple(path[:-1]) == prefix
        return path[-1] if own else "/".join(path)

    @property
    def grid_id(self) -> str:
        """Identity of the grid, which the store and every table carry."""
        return self.grid.identity

    @cached_property
    def sensor(self) -> SensorProfile:
        """The sensor that made the scenes."""
        return self.scenes.profile

    @property
    def indices_in_use(self) -> tuple[SpectralIndex, ...]:
        """The indices of [indices], in the order of the file."""
        return tuple(INDICES[name] for name in self.indices.names)

    @property
    def bands(self) -> tuple[str, ...]:
        """Our names of the bands that the indices need, each once, in the order of the indices."""
        return tuple(dict.fromkeys(band for index in self.indices_in_use for band in index.needs))

    @property
    def asset_names(self) -> tuple[str, ...]:
        """Names of all assets of this project."""
        per_index = [
            name for index in self.indices.names for name in (index, f"{index}_by_boundary")
        ]
        per_set = [
            name
            for boundary in self.boundaries
            for name in (f"raw_{boundary.name}", f"validated_{boundary.name}", boundary.name)
        ]
        return ("raw_tile", "reprojected_raster", *per_index, "tile_index", *per_set)

    @property
    def storage_url(self) -> str:
        """Location of the product: an absolute folder, or s3://bucket/prefix."""
        return resolved_reference(self.storage.url, self.root).rstrip("/")

    @property
    def database_url(self) -> str:
        """URL of the database for SQLAlchemy; it may hold a password, so mask it when shown."""
        url = resolved_database_url(self.database.url, self.root)
        if url is None:
            wrong = "is neither DuckDB nor PostGIS"
            raise self.error("database.url", self.database.url, wrong=wrong, remedy=DATABASE_REMEDY)
        return with_schema(url, self.database.schema_name)

    @property
    def catalog_url(self) -> str:
        """Location of the catalogue: an absolute folder or file, or a URL."""
        return self.resolve(self.scenes.catalog)

    def for_workers(self) -> Self:
        """Return the project for workers: without the database, whose URL may hold a password."""
        return self.model_copy(update={"database": DatabaseSettings()})

    @property
    def cache_folder(self) -> Path:
        """Folder in which `access = "download"` keeps whole files."""
        return Path(self.resolve(self.scenes.cache))

    def resolve(self, reference: str) -> str:
        """Return a URL unchanged, and a path as absolute, relative to the project folder."""
        return resolved_reference(reference, self.root)

    def periods(
        self,
        today: dt.date,
        earliest: dt.date | None = None,
        *,
        latest: dt.date | None = None,
        stored: dt.date | None = None,
    ) -> Periods:
        """Return the time axis: to the last period with data, never to an empty future.

        An `[time] end` that is past closes the axis, which then reaches it with or without data.

        Args:
            today: the present day; a later `[time] end` waits for data.
            earliest: solar day of the earliest item, for a project without a start.
            latest: solar day of the latest item, or the last day of the stored axis.
            stored: start of the stored axis; a later start of `[scenes] datetime` leaves it alone.

        Raises:
            SettingsError: no start is known, or the axis would end before it starts.
        """
        start = self.time.start or self._start_without_setting(earliest, stored)
        if start is None:
            wrong = "is missing, scenes.datetime has no start, and the catalogue has no item"
            raise self.error("time.start", None, wrong=wrong, remedy="add start = 2023-01-01")
        end = self.time.end
        if end is not None and end < start:
            wrong = f"the time axis would end before it starts, on {start}"
            raise self.error("time.end", end, wrong=wrong, remedy="make it later, or leave it out")
        closed = end if end is not None and end <= today else start
        try:
            return Periods(start, self.time.period, max(start, closed, latest or start))
        except GridError as error:
            remedy = "change [time] accordingly"
            raise self.error("time.start", start, wrong=str(error), remedy=remedy) from error

    def _start_without_setting(
        self, earliest: dt.date | None, stored: dt.date | None
    ) -> dt.date | None:
        """Return the start of an axis for which [time] sets none."""
        first = self._first_scene_day()
        if first is None or stored is None:
            return first or stored or earliest
        return min(first, stored)

    def _first_scene_day(self) -> dt.date | None:
        """Return the day that `[scenes] datetime` starts on."""
        start = self.scenes.interval.start
        return start.date() if start else None
