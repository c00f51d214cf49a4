"""The commit of a tile: database transaction, then manifest, then the caller's event.

The objects are in the store before. After a crash in between the manifest does not name the new
objects, so that the next run makes the tile again and replaces the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.freshness.stage_inputs import (
    hash_of_boundaries,
    inputs_by_stage,
    inputs_row,
)
from spatial_assets.pipeline.outcome import BAD_STATES, StageOutcome, State, TileOutcome
from spatial_assets.pipeline.quarantine import (
    quarantine_document,
    record_of_scene,
    record_of_tile,
    renewed,
)
from spatial_assets.pipeline.quarantine_subjects import stage_of_subject, tile_subject
from spatial_assets.pipeline.run.known_states import STORED_FINGERPRINT, KnownStates
from spatial_assets.pipeline.stages import RAW, TILE_INDEX, by_boundary, chain_of
from spatial_assets.pipeline.tile.task import TileResult, TileTask
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.manifests import TileManifest, commit_manifest
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.rows import (
    QuarantineRecord,
    Renew,
    Replace,
    RowChange,
    RowLike,
    TileState,
    Upsert,
)
from spatial_assets.stores.stage_facts import WholeStageFacts
from spatial_assets.stores.tables.database import Database

StateName: TypeAlias = Literal["materialized", "empty", "quarantined", "failed", "unchanged"]

STATE_NAMES: Mapping[State, StateName] = {
    State.MATERIALIZED: "materialized",
    State.EMPTY: "empty",
    State.QUARANTINED: "quarantined",
    State.FAILED: "failed",
    State.UNCHANGED: "unchanged",
}
"""State -> its value in the database."""

MAX_DEFERRED_TILES = 100
"""Number of unchanged tiles that are recorded in one transaction."""


@dataclass(frozen=True, kw_only=True)
class Committer:
    """Writes the result of a walk: the only place where the chain writes the database."""

    project: Project
    store: ObjectStore
    database: Database
    periods: Periods
    clock: Callable[[], datetime]
    known_states: KnownStates
    """States in the database when the run began."""

    _unchanged: dict[str, datetime] = field(default_factory=dict)
    """Tile -> when it was found unchanged; written with the next change, or at the end."""

    def commit(self, task: TileTask, result: TileResult, *, stored: TileManifest | None) -> None:
        """Replace the tile's rows in one transaction, then put its manifest.

        Anything unchanged is not written: neither a row nor an object gets a new time.

        Args:
            task: the tile and its stages.
            result: the result of its walk.
            stored: its manifest before.

        Raises:
            DatabaseError, StoreError: nothing of this tile was committed, or only its rows.
        """
        tile, outcome = task.tile, result.outcome
        changes: list[RowChange] = [*self._state_changes(outcome), *self._inputs(task, result)]
        if result.index_rows is not None:
            changes += self._index_changes(tile, result)
        changes += self._statistics_changes(tile, result)
        changes += self._quarantine_changes(outcome)
        if changes or len(self._unchanged) >= MAX_DEFERRED_TILES:
            self._commit(changes)
        if result.manifest != stored:
            commit_manifest(self.store, result.manifest, before=stored)
        for path in result.dropped_objects:
            self.store.delete(path)
        self._release("tile", self.known_states.ended(outcome, chain_of(self.project)))

    def forget_other_stages(self) -> None:
        """Remove what the database has of stages that left the project; pixels and rows stay.

        Their quarantine ends too: nobody would release it.
        """
        stages, grid = chain_of(self.project).stages, self.project.grid_id
        wanted = self.database.rows("tile_wanted", where={"grid_id": grid}, columns=["stage"])
        recorded = self.database.rows("tile_state", where={"grid_id": grid}, columns=["stage"])
        found = {str(row["stage"]) for row in (*wanted, *recorded)} - set(stages)
        changes = [
            Replace(table, {"grid_id": grid, "stage": stage}, ())
            for stage in sorted(found)
            for table in ("tile_state", "tile_wanted")
        ]
        self.database.commit(changes)
        subjects = sorted(self.known_states.subjects)
        left = [each for each in subjects if stage_of_subject(each) not in {"", *stages}]
        if found:  # earlier versions recorded the tile, whatever the stage
            where = {"grid_id": grid, "state": str(State.QUARANTINED)}
            bad = {row["tile"] for row in self.database.rows("tile_state", where, columns=["tile"])}
            left += [each for each in subjects if not stage_of_subject(each) and each not in bad]
        self._release("tile", left)

    def finish(self) -> None:
        """Write the deferred records."""
        self._commit([])

    def reload(self, tiles: Iterable[str]) -> KnownStates:
        """Read the present states of some tiles."""
        return KnownStates.load(self.database, self.project.grid_id, tiles)

    def record_known_quarantine(self, task: TileTask, outcome: TileOutcome) -> None:
        """Write that a tile was checked and its quarantine still applies; nothing was computed."""
        inputs = self._inputs(task, TileResult(outcome=outcome, manifest=task.manifest))
        self._commit([*inputs, *self._quarantine_changes(outcome)])

    def record_states(self, outcome: TileOutcome) -> None:
        """Write the states of a tile whose walk returned no manifest: it died or never began."""
        self.database.commit([*self._state_changes(outcome)])

    def record_scenes(self, rejected: Iterable[RejectedScene], *, usable: Iterable[str]) -> None:
        """Write the quarantine records of scenes to both places; release the repaired ones."""
        known = self.known_states.scenes
        by_id = {scene.id: scene for scene in rejected}
        new = {
            name: record_of_scene(self.project.grid_id, scene, now=self.clock())
            for name, scene in sorted(by_id.items())
            if known.get(name) != (scene.reason, scene.fingerprint)
        }
        for name, record in new.items():
            since = self.known_states.first_seen("scene", name) or record.first_seen
            self.store.put(
                layout.quarantine("scene", name), quarantine_document(record, since=since)
            )
        seen = (self.known_states.records["scene", name] for name in by_id if name not in new)
        rows: list[RowLike] = [*new.values(), *renewed(seen, now=self.clock())]
        if rows:
            self.database.commit([Upsert("quarantine", rows)])
        self._release("scene", sorted(set(usable) & set(self.known_states.scenes)))

    def _release(self, kind: str, subjects: Sequence[str]) -> None:
        """End the quarantine of subjects that are good again."""
        if not subjects:
            return
        where = {"grid_id": self.project.grid_id, "kind": kind, "subject": list(subjects)}
        self.database.release(where, now=self.clock())
        for subject in subjects:
            self.store.delete(layout.quarantine(kind, subject))

    def _state_changes(self, outcome: TileOutcome) -> list[Upsert]:
        """Return the rows that `tile_state` lacks; it has those of an earlier quarantine."""
        states = [
            self._state(outcome.tile, stage) for stage in outcome.stages if not stage.standing
        ]
        new = [state for state in states if state is not None]
        return [Upsert("tile_state", new)] if new else []

    def _state(self, tile: str, stage: StageOutcome) -> TileState | None:
        """Return the row of a stage, or None if `tile_state` already has it."""
        state = stage.state
        if state is State.UNCHANGED:
            if self.known_states.is_settled(tile, stage.stage, stage.fingerprint):
                return None
            state = State.EMPTY if stage.empty else State.MATERIALIZED
        evidence = {**stage.evidence, "message": stage.message} if stage.message else {}
        if state in BAD_STATES:
            evidence[STORED_FINGERPRINT] = self.known_states.stored(tile, stage.stage)
        return TileState(
            grid_id=self.project.grid_id,
            tile=tile,
            stage=stage.stage,
            state=STATE_NAMES[state],
            since=self.clock(),
            reason=stage.reason or None,
            evidence=evidence,
            fingerprint=stage.fingerprint,
        )

    def _commit(self, changes: Sequence[RowChange]) -> None:
        """Commit changes together with the deferred ones; without any there is no transaction."""
        if self._unchanged:
            keys = {"grid_id": self.project.grid_id, "tile": list(self._unchanged)}
            first = min(self._unchanged.values())
            changes = [*changes, Renew("tile_inputs", keys, "looked_at", first)]
        self.database.commit(changes)
        self._unchanged.clear()

    def _inputs(self, task: TileTask, result: TileResult) -> Iterator[Upsert]:
        """Yield the inputs of the stages; a stage that failed keeps those of its last success.

        The time of an unchanged tile is deferred: if a crash loses it, the tile is checked again.
        """
        tile, before = task.tile.key, self.known_states.made_from(task.tile.key)
        ended = [s.stage for s in result.outcome.stages if s.state is not State.FAILED]
        inputs = inputs_by_stage(
            self.project,
            scenes=task.scenes_hash,
            boundaries=_features(result.manifest),
            selected=ended,
            before=before,
        )
        is_checked = RAW in ended
        if inputs != before:
            known = self.known_states.inputs.get(tile, {}).get("looked_at")
            at = known if isinstance(known, datetime) and not is_checked else self.clock()
            record = inputs_row(inputs, grid_id=self.project.grid_id, tile=tile, looked_at=at)
            yield Upsert("tile_inputs", [record])
        elif is_checked:
            self._unchanged[tile] = self.clock()

    def _index_changes(self, tile: Tile, result: TileResult) -> Iterator[Replace]:
        """Yield the rows of `tile_index` of one tile: all, or each that changed."""
        geometry = as_multipolygon(tile.footprint(self.project.pixel_grid))
        now = self.clock()
        rows = [
            {
                "index_name": row.index,
                "period": self.periods.label(row.period),
                "period_start": self.periods.first_day(row.period),
                "valid_fraction": row.valid_fraction,
                "observations": row.observations,
                "scenes": row.scenes,
                "uri": self.store.uri(layout.cube(row.index)),
                "fingerprint": row.fingerprint,
                "geometry": geometry,
                "refreshed_at": now,
            }
            for row in result.index_rows or ()
        ]
        keyed = self._keyed(tile, rows)
        if result.index_rows_are_all:
            yield Replace(TILE_INDEX, self._keys(tile), keyed)
            return
        for row in keyed:
            keys = {name: row[name] for name in ("grid_id", "tile", "index_name", "period")}
            yield Replace(TILE_INDEX, keys, [row])

    def _statistics_changes(self, tile: Tile, result: TileResult) -> list[RowChange]:
        """Return the rows of each (index, period, boundary table) that changed."""
        changes: list[RowChange] = []
        for part in result.statistics:
            keys = {
                **self._keys(tile),
                "period": self.periods.label(part.period),
                "boundary_table": part.boundary_table,
            }
            start = self.periods.first_day(part.period)
            rows = [{**keys, "period_start": start, **row} for row in part.rows]
            changes.append(Replace(by_boundary(part.index), keys, rows))
        return changes

    def _keys(self, tile: Tile) -> dict[str, object]:
        return {"grid_id": self.project.grid_id, "tile": tile.key}

    def _keyed(
        self, tile: Tile, rows: Sequence[Mapping[str, object]]
    ) -> list[Mapping[str, object]]:
        return [{**self._keys(tile), **row} for row in rows]

    def _quarantine_changes(self, outcome: TileOutcome) -> list[Upsert]:
        """Return the new records of a tile, and the old ones if they were last seen long ago."""
        new = [self._tile_record(outcome.tile, stage) for stage in outcome.newly_quarantined]
        stands = {tile_subject(outcome.tile, s.stage) for s in outcome.stages if s.standing}
        seen = [
            row
            for row in self.known_states.records_of(outcome.tile)
            if row["subject"] in stands | {outcome.tile} and stands
        ]
        rows: list[RowLike] = [*new, *renewed(seen, now=self.clock())]
        return [Upsert("quarantine", rows)] if rows else []

    def _tile_record(self, tile: str, bad_stage: StageOutcome) -> QuarantineRecord:
        record = record_of_tile(self.project.grid_id, tile, bad_stage, now=self.clock())
        since = self.known_states.first_seen("tile", record.subject) or record.first_seen
        path = layout.quarantine("tile", record.subject)
        self.store.put(path, quarantine_document(record, since=since))
        return record


def _features(manifest: TileManifest) -> dict[str, str]:
    """Map each stage of statistics to the hash of the features that touch the tile."""
    whole = {
        stage: facts
        for stage in manifest.stages
        for facts in manifest.facts(stage, WholeStageFacts).values()
    }
    return {
        stage: hash_of_boundaries(facts.features)
        for stage, facts in whole.items()
        if facts.features is not None
    }


def as_multipolygon(geometry: BaseGeometry) -> BaseGeometry:
    """Return the polygons of a geometry as one multipolygon, the type of the column."""
    parts = shapely.get_parts(geometry)
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon"])
