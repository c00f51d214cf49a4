"""Quarantine that stands: known bad input is reported again, not computed again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.outcome import StageOutcome, State, TileOutcome
from spatial_assets.pipeline.record import SceneRecord
from spatial_assets.pipeline.stages import CODE_VERSIONS
from spatial_assets.stores.database import Database


def input_fingerprint(scenes: Iterable[SceneRecord], rejected: Iterable[RejectedScene]) -> str:
    """Hash of everything that reaches a tile, good or bad, and of the code that judges it."""
    good = sorted((scene.id, scene.fingerprint) for scene in scenes)
    bad = sorted((scene.id, scene.fingerprint, scene.reason) for scene in rejected)
    return fingerprint("input", good, bad, CODE_VERSIONS)


@dataclass(frozen=True)
class Standing:
    """The tiles in quarantine, as the database has them."""

    rows: Mapping[tuple[str, str], Mapping[str, object]]
    """(tile, stage) -> row of `tile_state` whose state is quarantined."""

    @classmethod
    def load(cls, database: Database, grid_id: str) -> Standing:
        """Read all standing quarantines of a grid."""
        where = {"grid_id": grid_id, "state": str(State.QUARANTINED)}
        rows = database.rows("tile_state", where=where)
        return cls({(str(row["tile"]), str(row["stage"])): row for row in rows})

    def outcome(self, tile: str, stages: tuple[str, ...], *, inputs: str) -> TileOutcome | None:
        """The outcome of a tile whose quarantine stands: its input is what it was then."""
        found = [self.rows.get((tile, stage)) for stage in stages]
        if not any(row is not None and row["fingerprint"] == inputs for row in found):
            return None
        return TileOutcome(
            tile=tile,
            standing=True,
            stages=tuple(
                StageOutcome(
                    stage=stage,
                    state=State.QUARANTINED,
                    fingerprint=inputs,
                    reason=str(row["reason"]) if row else "upstream_quarantined",
                    message="still in quarantine: the input has not changed since",
                    evidence=_mapping(row["evidence"]) if row else {},
                )
                for stage, row in zip(stages, found, strict=True)
            ),
        )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
