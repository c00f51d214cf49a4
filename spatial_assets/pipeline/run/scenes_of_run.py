"""Scenes of a run: found in the catalogue, inspected once, and selected by tile.

A scene is judged from itself alone, so that no tile and no grid decides about it. Workers inspect
the scenes, and the result is cached in the store for as long as the scene and the code that
judges it stay the same. A refusal is cached only if the scene's fingerprint depends on the bytes
of its files, so that a repaired file is noticed.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property, partial

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.file_versions import UNREACHABLE_VERSION, as_seen_before
from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.source_access import source_access
from spatial_assets.catalog.rasters.inspect import inspect_scene
from spatial_assets.catalog.scene import IN_THE_FUTURE, Catalogue, RejectedScene, Scene, rejected
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.catalog.stac.duplicates import is_certain
from spatial_assets.errors import REASONS_OF_THE_MOMENT
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.engines.engine import Engine, WorkerDied
from spatial_assets.pipeline.failures import (
    Caught,
    UninspectedSceneError,
    failure_of,
    result_or_error,
)
from spatial_assets.pipeline.fingerprints import fingerprint, rule_of
from spatial_assets.pipeline.freshness.scene_register import (
    AbsentScenes,
    SceneRegister,
    absent_scenes,
    change_register,
)
from spatial_assets.pipeline.freshness.stage_inputs import SceneIndex
from spatial_assets.pipeline.freshness.stored_notes import store_notes
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.run.scene_extent import files_extent, item_extent
from spatial_assets.pipeline.stages import CODE_VERSIONS, RAW
from spatial_assets.pipeline.tile.raw_tile import raw_bytes, raw_windows
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.project import Project
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.manifests import TileManifest
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.stage_facts import StoredScene

logger = logging.getLogger(__name__)


@dataclass
class RunScenes:
    """The scenes of one run."""

    project: Project
    store: ObjectStore
    engine: Engine
    find: Callable[[Project], Catalogue] = find_scenes
    catalogue: Catalogue = field(default_factory=lambda: Catalogue((), ()), init=False)
    records: dict[str, SceneRecord] = field(default_factory=dict, init=False)
    """Usable scenes, inspected, by id."""

    rejected: dict[str, RejectedScene] = field(default_factory=dict, init=False)
    """Scenes that cannot be used, by id."""

    uninspected: dict[str, InspectionFailed] = field(default_factory=dict, init=False)
    """Scene id -> why its files could not be inspected; the tiles it reaches fail."""

    absent: AbsentScenes = field(default_factory=AbsentScenes, init=False)
    """Scenes that tiles were made from and the catalogue does not list."""

    _grids: dict[str, str] = field(default_factory=dict, init=False)
    """Scene -> hash of what decides its windows."""

    _extents: dict[str, BaseGeometry] = field(default_factory=dict, init=False)
    """Usable scene -> extent of its files, with a margin."""

    def gather(self, tiles: Sequence[Tile], *, now: datetime) -> None:
        """Search the catalogue, and inspect the scenes that may reach `tiles`.

        Args:
            tiles: of the run.
            now: present moment, UTC; scenes of the future are rejected.

        Raises:
            SourceUnavailableError: the catalogue did not answer, or lacks too many of the scenes
                in use.
        """
        self.catalogue = self.find(self.project).as_of(now)
        for line in self.catalogue.notes.lines():
            logger.warning("%s", line)
        self.absent = self._absent_scenes()
        self.rejected = {scene.id: scene for scene in self.catalogue.rejected}
        near = shapely.union_all([tile.footprint(self.project.pixel_grid) for tile in tiles])
        shapely.prepare(near)
        unknown = []
        for listed in self.catalogue.scenes:
            if not item_extent(listed).intersects(near):
                continue
            scene, known = self._known(listed)
            if known is None:
                unknown.append(scene)
            else:
                self._add(scene, known)
        self._inspect(unknown)

    def _known(self, scene: Scene) -> tuple[Scene, SceneFacts | RejectedScene | None]:
        """Return a scene and the result of its inspection; None: it is inspected now.

        The scene is as an earlier run saw it, if only replicas of its server differ.
        """
        known = self._cache.find(scene)
        versions = self._cache.versions(scene) if known is None else {}
        if not versions:
            return scene, known
        earlier = as_seen_before(scene, versions, source_access(self.project))
        if earlier is not scene:
            scenes = (earlier if each is scene else each for each in self.catalogue.scenes)
            self.catalogue = replace(self.catalogue, scenes=tuple(scenes))
        return earlier, self._cache.find(earlier)

    def _absent_scenes(self) -> AbsentScenes:
        """Compare the scenes in use with the catalogue, before anything is changed.

        Raises:
            CatalogueShrunkError: too many are missing.
        """
        found = absent_scenes(self.project, self.store, self.catalogue)
        found.require_most(self.project)
        for line in found.lines():
            logger.warning("%s", line)
        return found

    def register(self, *, owner: str, clock: Callable[[], datetime]) -> None:
        """Record the usable scenes, and those withdrawn, before a tile is made from them."""

        def change(before: SceneRegister) -> SceneRegister:
            after = before.updated(self.catalogue.scenes, used=self.records.keys())
            return after.releasing(self.absent.withdrawn)

        change_register(self.store, change, owner=owner, clock=clock)
        store_notes(self.store, self.catalogue.notes)

    def _add(self, scene: Scene, found: SceneFacts | RejectedScene) -> None:
        if isinstance(found, RejectedScene):
            self.rejected[scene.id] = found
            return
        record = SceneRecord.of(scene, found)
        self.records[scene.id] = record
        self._extents[scene.id] = files_extent(record)

    def _inspect(self, scenes: Iterable[Scene]) -> None:
        """Read headers and the fixed sample of each scene, on the engine."""
        inspect = partial(inspect_in_worker, project=self.project.for_workers())
        for scene, found in self.engine.run(inspect, scenes):
            if isinstance(found, SceneFacts | RejectedScene):
                self._cache.put(scene, found)
                self._add(scene, found)
            elif isinstance(found, WorkerDied):
                self._add_failure(scene, InspectionFailed("worker_died", found.detail))
            else:
                self._add_failure(scene, found)

    def _add_failure(self, scene: Scene, failure: InspectionFailed) -> None:
        logger.warning("scene %s could not be inspected: %s", scene.id, failure.message)
        self.uninspected[scene.id] = failure

    def cached_facts(self, scene: Scene) -> SceneFacts | None:
        """Return the facts from an earlier run, if they still apply."""
        found = self._cache.find(scene)
        return found if isinstance(found, SceneFacts) else None

    @property
    def _cache(self) -> InspectionCache:
        return InspectionCache(project=self.project, store=self.store)

    def for_tile(self, tile: Tile) -> tuple[tuple[SceneRecord, int], ...]:
        """Return the usable scenes whose pixels reach the tile, by id, each with its bytes to read.

        Footprints do not count here: a catalogue may be wrong about them.
        """
        box, clear = self.project.pixel_grid.geobox(tile.window), self.project.sensor.clear
        ids = sorted(self.records)
        near = shapely.intersects(
            np.array([self._extents[scene] for scene in ids], dtype=object),
            tile.footprint(self.project.pixel_grid).envelope,
        )
        sizes: dict[str, int | None] = {}  # scenes of one place have one grid, year after year
        found = []
        for record in (self.records[scene] for scene in itertools.compress(ids, near)):
            grid = self._grid_of(record)
            if grid not in sizes:
                needed = raw_windows(record, box, clear)
                sizes[grid] = None if needed is None else raw_bytes(record, needed)
            size = sizes[grid]
            if size is not None:
                found.append((record, size))
        return tuple(found)

    def _grid_of(self, record: SceneRecord) -> str:
        """Return a hash that is the same for scenes of which a tile needs the same windows."""
        if record.id not in self._grids:
            crs = [record.of_band(name).grid.crs.srs for name in record.files]
            self._grids[record.id] = fingerprint("grid", record.files, record.headers, crs)
        return self._grids[record.id]

    def kept_of(self, stored: TileManifest, used: Sequence[SceneRecord]) -> tuple[SceneRecord, ...]:
        """Return the stored scenes of a tile that are not used now, and of which the result stays.

        Args:
            stored: the manifest of the tile.
            used: the scenes of the catalogue that reach it.
        """
        present = {record.id for record in used}
        granules = {record.granule for record in used if is_certain(record.granule)}
        scenes = stored.scenes(RAW)
        return tuple(
            SceneRecord.from_stored(scenes[name])
            for name in sorted(scenes.keys() - present)
            if scenes[name].granule not in granules and self._is_kept(scenes[name])
        )

    def _is_kept(self, stored: StoredScene) -> bool:
        """Return True unless there is evidence that a stored scene is not there as it was."""
        name = stored.id
        refusal, superseding = self.rejected.get(name), self._superseding.get(name)
        if refusal is not None:
            # A wrong clock makes scenes of the past ones of the future.
            passing = REASONS_OF_THE_MOMENT | {IN_THE_FUTURE}
            return refusal.unread or refusal.reason in passing
        if superseding is not None:
            return superseding not in self.records
        if name in self.records:
            return False  # its files do not reach the tile any more
        listed = self._listed.get(name)
        if listed is not None:
            return name in self.uninspected or listed.fingerprint == stored.fingerprint
        return name not in self.absent.dropped

    def knows(self, name: str) -> bool:
        """Return True if the catalogue, the register or an inspection says anything of a scene."""
        return (
            name in self.rejected
            or name in self.records
            or name in self._superseding
            or name in self._listed
            or name in self.absent.dropped
        )

    @cached_property
    def _superseding(self) -> Mapping[str, str]:
        """Scene that is left out -> the better one of its granule."""
        return {scene.id: scene.by for scene in self.catalogue.superseded}

    @cached_property
    def _listed(self) -> Mapping[str, Scene]:
        return {scene.id: scene for scene in self.catalogue.scenes}

    def rejected_near(self, footprint: BaseGeometry) -> tuple[RejectedScene, ...]:
        """Return the rejected scenes that may reach `footprint`; without a footprint none does."""
        found = (
            scene
            for scene in self.rejected.values()
            if scene.footprint is not None and scene.footprint.intersects(footprint)
        )
        return tuple(sorted(found, key=lambda scene: scene.id))

    def scenes_hash(self, tile: Tile) -> str:
        """Hash the scenes that the catalogue has over a tile."""
        return self._index.scenes_hash(tile.footprint(self.project.pixel_grid))

    @cached_property
    def _index(self) -> SceneIndex:
        """Index of the scenes found by `gather`."""
        return SceneIndex(self.catalogue.scene_versions)

    def require_inspected(self, tile: Tile) -> None:
        """Refuse to walk a tile that an uninspected scene may reach.

        Raises:
            UninspectedSceneError: the scene could not be inspected.
        """
        if not self.uninspected:
            return
        footprint = tile.footprint(self.project.pixel_grid)
        for scene in self.catalogue.scenes:
            failure = self.uninspected.get(scene.id)
            if failure is not None and item_extent(scene).intersects(footprint):
                message = f"scene {scene.id} could not be inspected: {failure.message}"
                raise UninspectedSceneError(message, reason=failure.reason)

    def refuse_before(self, periods: Periods) -> None:
        """Reject the scenes that are older than the time axis."""
        first = periods.first_day(0)
        for scene in self.catalogue.scenes:
            if scene.solar_day < first:
                self.records.pop(scene.id, None)
                self.uninspected.pop(scene.id, None)
                message = (
                    f"scene {scene.id} is of {scene.solar_day}, before the time axis starts on "
                    f"{first}; set an earlier [time] start and run `spatial-assets regrid`, or set "
                    "a later start of [scenes] datetime"
                )
                self.rejected[scene.id] = rejected(scene, "before_time_axis", message)

    def leave_out_before(self, day: date) -> None:
        """Leave out the scenes of periods that the product keeps no longer."""
        for scene in self.catalogue.scenes:
            if scene.solar_day < day:
                self.records.pop(scene.id, None)
                self.uninspected.pop(scene.id, None)

    def product_periods(self, periods: Periods) -> tuple[int, ...]:
        """Return the periods that any scene of the area falls in: the same for every tile."""
        first = periods.first_day(0)
        days = {scene.solar_day for scene in self.catalogue.scenes}
        return tuple(sorted({periods.index_of(day) for day in days if day >= first}))


@dataclass(frozen=True)
class InspectionFailed:
    """A scene that could not be inspected: neither good nor bad."""

    reason: str
    """Reason code in snake_case."""

    message: str


def inspect_in_worker(
    scene: Scene, *, project: Project
) -> SceneFacts | RejectedScene | InspectionFailed:
    """Open the scene's files and judge a sample of their pixels; errors become results."""
    found = result_or_error(lambda: inspect_scene(scene, project))
    if not isinstance(found, Caught):
        return found
    bad_stage = failure_of(found.error)
    message = mask_secrets(f"{type(found.error).__name__}: {found.error}")
    if bad_stage.state is State.QUARANTINED:
        return rejected(scene, bad_stage.reason, message)
    return InspectionFailed(bad_stage.reason, message)


