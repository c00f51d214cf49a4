"""Which scenes reach which tile, looked into once and remembered in the store.

A scene is judged from itself alone, so that no tile and no cut decides about it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.facts import SceneFacts
from spatial_assets.catalog.inspect import inspect_scene
from spatial_assets.catalog.scene import Catalogue, RejectedScene, Scene, rejected
from spatial_assets.errors import SourceUnavailableError
from spatial_assets.geo.geobox import GeoBox
from spatial_assets.geo.grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.geo.warp import source_window
from spatial_assets.pipeline.engine import Engine, WorkerDied
from spatial_assets.pipeline.record import SceneRecord
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.objects import ObjectStore

logger = logging.getLogger(__name__)

MARGIN_DEGREES = 0.02
"""Footprints are drawn by hand or simplified: two kilometres are allowed for."""


@dataclass
class SceneSupply:
    """The scenes of a run."""

    project: Project
    store: ObjectStore
    engine: Engine
    catalogue: Catalogue = field(default_factory=lambda: Catalogue((), ()), init=False)
    records: dict[str, SceneRecord] = field(default_factory=dict, init=False)
    """Usable scenes that were looked into, by id."""

    rejected: dict[str, RejectedScene] = field(default_factory=dict, init=False)
    """Scenes that cannot be used, by id."""

    unanswered: dict[str, str] = field(default_factory=dict, init=False)
    """Scene id -> why its files could not be looked into; the tiles it reaches fail."""

    def gather(self, tiles: Sequence[Tile]) -> None:
        """Ask the catalogue, and look into the scenes that may reach `tiles`.

        Raises:
            SourceUnavailableError: the catalogue did not answer.
        """
        self.catalogue = find_scenes(self.project)
        self.rejected = {scene.id: scene for scene in self.catalogue.rejected}
        near = shapely.union_all([tile.footprint(self.project.pixel_grid) for tile in tiles])
        shapely.prepare(near)
        unknown = []
        for scene in self.catalogue.scenes:
            if not reach(scene).intersects(near):
                continue
            facts = self._remembered(scene)
            if facts is None:
                unknown.append(scene)
            else:
                self.records[scene.id] = SceneRecord.of(scene, facts)
        self._look_into(unknown)

    def _look_into(self, scenes: Iterable[Scene]) -> None:
        """Read headers and the fixed sample of each scene, on the engine."""
        look = partial(look_into, project=self.project)
        for scene, found in self.engine.run(look, scenes):
            if isinstance(found, SceneFacts):
                self.store.put(layout.scene_facts(scene.id), found.to_json().encode())
                self.records[scene.id] = SceneRecord.of(scene, found)
            elif isinstance(found, RejectedScene):
                self.rejected[scene.id] = found
            else:
                why = found.detail if isinstance(found, WorkerDied) else found
                logger.warning("scene %s could not be looked into: %s", scene.id, why)
                self.unanswered[scene.id] = why

    def _remembered(self, scene: Scene) -> SceneFacts | None:
        """The facts of an earlier run, if the scene is still what it was."""
        data = self.store.find(layout.scene_facts(scene.id))
        if data is None:
            return None
        try:
            facts = SceneFacts.from_json(data.decode())
        except (ValueError, KeyError, TypeError):
            return None  # damaged or of an older version: looked into again
        return facts if facts.fingerprint == scene.fingerprint else None

    def for_tile(self, tile: Tile) -> tuple[SceneRecord, ...]:
        """Usable scenes whose pixel grids reach the tile, by id; no footprint is asked."""
        box = self.project.pixel_grid.geobox(tile.window)
        found = (record for record in self.records.values() if reaches(record, box))
        return tuple(sorted(found, key=lambda record: record.id))

    def rejected_near(self, footprint: BaseGeometry) -> tuple[RejectedScene, ...]:
        """Refused scenes that may reach `footprint`; one without a footprint is nowhere."""
        found = (
            scene
            for scene in self.rejected.values()
            if scene.footprint is not None and scene.footprint.intersects(footprint)
        )
        return tuple(sorted(found, key=lambda scene: scene.id))

    def require_answers(self, tile: Tile) -> None:
        """Refuse to go on without a scene that may reach the tile.

        Raises:
            SourceUnavailableError: the archive did not answer when the scene was looked into.
        """
        if not self.unanswered:
            return
        footprint = tile.footprint(self.project.pixel_grid)
        for scene in self.catalogue.scenes:
            if scene.id in self.unanswered and reach(scene).intersects(footprint):
                message = f"scene {scene.id}: {self.unanswered[scene.id]}"
                raise SourceUnavailableError(message)

    def refuse_before(self, periods: Periods) -> None:
        """Refuse the scenes that are older than the time axis."""
        first = periods.first_day(0)
        for scene in self.catalogue.scenes:
            if scene.solar_day < first:
                self.records.pop(scene.id, None)
                message = (
                    f"scene {scene.id} is of {scene.solar_day}, before the time axis starts on "
                    f"{first}; set an earlier [time] start in a new storage prefix, or a later "
                    "start of [scenes] datetime"
                )
                self.rejected[scene.id] = rejected(scene, "before_time_axis", message)

    def product_periods(self, periods: Periods) -> tuple[int, ...]:
        """Indices of the periods that any scene of the area falls in: the same for every tile."""
        first = periods.first_day(0)
        days = {scene.solar_day for scene in self.catalogue.scenes}
        return tuple(sorted({periods.index_of(day) for day in days if day >= first}))


def look_into(scene: Scene, *, project: Project) -> SceneFacts | RejectedScene | str:
    """Inspect one scene; the text says why the archive did not answer."""
    try:
        return inspect_scene(scene, project)
    except SourceUnavailableError as error:
        return str(error)


def reach(scene: Scene) -> BaseGeometry:
    """Where the scene's pixels may lie, lon/lat: its raster's extent if the item says, and more."""
    known = [scene.footprint] if scene.extent is None else [scene.footprint, scene.extent]
    return shapely.box(*shapely.union_all(known).bounds).buffer(MARGIN_DEGREES)


def reaches(record: SceneRecord, box: GeoBox) -> bool:
    """Whether any reflectance band has pixels for `box`."""
    return any(
        source_window(facts.grid, box, kernel=facts.kernel) is not None
        for facts in map(record.of_band, record.bands)
    )
