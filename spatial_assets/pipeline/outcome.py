"""How a tile ended: one of five states, with the reason and the evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from spatial_assets.errors import SpatialAssetsError
from spatial_assets.geo.verdict import Verdict


class State(StrEnum):
    """The five ways a tile can end."""

    MATERIALIZED = "materialized"
    """Computed and stored."""

    EMPTY = "empty"
    """The catalogue answered and no clear pixel exists; written as all-invalid."""

    QUARANTINED = "quarantined"
    """The input is bad in a way that a retry cannot change."""

    FAILED = "failed"
    """Transient trouble outlived its retries, or something unforeseen happened."""

    UNCHANGED = "unchanged"
    """Same fingerprints, objects intact: nothing recomputed."""


UPSTREAM = "upstream_"
"""How the reason begins of a stage that was given up because another one went wrong."""

BAD = frozenset({State.QUARANTINED, State.FAILED})


@dataclass(frozen=True, kw_only=True)
class StageOutcome:
    """How one stage of one tile ended."""

    stage: str
    state: State
    fingerprint: str
    """Hash over the stage's units; it is the data version of the Dagster event."""

    reason: str = ""
    """Reason code in snake_case; empty when all is well."""

    message: str = ""
    """What happened, where, and what to do, for a person."""

    evidence: Mapping[str, object] = field(default_factory=dict)
    """The figures behind `reason`, JSON-able."""

    facts: Mapping[str, object] = field(default_factory=dict)
    """What STYLE calls the same facts: uri, bytes, scenes, valid_fraction, seconds."""

    empty: bool = False
    """True: what is stored has nothing valid to show; also where it is unchanged."""


@dataclass(frozen=True, kw_only=True)
class CheckOutcome:
    """What a check said about a tile's pixels, before they were written."""

    check: str
    """Name of the Dagster asset check."""

    stage: str
    """The asset it belongs to."""

    verdict: Verdict
    severe: bool = False
    """True: failing it quarantined the tile. False: it is a warning."""


@dataclass(frozen=True, kw_only=True)
class TileOutcome:
    """How one tile ended, over all selected stages."""

    tile: str
    stages: tuple[StageOutcome, ...]
    """One per selected stage, in chain order."""

    checks: tuple[CheckOutcome, ...] = ()
    preview: bytes = b""
    """PNG of the newest period of the first index, a few kB; empty when nothing was computed."""

    seconds: float = 0.0
    """Time in the worker."""

    standing: bool = False
    """True for a quarantine that was there before: reported, not recomputed, not red."""

    @property
    def state(self) -> State:
        """The worst of the stages; `unchanged` only when every stage is."""
        states = {stage.state for stage in self.stages}
        for state in (State.FAILED, State.QUARANTINED, State.EMPTY, State.MATERIALIZED):
            if state in states:
                return state
        return State.UNCHANGED

    @property
    def trouble(self) -> StageOutcome | None:
        """The stage that went wrong itself, or None; the others only stand on it."""
        bad = [stage for stage in self.stages if stage.state in BAD]
        own = [stage for stage in bad if not stage.reason.startswith(UPSTREAM)]
        return next(iter(own or bad), None)


NAMED = 50
"""Bad tiles that a message names; it is kept as an event, and a screen shows no more."""


class BadTilesError(SpatialAssetsError):
    """Some tiles of a run were newly quarantined or failed; the others are good."""


@dataclass
class RunReport:
    """What a run did, tile by tile."""

    counts: Counter[State] = field(default_factory=Counter)
    bad: dict[str, StageOutcome] = field(default_factory=dict)
    """Newly quarantined or failed tiles."""

    standing: list[str] = field(default_factory=list)
    """Tiles whose quarantine was there before."""

    def add(self, outcome: TileOutcome) -> None:
        """Count one tile."""
        self.counts[outcome.state] += 1
        trouble = outcome.trouble
        if trouble is None:
            return
        if outcome.standing:
            self.standing.append(outcome.tile)
        else:
            self.bad[outcome.tile] = trouble

    def sentence(self) -> str:
        """The counts in one line, such as `8 materialized, 2 quarantined`."""
        return ", ".join(f"{self.counts[state]} {state}" for state in State if self.counts[state])

    def raise_if_any_tile_is_bad(self) -> None:
        """Make the run red when a tile was newly quarantined or failed.

        Raises:
            BadTilesError: naming each tile with its reason.
        """
        if not self.bad:
            return
        named = "\n".join(
            f"  {tile}: {trouble.state} at {trouble.stage}: {trouble.reason}: {trouble.message}"
            for tile, trouble in sorted(self.bad.items())[:NAMED]
        )
        if len(self.bad) > NAMED:
            named += f"\n  and {len(self.bad) - NAMED} more: see the table tile_state"
        message = (
            f"{len(self.bad)} of {self.counts.total()} tiles need attention; the others are good:\n"
            f"{named}\n"
            "Mend the input and materialize these tiles again: nothing else is recomputed."
        )
        raise BadTilesError(message)