@dataclass(frozen=True, kw_only=True)
class InspectionCache:
    """Results of inspections by earlier runs, in the store."""

    project: Project
    store: ObjectStore

    def find(self, scene: Scene) -> SceneFacts | RejectedScene | None:
        """Return the result for a scene, if it still applies."""
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
            return None  # damaged or of an older version: inspected again

    def versions(self, scene: Scene) -> Mapping[str, str]:
        """Return href -> version of the remote files at the last inspection; empty if unknown."""
        data = self.store.find(layout.scene_facts(scene.id))
        try:
            found = from_json(data).get("versions") if data is not None else None
        except ValueError:
            return {}
        return found if isinstance(found, Mapping) else {}

    def put(self, scene: Scene, found: SceneFacts | RejectedScene) -> None:
        """Store the result for a scene."""
        remote = [source for source in scene.sources if is_remote(source.href)]
        document: dict[str, object] = {
            "judged_by": self._judged_by(scene),
            "versions": {source.href: source.version for source in remote},
        }
        if isinstance(found, SceneFacts):
            document["facts"] = found.to_json()
        elif found.reason in REASONS_OF_THE_MOMENT or not _depends_on_bytes(scene):
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
        # What decides whether the file's own calibration counts; usually nothing states otherwise.
        stated = [
            [each.name, each.is_numbered, each.stated_scale, each.stated_offsets]
            for each in scene.sources
        ]
        return fingerprint("scene", CODE_VERSIONS["scene"], scene.fingerprint, rule, most, stated)


def _depends_on_bytes(scene: Scene) -> bool:
    """Return True if other bytes under the same names change the scene's fingerprint."""
    return all(
        source.version not in {UNREACHABLE_VERSION, source.checksum, None}
        for source in scene.sources
    )
