"""What has arrived since tiles were made: scenes in the catalogue, boundaries in the store.

Noted in the table `tile_wanted`, from where automation asks for the tiles. The note comes before
the mark that says how far was looked, so that whoever dies in between looks again, and what is
noted twice is noted once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import shapely

from spatial_assets.catalog.changes import SceneChange, Snapshot, poll
from spatial_assets.errors import SourceUnavailableError
from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.freshness.outdated import Features, boundaries_wanted, scenes_wanted
from spatial_assets.pipeline.freshness.stage_inputs import (
    InputsByStage,
    SceneIndex,
    hash_of_boundaries,
    recorded,
)
from spatial_assets.pipeline.stages import RAW, chain_of
from spatial_assets.pipeline.tile.boundary_statistics import ValidatedBoundaries
from spatial_assets.project import Project
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.stores import layout
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.rows import Replace, RowChange, TileWanted, Upsert
from spatial_assets.stores.tables.database import Database, rows_if_any

Poll = Callable[..., Snapshot]
FIRST_LOOK = "the catalogue is not as it was when the tile was made"
NAMED = 3  # scenes in a reason: it is a line in a table


@dataclass(frozen=True, kw_only=True)
class DetectedChanges:
    """What a look found."""

    changes: tuple[SceneChange, ...]
    """Scenes that are new, changed or withdrawn since the last look."""

    wanted: tuple[TileWanted, ...]
    """Tiles that are to follow a change, now or since earlier."""

    @property
    def sentence(self) -> str:
        """For people."""
        counts = defaultdict[str, int](int)
        for change in self.changes:
            counts[kind_of(change)] += 1
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        tiles = ", ".join(each.tile for each in self.wanted[:NAMED])
        more = f" and {len(self.wanted) - NAMED} more" if len(self.wanted) > NAMED else ""
        return f"scenes: {told or 'as before'}; tiles to follow: {tiles or 'none'}{more}"


@dataclass(frozen=True, kw_only=True)
class ChangeDetector:
    """Sees what has arrived for a project."""

    project: Project
    store: ObjectStore
    database: Database
    poll: Poll = poll

    def note_scenes(self, *, now: datetime) -> DetectedChanges:
        """Poll at the catalogue, and note the tiles under what is new, changed or withdrawn.

        Raises:
            SourceUnavailableError: the catalogue did not answer, or has lost all of its scenes
                at once; nothing is noted.
            SettingsError: there is no such catalogue.
        """
        path = layout.catalogue_snapshot()
        before = Snapshot.from_bytes(self.store.find(path))
        after = self.poll(self.project, before, now=now)
        if before and before.scene_versions and not after.scene_versions:
            raise SourceUnavailableError(self._emptied(len(before.scene_versions), path))
        changes = after.changes_since(before) if before else ()
        noted = self._noted()
        why = {each.tile: each.why for each in noted if each.stage == RAW}
        why |= _why(self.project, changes) if before else self._all_made()
        sky, recipes = SceneIndex(after.scene_versions), self._recipes(why)
        found = tuple(scenes_wanted(self.project, sky, recipes, why=why, now=now))
        self._write(found, noted, stages=[RAW])
        self.store.put(path, after.to_bytes())
        return DetectedChanges(changes=changes, wanted=found)

    def _emptied(self, scenes: int, path: str) -> str:
        """What to say of a catalogue that has nothing any more: most often it is not mounted."""
        return (
            f"[scenes] catalog = {mask_secrets(self.project.catalog_url)} had {scenes} scenes at "
            "the last look and has none now; is it mounted, and are [scenes] and [area] as meant? "
            f"If it is meant to be empty, delete {self.store.uri(path)}"
        )

    def note_boundaries(self, *, now: datetime) -> tuple[TileWanted, ...]:
        """Note the tiles whose statistics were made from other boundaries than the valid ones.

        Raises:
            MissingInputError: a set has not been validated yet.
        """
        features = features_of(self.project, self.store)
        recipes = self._recipes(self._all_made())
        found = tuple(boundaries_wanted(self.project, features, recipes, now=now))
        self._write(found, self._noted(), stages=chain_of(self.project).statistics)
        return found

    def newer_sources(self, *, now: datetime) -> dict[str, str]:
        """Boundary set whose source is not the one that was copied -> what tells it from others.

        Raises:
            VectorError: there is no such file.
            SourceUnavailableError: S3 did not answer.
        """
        found = {
            settings.name: BoundaryPipeline(
                project=self.project, settings=settings, store=self.store, clock=lambda: now
            ).newer_source()
            for settings in self.project.boundaries
        }
        return {name: version for name, version in found.items() if version is not None}

    def validated(self) -> str | None:
        """What tells the boundaries as they are validated now from others; None: they are not."""
        sets = [each.name for each in self.project.boundaries]
        found = [self.store.head(layout.validated_boundaries(name)) for name in sets]
        etags = [info.etag for info in found if info is not None]
        return fingerprint("validated", etags) if len(etags) == len(sets) else None

    def _all_made(self) -> dict[str, str]:
        """Every tile of the area that was ever made -> why it is looked at."""
        grid = {"grid_id": self.project.grid_id}
        if not self.database.has_table("tile_inputs"):
            return {}
        rows = self.database.rows("tile_inputs", grid, columns=["tile"])
        made = {str(row["tile"]) for row in rows}
        return {tile: FIRST_LOOK for tile in self.project.tile_keys if tile in made}

    def _recipes(self, tiles: Iterable[str]) -> Mapping[str, InputsByStage]:
        """What some tiles were made from."""
        where = {"grid_id": self.project.grid_id, "tile": list(tiles)}
        return recorded(rows_if_any(self.database, "tile_inputs", where)) if tiles else {}

    def _noted(self) -> Sequence[TileWanted]:
        rows = rows_if_any(self.database, "tile_wanted", {"grid_id": self.project.grid_id})
        return [TileWanted(**row) for row in rows]  # type: ignore[arg-type]

    def _write(
        self, found: Iterable[TileWanted], noted: Iterable[TileWanted], *, stages: Iterable[str]
    ) -> None:
        """Let `found` be what is noted for `stages`."""
        wanted = {(each.tile, each.stage): each for each in found}
        changes: list[RowChange] = [Upsert("tile_wanted", wanted.values())] if wanted else []
        for each in noted:
            if each.stage in stages and (each.tile, each.stage) not in wanted:
                keys = {"grid_id": each.grid_id, "tile": each.tile, "stage": each.stage}
                changes.append(Replace("tile_wanted", keys, ()))
        if changes:
            project = self.project
            self.database.ensure_schema(project.boundaries, project.indices.names)
            self.database.commit(changes)


def features_of(project: Project, store: ObjectStore) -> Features:
    """Tile -> hash of the boundaries that touch it, as they are validated now."""
    shelf = ValidatedBoundaries(store, project.pixel_grid)
    names = [each.name for each in project.boundaries]
    return lambda tile: hash_of_boundaries(shelf.features(names, tile))


def kind_of(change: SceneChange) -> str:
    """`new`, `changed` or `withdrawn`."""
    if change.before is None:
        return "new"
    return "withdrawn" if change.after is None else "changed"


def _why(project: Project, changes: Iterable[SceneChange]) -> dict[str, str]:
    """Tile -> what changed over it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for change in changes:
        scene_versions = [each for each in (change.before, change.after) if each]
        reaches = [each.footprint for each in scene_versions if each.footprint is not None]
        if reaches:
            for tile in project.partitioning.touching(shapely.union_all(reaches)):
                found[tile].append(f"{change.id} is {kind_of(change)}")
    return {tile: _listed(each) for tile, each in found.items()}


def _listed(reasons: Sequence[str]) -> str:
    more = f" and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
    return f"scene {', '.join(reasons[:NAMED])}{more}"
