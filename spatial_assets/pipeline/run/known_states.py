"""States of tiles and scenes in the database before a run: the bad ones, and the rows it has.

Known bad input is reported again, not computed again, until it changes or a user releases it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from spatial_assets.pipeline.freshness.stage_inputs import InputsByStage, inputs_from_rows
from spatial_assets.pipeline.outcome import BAD_STATES, UPSTREAM, StageOutcome, State, TileOutcome
from spatial_assets.pipeline.stages import RAW
from spatial_assets.stores.objects.manifests import TileManifest
from spatial_assets.stores.rows import Row
from spatial_assets.stores.stage_facts import WHOLE_STAGE
from spatial_assets.stores.tables.database import Database

STORED_FINGERPRINT = "stored_fingerprint"
"""Key in the evidence of a bad state: fingerprint of the result that is stored all the same."""


@dataclass(frozen=True)
class KnownStates:
    """States of some tiles, and of all scenes in quarantine."""

    states: Mapping[tuple[str, str], Row]
    """(tile, stage) -> row of `tile_state`."""

    tiles: frozenset[str]
    """Tiles in quarantine, not released."""

    scenes: Mapping[str, tuple[str, str]]
    """Scene in quarantine -> (reason, fingerprint)."""

    inputs: Mapping[str, Row]
    """Tile -> row of `tile_inputs`."""

    records: Mapping[tuple[str, str], Row] = field(default_factory=dict)
    """(kind, subject) -> row of `quarantine`, of tiles and scenes, not released."""

    @classmethod
    def load(cls, database: Database, grid_id: str, tiles: Iterable[str]) -> KnownStates:
        """Read the states of `tiles`."""
        of_tiles = {"grid_id": grid_id, "tile": list(tiles)}
        states = database.rows("tile_state", where=of_tiles)
        inputs = database.rows("tile_inputs", where=of_tiles)
        where = {"grid_id": grid_id, "kind": ["tile", "scene"], "released_at": None}
        in_force = database.rows("quarantine", where=where)
        return cls(
            states={(str(row["tile"]), str(row["stage"])): row for row in states},
            inputs={str(row["tile"]): row for row in inputs},
            tiles=frozenset(str(row["subject"]) for row in in_force if row["kind"] == "tile"),
            scenes={
                str(row["subject"]): (str(row["reason"]), str(row["checksum"]))
                for row in in_force
                if row["kind"] == "scene"
            },
            records={(str(row["kind"]), str(row["subject"])): row for row in in_force},
        )

    def made_from(self, tile: str) -> InputsByStage:
        """Return the inputs that a tile was last made from, by stage; empty if unknown."""
        row = self.inputs.get(tile)
        return {} if row is None else inputs_from_rows([row])[tile]

    def outcome(
        self, tile: str, stages: tuple[str, ...], *, upstream: Iterable[str], inputs: str
    ) -> TileOutcome | None:
        """Return the outcome of a tile whose quarantine still applies, or None.

        Args:
            tile: its key.
            stages: those selected.
            upstream: those that they depend on and that are not selected.
            inputs: see `input_fingerprint`; it counts where `raw_tile` is selected.
        """
        if RAW in stages:
            applies = any(self._of(tile, stage, inputs=inputs) for stage in stages)
        else:
            applies = any(self._of(tile, stage) for stage in upstream)
        if not applies:
            return None
        rows = [self._of(tile, stage) for stage in stages]
        return TileOutcome(
            tile=tile,
            already_quarantined=True,
            stages=tuple(
                StageOutcome(
                    stage=stage,
                    state=State.QUARANTINED,
                    fingerprint=inputs,
                    reason=str(row["reason"]) if row else f"{UPSTREAM}quarantined",
                    message="still in quarantine: the input has not changed since",
                    evidence=_mapping(row["evidence"]) if row else {},
                )
                for stage, row in zip(stages, rows, strict=True)
            ),
        )

    def first_seen(self, kind: str, subject: str) -> datetime | None:
        """Return when something was quarantined, or None if it is not in quarantine."""
        found = self.records.get((kind, subject), {}).get("first_seen")
        return found if isinstance(found, datetime) else None

    def released(self, tile: str, stages: Iterable[str]) -> bool:
        """Return True if one of these stages is quarantined by its state and a user released it."""
        found = (self.states.get((tile, stage), {}) for stage in stages)
        return tile not in self.tiles and any(
            row.get("state") == State.QUARANTINED for row in found
        )

    def is_known(self, outcome: TileOutcome) -> bool:
        """Return True if the tile was quarantined before, at the same stage for the same reason."""
        bad_stage = outcome.bad_stage
        if bad_stage is None or bad_stage.state is not State.QUARANTINED:
            return False
        row = self._of(outcome.tile, bad_stage.stage)
        return row is not None and row["reason"] == bad_stage.reason

    def stored(self, tile: str, stage: str) -> str | None:
        """Return the fingerprint of the stage's last good result in this database, or None.

        A stage that ends badly leaves that result in place.
        """
        row = self.states.get((tile, stage))
        if row is None:
            return None
        found = (
            _mapping(row["evidence"]).get(STORED_FINGERPRINT)
            if row["state"] in BAD_STATES
            else row["fingerprint"]
        )
        return None if found is None else str(found)

    def is_settled(self, tile: str, stage: str, fingerprint: str) -> bool:
        """Return True if `tile_state` already has the stage as good with this fingerprint."""
        row = self.states.get((tile, stage))
        return (
            row is not None and row["state"] not in BAD_STATES and row["fingerprint"] == fingerprint
        )

    def has_rows(self, stage: str, manifest: TileManifest) -> bool:
        """Return True if the database holds the rows of `stage` that the manifest describes.

        It does not after the project was given another database, or an older copy of one.
        """
        whole = manifest.entry(stage, WHOLE_STAGE)
        if whole is None:
            return not manifest.units(stage)
        return self.stored(manifest.tile, stage) == whole.fingerprint

    def still_bad(self, outcome: TileOutcome) -> bool:
        """Return True if a stage of the tile is bad, or stays bad, after `outcome`."""
        ended = {stage.stage for stage in outcome.stages}
        return any(stage.state in BAD_STATES for stage in outcome.stages) or any(
            tile == outcome.tile and stage not in ended and row["state"] == State.QUARANTINED
            for (tile, stage), row in self.states.items()
        )

    def _of(self, tile: str, stage: str, *, inputs: str | None = None) -> Row | None:
        """Return the row of a stage in quarantine, unless released or of another input."""
        row = self.states.get((tile, stage))
        if row is None or row["state"] != State.QUARANTINED or tile not in self.tiles:
            return None
        return row if inputs in {None, row["fingerprint"]} else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
