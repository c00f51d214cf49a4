"""From an exception to a state, decided in one place: will trying again help?

The only module that catches every exception: a tile's trouble must never be the run's.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from spatial_assets.errors import (
    GridError,
    LeaseHeldError,
    RasterError,
    SceneError,
    SettingsError,
    SourceUnavailableError,
    SpatialAssetsError,
    StoreError,
    VectorError,
)
from spatial_assets.pipeline.outcome import UPSTREAM, StageOutcome, State, TileOutcome
from spatial_assets.project.secrets import mask_secrets

TRACEBACK_LINES = 12

CHANGED = "changed_since_inspection"
"""Reason of a SceneError that another run puts right: it looks into the scene again."""


class MissingInputError(SpatialAssetsError):
    """A stage was asked for whose stored inputs are not there."""


class TooLargeError(SpatialAssetsError):
    """A tile cannot be walked within the memory that was declared."""


class UnexaminedError(SpatialAssetsError):
    """A scene that reaches the tile could not be looked into, so it is neither good nor bad."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TileQuarantinedError(SpatialAssetsError):
    """A tile's input is bad; raised within a walk, never out of it."""

    def __init__(self, message: str, *, reason: str, evidence: dict[str, object]) -> None:
        super().__init__(message)
        self.reason = reason
        self.evidence = evidence


@dataclass(frozen=True)
class Trouble:
    """What an exception means for the tile it struck."""

    state: State
    reason: str
    transient: bool
    """True: trying again may help."""


TROUBLES: tuple[tuple[type[BaseException], Trouble], ...] = (
    (MissingInputError, Trouble(State.FAILED, "missing_input", transient=False)),
    (TooLargeError, Trouble(State.FAILED, "too_large", transient=False)),
    (LeaseHeldError, Trouble(State.FAILED, "lease_held", transient=True)),
    (SourceUnavailableError, Trouble(State.FAILED, "source_unavailable", transient=True)),
    (StoreError, Trouble(State.FAILED, "store_refused", transient=False)),
    (GridError, Trouble(State.FAILED, "grid", transient=False)),
    (SettingsError, Trouble(State.FAILED, "settings", transient=False)),
    (VectorError, Trouble(State.FAILED, "boundaries", transient=False)),
    (MemoryError, Trouble(State.FAILED, "out_of_memory", transient=False)),
    (TimeoutError, Trouble(State.FAILED, "timed_out", transient=True)),
    (ConnectionError, Trouble(State.FAILED, "connection_lost", transient=True)),
    (OSError, Trouble(State.FAILED, "system", transient=True)),
)
"""First match wins. What is not here is a bug of ours: `unexpected`, not tried again."""

UNEXPECTED = Trouble(State.FAILED, "unexpected", transient=False)


def trouble_of(error: BaseException) -> Trouble:
    """Judge an exception."""
    if isinstance(error, SceneError) and error.reason == CHANGED:
        return Trouble(State.FAILED, CHANGED, transient=False)
    if isinstance(error, UnexaminedError):
        return Trouble(State.FAILED, error.reason, transient=False)
    if isinstance(error, TileQuarantinedError | RasterError | SceneError):
        return Trouble(State.QUARANTINED, error.reason, transient=False)
    return next((trouble for kind, trouble in TROUBLES if isinstance(error, kind)), UNEXPECTED)


def outcome_of(
    error: BaseException, tile: str, *, stages: tuple[str, ...], at: str, inputs: str
) -> TileOutcome:
    """The outcome of a tile that `error` stopped at stage `at`; no stage is complete."""
    trouble = trouble_of(error)
    evidence = dict(getattr(error, "evidence", {}))
    if trouble is UNEXPECTED:
        lines = traceback.format_exception(error)[-TRACEBACK_LINES:]
        evidence["traceback"] = mask_secrets("".join(lines))
    message = mask_secrets(str(error)) or type(error).__name__
    outcomes = [
        StageOutcome(
            stage=stage,
            state=trouble.state,
            fingerprint=inputs,
            reason=trouble.reason if stage == at else f"{UPSTREAM}{trouble.state}",
            message=message if stage == at else f"the tile was given up at {at}",
            evidence=evidence if stage == at else {},
        )
        for stage in stages
    ]
    return TileOutcome(tile=tile, stages=tuple(outcomes))


def worker_died(tile: str, *, stages: tuple[str, ...], memory_mb: int, inputs: str) -> TileOutcome:
    """The outcome of a tile whose worker process ended without an answer."""
    message = (
        f"the worker process died on this tile, also when it ran alone; most often the system "
        f"took it for using too much memory ([compute] memory_mb = {memory_mb}): "
        "choose a finer [grid] level, or give these tiles a profile with more memory"
    )
    first = StageOutcome(
        stage=stages[0],
        state=State.FAILED,
        fingerprint=inputs,
        reason="worker_died",
        message=message,
        evidence={"memory_mb": memory_mb},
    )
    later = (
        StageOutcome(
            stage=stage, state=State.FAILED, fingerprint=inputs, reason=f"{UPSTREAM}failed"
        )
        for stage in stages[1:]
    )
    return TileOutcome(tile=tile, stages=(first, *later))
