"""States of tiles and scenes in the database before a run: the bad ones, and the rows it has.

Known bad input is reported again, not computed again, until it changes or a user releases it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from spatial_assets.pipeline.failures import stopped_by
from spatial_assets.pipeline.freshness.stage_inputs import InputsByStage, inputs_from_rows
from spatial_assets.pipeline.outcome import BAD_STATES, UPSTREAM, StageOutcome, State, TileOutcome
from spatial_assets.pipeline.quarantine_subjects import is_in_force, subjects_by_tile, tile_subject
from spatial_assets.pipeline.stages import RAW, Chain
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

    subjects: frozenset[str]
    """Tiles and stages of tiles in quarantine, not released; see `tile_subject`."""

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
            subjects=frozenset(str(row["subject"]) for row in in_force if row["kind"] == "tile"),
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

    def standing(
        self, tile: str, selected: Sequence[str], *, chain: Chain, inputs: Mapping[str, str]
    ) -> Mapping[str, StageOutcome]:
        """Map the selected stages whose quarantine still applies to their outcomes.

        A stage without which others cannot be made takes these with it. If `raw_tile` is not
        selected, a stage that is selected by name is made whatever its own state is.

        Args:
            tile: its key.
            selected: the selected stages.
            chain: the stages of the project.
            inputs: stage -> hash of the inputs that decide its quarantine now.
        """
        bad: dict[str, StageOutcome] = {}
        judged = RAW in selected
        for stage in chain.stages:
            chosen = stage in selected
            row = self._of(tile, stage, inputs=inputs.get(stage) if judged and chosen else None)
            cause = chain.blocked_by(stage, bad)
            if cause is not None:
                bad[stage] = stopped_by(bad[cause], stage, inputs=inputs)
            elif row is not None and _is_own(row) and (judged or not chosen):
                bad[stage] = _standing(row, inputs=inputs)
        return {stage: outcome for stage, outcome in bad.items() if stage in selected}

    def first_seen(self, kind: str, subject: str) -> datetime | None:
        """Return when something was quarantined, or None if it is not in quarantine."""
        found = self.records.get((kind, subject), {}).get("first_seen")
        return found if isinstance(found, datetime) else None

    def released(self, tile: str, stages: Iterable[str]) -> bool:
        """Return True if one of these stages is quarantined by its state and a user released it."""
        rows = [(stage, self.states.get((tile, stage), {})) for stage in stages]
        return any(
            row.get("state") == State.QUARANTINED
            and _is_own(row)
            and not is_in_force(self.subjects, tile, stage)
            for stage, row in rows
        )

    def with_known(self, outcome: TileOutcome) -> TileOutcome:
        """Return an outcome in which a stage quarantined before for the same reason is standing."""
        stages = tuple(
            replace(each, standing=each.standing or self._is_known(outcome.tile, each))
            for each in outcome.stages
        )
        return replace(outcome, stages=stages)

    def _is_known(self, tile: str, stage: StageOutcome) -> bool:
        row = self._of(tile, stage.stage)
        return (
            stage.state is State.QUARANTINED and row is not None and row["reason"] == stage.reason
        )

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

    def ended(self, outcome: TileOutcome, chain: Chain) -> list[str]:
        """Return the subjects of a tile that are in quarantine no longer after `outcome`."""
        tile = outcome.tile
        reasons = {
            stage: str(row["reason"])
            for stage in chain.stages
            if (row := self.states.get((tile, stage))) and row["state"] == State.QUARANTINED
        }
        bad = {each.stage: each for each in outcome.stages if each.state in BAD_STATES}
        for each in outcome.stages:
            reasons.pop(each.stage, None)
        reasons |= {stage: each.reason for stage, each in bad.items()}
        own = {stage for stage, reason in reasons.items() if not reason.startswith(UPSTREAM)}
        kept = {tile_subject(tile, stage) for stage in own}
        new = {tile_subject(tile, each.stage) for each in outcome.newly_quarantined}
        if kept - self.subjects - new:
            kept.add(tile)  # a record of an earlier version holds for a stage as well
        return sorted(set(self._by_tile.get(tile, ())) - kept)

    def records_of(self, tile: str) -> list[Row]:
        """Return the quarantine records of a tile and of its stages."""
        return [self.records["tile", subject] for subject in self._by_tile.get(tile, ())]

    @cached_property
    def _by_tile(self) -> Mapping[str, Collection[str]]:
        return subjects_by_tile(self.records.values())

    def _of(self, tile: str, stage: str, *, inputs: str | None = None) -> Row | None:
        """Return the row of a stage in quarantine, unless released or of another input."""
        row = self.states.get((tile, stage))
        if row is None or row["state"] != State.QUARANTINED:
            return None
        if _is_own(row) and not is_in_force(self.subjects, tile, stage):
            return None
        return row if inputs in {None, row["fingerprint"]} else None


def _is_own(row: Row) -> bool:
    """Return True if a stage is in quarantine for itself, not for a stage before it."""
    return not str(row["reason"] or "").startswith(UPSTREAM)


def _standing(row: Row, *, inputs: Mapping[str, str]) -> StageOutcome:
    """Return the outcome of a stage whose quarantine still applies."""
    stage = str(row["stage"])
    evidence = {
        name: value
        for name, value in _mapping(row["evidence"]).items()
        if name not in {STORED_FINGERPRINT, "message"}
    }
    return StageOutcome(
        stage=stage,
        state=State.QUARANTINED,
        fingerprint=inputs.get(stage, ""),
        reason=str(row["reason"]),
        message="still in quarantine: the input has not changed since",
        evidence=evidence,
        standing=True,
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
