"""Outcome of a tile: one of five states, with the reason and the evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from spatial_assets.errors import SpatialAssetsError
from spatial_assets.geo.verdict import Verdict


class State(StrEnum):
    """The five states that a tile can end in."""

    MATERIALIZED = "materialized"
    """Computed and stored."""

    EMPTY = "empty"
    """The catalogue answered and no clear pixel exists; stored as all-invalid."""

    QUARANTINED = "quarantined"
    """The input is bad in a way that a retry cannot change."""

    FAILED = "failed"
    """A transient error outlasted its retries, or an unexpected error occurred."""

    UNCHANGED = "unchanged"
    """Same fingerprints, objects intact: nothing recomputed."""


UPSTREAM = "upstream_"
"""Prefix of the reason of a stage that was skipped because another one went wrong."""

BAD_STATES = frozenset({State.QUARANTINED, State.FAILED})


@dataclass(frozen=True, kw_only=True)
class StageOutcome:
    """Outcome of one stage of one tile."""

    stage: str
    state: State
    fingerprint: str
    """Hash over the stage's units: the data version of the Dagster event."""

    reason: str = ""
    """Reason code in snake_case; empty unless the state is bad."""

    message: str = ""
    """Message for the user: what happened, where, and what to do."""

    evidence: Mapping[str, object] = field(default_factory=dict)
    """The figures behind `reason`, JSON-able."""

    facts: Mapping[str, object] = field(default_factory=dict)
    """Metadata of the materialization: uri, bytes, scenes, valid_fraction, seconds."""

    empty: bool = False
    """True if the stored result has no valid pixel; also set for an unchanged stage."""

    standing: bool = False
    """True for a quarantine from an earlier run: reported, not recomputed, no failure."""

    @property
    def is_own(self) -> bool:
        """True unless the stage was skipped because another one went wrong."""
        return not self.reason.startswith(UPSTREAM)


@dataclass(frozen=True, kw_only=True)
class CheckOutcome:
    """Result of a check on a tile's pixels, made before they were written."""

    check: str
    """Name of the Dagster asset check."""

    stage: str
    """The asset it belongs to."""

    verdict: Verdict
    severe: bool = False
    """True: failing it quarantined the tile. False: it is a warning."""

    warnings: tuple[str, ...] = ()
    """Sentences for the end of the run, the same for every tile that they concern."""


@dataclass(frozen=True, kw_only=True)
class TileOutcome:
    """Outcome of one tile, over all selected stages."""

    tile: str
    stages: tuple[StageOutcome, ...]
    """One per selected stage, in chain order."""

    checks: tuple[CheckOutcome, ...] = ()
    preview: bytes = b""
    """PNG of the newest period of the first index, a few kB; empty when nothing was computed."""

    seconds: float = 0.0
    """Time in the worker."""

    @property
    def state(self) -> State:
        """The worst state of the stages; `unchanged` only when every stage is."""
        states = {stage.state for stage in self.stages}
        for state in (State.FAILED, State.QUARANTINED, State.EMPTY, State.MATERIALIZED):
            if state in states:
                return state
        return State.UNCHANGED

    @property
    def bad_stage(self) -> StageOutcome | None:
        """The first stage that went wrong itself, in this run rather than an earlier; or None."""
        bad = [stage for stage in self.stages if stage.state in BAD_STATES]
        return min(bad, key=lambda stage: (stage.standing, not stage.is_own), default=None)

    @property
    def already_quarantined(self) -> bool:
        """True if stages are in quarantine from an earlier run, and none became bad in this one."""
        return self.bad_stage is not None and self.bad_stage.standing

    @property
    def newly_quarantined(self) -> tuple[StageOutcome, ...]:
        """The stages that were quarantined in this run, for a reason of their own."""
        return tuple(
            stage
            for stage in self.stages
            if stage.state is State.QUARANTINED and stage.is_own and not stage.standing
        )


MAX_NAMED_TILES = 50
"""Bad tiles that a message names: it is stored as an event, and a screen shows no more."""


MAX_NAMED_WARNINGS = 20
"""Warnings that a run names at its end."""


class BadTilesError(SpatialAssetsError):
    """Some tiles of a run were newly quarantined or failed; the others are good."""


@dataclass
class RunReport:
    """Outcomes of a run, counted by state; bad tiles by name."""

    counts: Counter[State] = field(default_factory=Counter)
    bad: dict[str, StageOutcome] = field(default_factory=dict)
    """Newly quarantined or failed tiles."""

    already_quarantined: list[str] = field(default_factory=list)
    """Tiles that an earlier run quarantined."""

    warnings: dict[str, list[str]] = field(default_factory=dict)
    """Sentence about something doubtful or set aside -> tiles that it concerns."""

    def add(self, outcome: TileOutcome) -> None:
        """Count one tile."""
        self.counts[outcome.state] += 1
        for warning in (text for check in outcome.checks for text in check.warnings):
            self.warnings.setdefault(warning, []).append(outcome.tile)
        bad_stage = outcome.bad_stage
        if bad_stage is None:
            return
        if outcome.already_quarantined:
            self.already_quarantined.append(outcome.tile)
        else:
            self.bad[outcome.tile] = bad_stage

    def summary(self) -> str:
        """Return the counts in one line, such as `8 materialized, 2 quarantined`."""
        return ", ".join(f"{self.counts[state]} {state}" for state in State if self.counts[state])

    def warning_lines(self) -> list[str]:
        """Return a line for each warning, with the number of tiles and the first of them."""
        lines = [
            f"{text} ({len(tiles)} tile{'s' if len(tiles) > 1 else ''}, e.g. {min(tiles)})"
            for text, tiles in sorted(self.warnings.items())
        ]
        if len(lines) > MAX_NAMED_WARNINGS:
            more = f"and {len(lines) - MAX_NAMED_WARNINGS} more: see the checks of the tiles"
            return [*lines[:MAX_NAMED_WARNINGS], more]
        return lines

    def raise_if_any_tile_is_bad(self) -> None:
        """Fail the run if a tile was newly quarantined or failed.

        Raises:
            BadTilesError: naming each tile with its reason.
        """
        if not self.bad:
            return
        named = "\n".join(
            f"  {tile}: {stage.state} at {stage.stage}: {stage.reason}: {stage.message}"
            for tile, stage in sorted(self.bad.items())[:MAX_NAMED_TILES]
        )
        if len(self.bad) > MAX_NAMED_TILES:
            named += f"\n  and {len(self.bad) - MAX_NAMED_TILES} more: see the table tile_state"
        message = (
            f"{len(self.bad)} of {self.counts.total()} tiles need attention; the others are good:\n"
            f"{named}\n"
            "Repair the input and materialize these tiles again; nothing else is recomputed."
        )
        raise BadTilesError(message)
