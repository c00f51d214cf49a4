"""Which scenes reach which tile, looked into once and remembered in the store.

A scene is judged from itself alone, so that no tile and no cut decides about it.

One scene looked into, in a worker: whatever goes wrong is an answer, never an exception.

What was found in scenes, remembered in the store: no file is looked into twice for nothing.

A verdict stands while the scene and the code that judges it are the same. A refusal stands only
where the scene's fingerprint follows the very bytes, so that mended ones are noticed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.file_versions import UNREACHABLE_VERSION
from spatial_assets.catalog.rasters.inspect import inspect_scene
from spatial_assets.catalog.scene import Catalogue, RejectedScene, Scene, rejected
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.engines.engine import Engine, WorkerDied
from spatial_assets.pipeline.failures import UninspectedSceneError, failure_of
from spatial_assets.pipeline.fingerprints import fingerprint, rule_of
from spatial_assets.pipeline.freshness.stage_inputs import SceneIndex
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.run.scene_extent import files_extent, item_extent
from spatial_assets.pipeline.stages import CODE_VERSIONS
from spatial_assets.pipeline.tile.raw_tile import raw_bytes, raw_windows
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.project import Project
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.store import ObjectStore


@dataclass(frozen=True)
class InspectionFailed:
    """A scene of which nothing is known: neither good nor bad."""

    reason: str
    """Reason code in snake_case."""

    message: str


def inspect_in_worker(
    scene: Scene, *, project: Project
) -> SceneFacts | RejectedScene | InspectionFailed:
    """Open the scene's files and judge a sample of their pixels."""
    try:
        return inspect_scene(scene, project)
    except Exception as error:  # noqa: BLE001 - judged by failures.py, the one place for it
        bad_stage = failure_of(error)
        message = mask_secrets(f"{type(error).__name__}: {error}")
        if bad_stage.state is State.QUARANTINED:
            return rejected(scene, bad_stage.reason, message)
        return InspectionFailed(bad_stage.reason, message)


logger = logging.getLogger(__name__)


@dataclass
class RunScenes:
    """The scenes of a run."""

    project: Project
    store: ObjectStore
    engine: Engine
    find: Callable[[Project], Catalogue] = find_scenes
    catalogue: Catalogue = field(default_factory=lambda: Catalogue((), ()), init=False)
    records: dict[str, SceneRecord] = field(default_factory=dict, init=False)
    """Usable scenes that were looked into, by id."""

    rejected: dict[str, RejectedScene] = field(default_factory=dict, init=False)
    """Scenes that cannot be used, by id."""

    uninspected: dict[str, InspectionFailed] = field(default_factory=dict, init=False)
    """Scene id -> why its files could not be looked into; the tiles it reaches fail."""

    _reaches: dict[str, BaseGeometry] = field(default_factory=dict, init=False)
    """Usable scene -> where its files have pixels, roughly."""

    def gather(self, tiles: Sequence[Tile]) -> None:
        """Ask the catalogue, and look into the scenes that may reach `tiles`.

        Raises:
            SourceUnavailableError: the catalogue did not answer.
        """
        self.catalogue = self.find(self.project)
        self.rejected = {scene.id: scene for scene in self.catalogue.rejected}
        near = shapely.union_all([tile.footprint(self.project.pixel_grid) for tile in tiles])
        shapely.prepare(near)
        unknown = []
        for scene in self.catalogue.scenes:
            if not item_extent(scene).intersects(near):
                continue
            known = self._memory.find(scene)
            if known is None:
                unknown.append(scene)
            else:
                self._take(scene, known)
        self._look_into(unknown)

    def _take(self, scene: Scene, found: SceneFacts | RejectedScene) -> None:
        if isinstance(found, RejectedScene):
            self.rejected[scene.id] = found
            return
        record = SceneRecord.of(scene, found)
        self.records[scene.id] = record
        self._reaches[scene.id] = files_extent(record)

    def _look_into(self, scenes: Iterable[Scene]) -> None:
        """Read headers and the fixed sample of each scene, on the engine."""
        look = partial(inspect_in_worker, project=self.project.for_workers())
        for scene, found in self.engine.run(look, scenes):
            if isinstance(found, SceneFacts | RejectedScene):
                self._memory.keep(scene, found)
                self._take(scene, found)
            elif isinstance(found, WorkerDied):
                self._leave(scene, InspectionFailed("worker_died", found.detail))
            else:
                self._leave(scene, found)

    def _leave(self, scene: Scene, why: InspectionFailed) -> None:
        logger.warning("scene %s could not be looked into: %s", scene.id, why.message)
        self.uninspected[scene.id] = why

    def remembered(self, scene: Scene) -> SceneFacts | None:
        """The facts of an earlier run, if scene and judgement are still what they were."""
        found = self._memory.find(scene)
        return found if isinstance(found, SceneFacts) else None

    @property
    def _memory(self) -> InspectionCache:
        return InspectionCache(project=self.project, store=self.store)

    def for_tile(self, tile: Tile) -> tuple[tuple[SceneRecord, int], ...]:
        """Usable scenes whose pixels reach the tile, by id, each with the bytes to read of it.

        No footprint is asked: a catalogue may be wrong about where a scene lies.
        """
        box = self.project.pixel_grid.geobox(tile.window)
        ids = sorted(self.records)
        near = shapely.intersects(
            np.array([self._reaches[scene] for scene in ids], dtype=object),
            tile.footprint(self.project.pixel_grid).envelope,
        )
        found = (self.records[scene] for scene, is_near in zip(ids, near, strict=True) if is_near)
        windows = ((record, raw_windows(record, box)) for record in found)
        return tuple(
            (record, raw_bytes(record, wanted)) for record, wanted in windows if wanted is not None
        )

    def rejected_near(self, footprint: BaseGeometry) -> tuple[RejectedScene, ...]:
        """Refused scenes that may reach `footprint`; one without a footprint is nowhere."""
        found = (
            scene
            for scene in self.rejected.values()
            if scene.footprint is not None and scene.footprint.intersects(footprint)
        )
        return tuple(sorted(found, key=lambda scene: scene.id))

    def scenes_hash(self, tile: Tile) -> str:
        """Hash of what the catalogue has where a tile is."""
        return self._sky.scenes_hash(tile.footprint(self.project.pixel_grid))

    @cached_property
    def _sky(self) -> SceneIndex:
        """Read after `gather`; nothing before."""
        return SceneIndex(self.catalogue.scene_versions)

    def require_answers(self, tile: Tile) -> None:
        """Refuse to go on without a scene that may reach the tile.

        Raises:
            UninspectedSceneError: it is not known what is in the scene.
        """
        if not self.uninspected:
            return
        footprint = tile.footprint(self.project.pixel_grid)
        for scene in self.catalogue.scenes:
            why = self.uninspected.get(scene.id)
            if why is not None and item_extent(scene).intersects(footprint):
                message = f"scene {scene.id} could not be looked into: {why.message}"
                raise UninspectedSceneError(message, reason=why.reason)

    def refuse_before(self, periods: Periods) -> None:
        """Refuse the scenes that are older than the time axis."""
        first = periods.first_day(0)
        for scene in self.catalogue.scenes:
            if scene.solar_day < first:
                self.records.pop(scene.id, None)
                self.uninspected.pop(scene.id, None)
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


