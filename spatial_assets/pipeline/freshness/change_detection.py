"""Detection of changes since tiles were made: scenes in the catalogue, boundaries in the store.

Changes are recorded in the table `tile_wanted`, from which automation requests the tiles. The
rows are written before the catalogue's snapshot: after a crash in between the next poll finds
the same changes, and writing a row twice leaves one row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import shapely

from spatial_assets.catalog.changes import SceneChange, Snapshot, poll
from spatial_assets.catalog.stac.item_filter import item_filter_of
from spatial_assets.errors import SourceUnavailableError, VectorError
from spatial_assets.pipeline import ownership
from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.freshness.outdated import (
    HashByTile,
    tiles_with_changed_boundaries,
    tiles_with_changed_scenes,
)
from spatial_assets.pipeline.freshness.scene_register import AbsentScenes, SceneRegister
from spatial_assets.pipeline.freshness.stage_inputs import (
    InputsByStage,
    SceneIndex,
    hash_of_boundaries,
    inputs_from_rows,
)
from spatial_assets.pipeline.stages import RAW, chain_of
from spatial_assets.pipeline.tile.validated_boundaries import ValidatedBoundaries
from spatial_assets.project import Project
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.stores import layout
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.rows import Replace, RowChange, TileWanted, Upsert
from spatial_assets.stores.tables.database import Database

PollFunction = Callable[..., Snapshot]
CHANGED_BEFORE_FIRST_POLL = "the catalogue has changed since the tile was made"
MAX_NAMED_SCENES = 3  # in a reason: it is one line in a table


@dataclass(frozen=True, kw_only=True)
class BoundarySources:
    """Sources of the boundary sets as found now."""

    versions: Mapping[str, str]
    """Boundary set -> version of its source, if that is not the copied one."""

    unreadable: Mapping[str, str]
    """Boundary set -> reason, if its source cannot be read."""


@dataclass(frozen=True, kw_only=True)
class DetectedChanges:
    """Changes found by one poll of the catalogue."""

    changes: tuple[SceneChange, ...]
    """Scenes that are new, changed or withdrawn since the last poll."""

    pending: tuple[TileWanted, ...]
    """Tiles not yet made from the present scenes, because of this poll or an earlier one."""

    @property
    def summary(self) -> str:
        """The changes in one line."""
        counts = Counter(map(change_kind, self.changes))
        scenes = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        tiles = _shortened([row.tile for row in self.pending])
        return f"scenes: {scenes or 'unchanged'}; tiles to recompute: {tiles or 'none'}"


@dataclass(frozen=True, kw_only=True)
class ChangeDetector:
    """Detects and records the changes that concern the tiles of a project."""

    project: Project
    store: ObjectStore
    database: Database
    poll: PollFunction = poll

    def record_scene_changes(self, *, now: datetime) -> DetectedChanges:
        """Poll the catalogue and record the tiles under new, changed or withdrawn scenes.

        Raises:
            SourceUnavailableError: the catalogue did not answer, or lacks too many of the scenes
                in use; nothing is recorded.
            SettingsError: there is no such catalogue.
        """
        ownership.verify(self.project, self.store, self.database)
        ownership.claim(self.project, self.store)
        path = layout.catalogue_snapshot()
        before = Snapshot.from_bytes(self.store.find(path))
        after = self.poll(self.project, before, now=now)
        if before and before.settings_hash != after.settings_hash:
            before = None  # what is no longer asked for is not withdrawn
        self._absent_scenes(before, after).require_most(self.project)
        changes = after.changes_since(before) if before else ()
        recorded = self._recorded()
        why = {row.tile: row.why for row in recorded if row.stage == RAW}
        why |= _why(self.project, changes) if before else self._all_made()
        scene_index, made_from = SceneIndex(after.scene_versions), self._made_from(why)
        found = tiles_with_changed_scenes(self.project, scene_index, made_from, why=why, now=now)
        pending = tuple(found)
        self._write(pending, recorded, stages=[RAW])
        self.store.put(path, after.to_bytes())
        return DetectedChanges(changes=changes, pending=pending)

    def _absent_scenes(self, before: Snapshot | None, after: Snapshot) -> AbsentScenes:
        """Compare the scenes in use with a poll; without a register, those of the poll before."""
        listed = {one.id for document in after.documents for one in document.candidates}
        register = SceneRegister.load(self.store)
        if register.scenes or before is None:
            first_day = register.first_kept_day(self.project, listed)
            item_filter = item_filter_of(self.project)
            return register.absent_from(listed, item_filter, whole=True, first_day=first_day)
        known = {one.id for one in before.scene_versions}
        return AbsentScenes(withdrawn=frozenset(known - listed), asked_for=len(known))

    def record_boundary_changes(self, *, now: datetime) -> tuple[TileWanted, ...]:
        """Record the tiles whose statistics were made from other boundaries than the valid ones.

        Raises:
            MissingInputError: a set has not been validated yet.
        """
        ownership.verify(self.project, self.store, self.database)
        hashes = boundary_hashes(self.project, self.store)
        made_from = self._made_from(self._all_made())
        found = tuple(tiles_with_changed_boundaries(self.project, hashes, made_from, now=now))
        self._write(found, self._recorded(), stages=chain_of(self.project).statistics)
        return found

    def newer_sources(self, *, now: datetime) -> BoundarySources:
        """Find the boundary sets whose source changed since it was copied.

        A source that cannot be read is named, and hides no change of the others.
        """
        versions, unreadable = {}, {}
        for settings in self.project.boundaries:
            pipeline = BoundaryPipeline(
                project=self.project, settings=settings, store=self.store, clock=lambda: now
            )
            try:
                version = pipeline.newer_source()
            except (VectorError, SourceUnavailableError) as error:
                unreadable[settings.name] = mask_secrets(str(error))
                continue
            if version is not None:
                versions[settings.name] = version
        return BoundarySources(versions=versions, unreadable=unreadable)

    def boundaries_version(self) -> str | None:
        """Return a hash of the validated boundary sets, or None unless all are validated."""
        sets = [settings.name for settings in self.project.boundaries]
        found = [self.store.head(layout.validated_boundaries(name)) for name in sets]
        etags = [info.etag for info in found if info is not None]
        return fingerprint("validated", etags) if len(etags) == len(sets) else None

    def _all_made(self) -> dict[str, str]:
        """Map every tile of the area that was ever made to the reason for checking it."""
        grid = {"grid_id": self.project.grid_id}
        if not self.database.has_table("tile_inputs"):
            return {}
        rows = self.database.rows("tile_inputs", grid, columns=["tile"])
        made = {str(row["tile"]) for row in rows}
        return {tile: CHANGED_BEFORE_FIRST_POLL for tile in self.project.tile_keys if tile in made}

    def _made_from(self, tiles: Iterable[str]) -> Mapping[str, InputsByStage]:
        """Read the inputs that some tiles were made from."""
        where = {"grid_id": self.project.grid_id, "tile": list(tiles)}
        return inputs_from_rows(self.database.rows_if_any("tile_inputs", where)) if tiles else {}

    def _recorded(self) -> Sequence[TileWanted]:
        rows = self.database.rows_if_any("tile_wanted", {"grid_id": self.project.grid_id})
        return [TileWanted(**row) for row in rows]  # type: ignore[arg-type]

    def _write(
        self, found: Iterable[TileWanted], recorded: Iterable[TileWanted], *, stages: Iterable[str]
    ) -> None:
        """Make `found` the rows of `stages` in `tile_wanted`; `recorded` are the rows so far."""
        pending = {(row.tile, row.stage): row for row in found}
        changes: list[RowChange] = [Upsert("tile_wanted", pending.values())] if pending else []
        for row in recorded:
            if row.stage in stages and (row.tile, row.stage) not in pending:
                keys = {"grid_id": row.grid_id, "tile": row.tile, "stage": row.stage}
                changes.append(Replace("tile_wanted", keys, ()))
        if changes:
            ownership.claim(self.project, self.store, self.database)
            self.database.commit(changes)


def boundary_hashes(project: Project, store: ObjectStore) -> HashByTile:
    """Return a function from tiles to the hash of the boundaries, as validated, that touch them."""
    boundaries = ValidatedBoundaries(store, project.pixel_grid)
    names = [settings.name for settings in project.boundaries]
    return lambda tile: hash_of_boundaries(boundaries.features(names, tile))


def change_kind(change: SceneChange) -> str:
    """Return `new`, `changed` or `withdrawn`."""
    if change.before is None:
        return "new"
    return "withdrawn" if change.after is None else "changed"


def _why(project: Project, changes: Iterable[SceneChange]) -> dict[str, str]:
    """Map each tile under a change to the scenes that changed."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for change in changes:
        scene_versions = [each for each in (change.before, change.after) if each]
        footprints = [each.footprint for each in scene_versions if each.footprint is not None]
        if footprints:
            for tile in project.partitioning.touching(shapely.union_all(footprints)):
                found[tile].append(f"{change.id} is {change_kind(change)}")
    return {tile: f"scene {_shortened(each)}" for tile, each in found.items()}


def _shortened(names: Sequence[str]) -> str:
    """Return the first names as one text, and how many more there are."""
    more = len(names) - MAX_NAMED_SCENES
    return ", ".join(names[:MAX_NAMED_SCENES]) + (f" and {more} more" if more > 0 else "")
