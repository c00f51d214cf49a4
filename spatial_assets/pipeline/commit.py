"""The commit of a tile: database transaction, then manifest, then the caller's event.

The objects are in the store before; whoever dies in between leaves a tile whose manifest does
not know the new objects, so that the next run makes it again and replaces the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets import __version__
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.geo.grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.outcome import StageOutcome, State, TileOutcome
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.pipeline.task import TileResult
from spatial_assets.project import Project
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.stores import layout
from spatial_assets.stores.database import Database
from spatial_assets.stores.documents import to_json
from spatial_assets.stores.manifests import commit_manifest
from spatial_assets.stores.objects import ObjectStore
from spatial_assets.stores.records import Change, QuarantineRecord, Replace, TileState, Upsert

StateName: TypeAlias = Literal["materialized", "empty", "quarantined", "failed", "unchanged"]

STATE_NAMES: Mapping[State, StateName] = {
    State.MATERIALIZED: "materialized",
    State.EMPTY: "empty",
    State.QUARANTINED: "quarantined",
    State.FAILED: "failed",
    State.UNCHANGED: "unchanged",
}
"""As the database has them."""


@dataclass(frozen=True, kw_only=True)
class Committer:
    """Writes what a walk returned: the only place where the chain touches the database."""

    project: Project
    store: ObjectStore
    database: Database
    periods: Periods
    clock: Callable[[], datetime]

    def commit(self, tile: Tile, result: TileResult) -> None:
        """Replace the tile's rows in one transaction, then put its manifest.

        Raises:
            DatabaseError, StoreError: nothing of this tile was committed, or only its rows.
        """
        outcome = result.outcome
        changes: list[Change] = [Upsert("tile_state", self._states(outcome))]
        if result.index_rows is not None:
            changes.append(self._index_change(tile, result))
        changes += self._statistics_changes(tile, result)
        trouble = outcome.trouble
        if trouble is not None and trouble.state is State.QUARANTINED and not outcome.standing:
            changes.append(Upsert("quarantine", [self._tile_record(outcome.tile, trouble)]))
        self.database.commit(changes)
        commit_manifest(self.store, result.manifest)
        for path in result.dropped_objects:
            self.store.delete(path)

    def note(self, outcome: TileOutcome) -> None:
        """Write the states of a tile whose walk returned no manifest: it died or never began."""
        self.database.commit([Upsert("tile_state", self._states(outcome))])

    def record_scenes(self, scenes: Iterable[RejectedScene]) -> None:
        """Write the quarantine records of scenes, in the store and as rows."""
        records = [self._scene_record(scene) for scene in scenes]
        if not records:
            return
        for record in records:
            self.store.put(layout.quarantine("scene", record.subject), document_of(record))
        self.database.commit([Upsert("quarantine", records)])

    def _states(self, outcome: TileOutcome) -> list[TileState]:
        """One row a stage; `unchanged` says nothing new and is not written."""
        now = self.clock()
        return [
            TileState(
                grid_id=self.project.grid_id,
                tile=outcome.tile,
                stage=stage.stage,
                state=STATE_NAMES[stage.state],
                since=now,
                reason=stage.reason or None,
                evidence={**stage.evidence, "message": stage.message} if stage.message else {},
                fingerprint=stage.fingerprint,
            )
            for stage in outcome.stages
            if stage.state is not State.UNCHANGED
        ]

    def _index_change(self, tile: Tile, result: TileResult) -> Replace:
        """All rows of `tile_index` of one tile."""
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
        return Replace(TILE_INDEX, self._keys(tile), self._keyed(tile, rows))

    def _statistics_changes(self, tile: Tile, result: TileResult) -> list[Change]:
        """The rows of each (index, period, boundary table) that changed."""
        changes: list[Change] = []
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

    def _tile_record(self, tile: str, trouble: StageOutcome) -> QuarantineRecord:
        now = self.clock()
        record = QuarantineRecord(
            grid_id=self.project.grid_id,
            kind="tile",
            subject=tile,
            tile=tile,
            reason=trouble.reason,
            message=trouble.message,
            evidence=trouble.evidence,
            checksum=trouble.fingerprint,
            code_version=__version__,
            first_seen=now,
            last_seen=now,
        )
        self.store.put(layout.quarantine("tile", tile), document_of(record))
        return record

    def _scene_record(self, scene: RejectedScene) -> QuarantineRecord:
        now = self.clock()
        return QuarantineRecord(
            grid_id=self.project.grid_id,
            kind="scene",
            subject=scene.id,
            reason=scene.reason,
            message=mask_secrets(scene.message),
            evidence=scene.evidence,
            href=mask_secrets(scene.href),
            checksum=scene.fingerprint,
            code_version=__version__,
            first_seen=now,
            last_seen=now,
        )


def as_multipolygon(geometry: BaseGeometry) -> BaseGeometry:
    """The geometry as tables want it."""
    parts = shapely.get_parts(geometry)
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon"])


def document_of(record: QuarantineRecord) -> bytes:
    """A quarantine record as JSON, for people and for stores without a database."""
    times = {"first_seen": record.first_seen.isoformat(), "last_seen": record.last_seen.isoformat()}
    return to_json(
        {
            "kind": record.kind,
            "subject": record.subject,
            "reason": record.reason,
            "message": record.message,
            "evidence": dict(record.evidence),
            "href": record.href,
            "checksum": record.checksum,
            "code_version": record.code_version,
            **times,
        }
    )