PASSING_REASONS = frozenset({"forbidden", "missing_object", "refused_by_server", "unreadable_file"})
"""Reasons that say how a file was reached, not what is in it: asked again at every run."""


@dataclass(frozen=True, kw_only=True)
class InspectionCache:
    """What earlier runs found in the files of scenes."""

    project: Project
    store: ObjectStore

    def find(self, scene: Scene) -> SceneFacts | RejectedScene | None:
        """What was found, if scene and judgement are still what they were."""
        data = self.store.find(layout.scene_facts(scene.id))
        if data is None:
            return None
        try:
            document = from_json(data)
            if document["judged_by"] != self._judged_by(scene):
                return None
            refused = document.get("refused")
            if isinstance(refused, Mapping):
                evidence = dict(refused["evidence"])
                return rejected(scene, str(refused["reason"]), str(refused["message"]), **evidence)
            return SceneFacts.from_json(str(document["facts"]))
        except (ValueError, KeyError, TypeError):
            return None  # damaged or of an older version: looked into again

    def keep(self, scene: Scene, found: SceneFacts | RejectedScene) -> None:
        """Remember what was found."""
        document: dict[str, object] = {"judged_by": self._judged_by(scene)}
        if isinstance(found, SceneFacts):
            document["facts"] = found.to_json()
        elif found.reason in PASSING_REASONS or not _follows_bytes(scene):
            return
        else:
            document["refused"] = {
                "reason": found.reason,
                "message": found.message,
                "evidence": dict(found.evidence),
            }
        self.store.put(layout.scene_facts(scene.id), to_json(document))

    def _judged_by(self, scene: Scene) -> str:
        """Hash of everything that decides the facts of a scene."""
        rule = rule_of(self.project.sensor.clear)
        most = self.project.checks.most_implausible_share
        return fingerprint("scene", CODE_VERSIONS["scene"], scene.fingerprint, rule, most)


def _follows_bytes(scene: Scene) -> bool:
    """Whether other bytes under the same names would give the scene another fingerprint."""
    return all(
        source.version not in {UNREACHABLE_VERSION, source.checksum, None}
        for source in scene.sources
    )
