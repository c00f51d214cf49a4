"""Classification of exceptions: the state they lead to, and whether a retry may help.

An error of one tile must never stop the run, so that callers may catch every exception and have
it judged here.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from spatial_assets.errors import (
    REASONS_OF_THE_MOMENT,
    DatabaseError,
    ForeignProjectError,
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

Result = TypeVar("Result")


class MissingInputError(SpatialAssetsError):
    """A stage was selected whose stored inputs do not exist."""


class TooLargeError(SpatialAssetsError):
    """A tile does not fit in the memory that the project declares."""


class UninspectedSceneError(SpatialAssetsError):
    """A scene that reaches the tile could not be inspected, so it is neither good nor bad."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnreachableScenesError(SpatialAssetsError):
    """No scene of a tile can be used, and some only because their files cannot be reached now."""

    def __init__(self, message: str, *, evidence: dict[str, object]) -> None:
        super().__init__(message)
        self.evidence = evidence


class TileQuarantinedError(SpatialAssetsError):
    """A tile's input is bad; raised and handled within a walk."""

    def __init__(self, message: str, *, reason: str, evidence: dict[str, object]) -> None:
        super().__init__(message)
        self.reason = reason
        self.evidence = evidence


@dataclass(frozen=True)
class Failure:
    """Consequence of an exception for its tile."""

    state: State
    reason: str
    """Reason code in snake_case; OWN_REASON: that of the exception."""

    transient: bool
    """True: a retry may help."""


OWN_REASON = ""

ErrorKind = type[BaseException] | str | int
"""A class; its full name, to avoid an import of its library; or an errno."""


def _permanent(reason: str) -> Failure:
    return Failure(State.FAILED, reason, transient=False)


def _transient(reason: str) -> Failure:
    return Failure(State.FAILED, reason, transient=True)


_BAD_INPUT = Failure(State.QUARANTINED, OWN_REASON, transient=False)

FAILURES: tuple[tuple[ErrorKind, Failure], ...] = (
    (MissingInputError, _permanent("missing_input")),
    (TooLargeError, _permanent("too_large")),
    (UninspectedSceneError, _permanent(OWN_REASON)),
    (UnreachableScenesError, _permanent("no_reachable_scene")),
    (TileQuarantinedError, _BAD_INPUT),
    (RasterError, _BAD_INPUT),
    (SceneError, _BAD_INPUT),
    (LeaseHeldError, _transient("lease_held")),
    (SourceUnavailableError, _transient("source_unavailable")),
    (StoreError, _permanent("store_refused")),
    (GridError, _permanent("grid")),
    (ForeignProjectError, _permanent("foreign_project")),
    (SettingsError, _permanent("settings")),
    (VectorError, _permanent("boundaries")),
    # The errors of psycopg and DuckDB become this one, after retries of the transient ones.
    (DatabaseError, _permanent("database")),
    (MemoryError, _permanent("out_of_memory")),
    # Errors of libraries that no code of ours converts. There are few retries, so that an error
    # that is not known to be permanent counts as transient.
    ("obstore.exceptions.NotFoundError", _permanent("object_gone")),
    ("obstore.exceptions.PermissionDeniedError", _permanent("store_refused")),
    ("obstore.exceptions.UnauthenticatedError", _permanent("store_refused")),
    ("obstore.exceptions.BaseError", _transient("store_unavailable")),
    ("httpx.TransportError", _transient("source_unavailable")),
    ("httpx.HTTPError", _permanent("source_refused")),
    ("psycopg.OperationalError", _transient("database")),
    ("psycopg.Error", _permanent("database")),
    ("_duckdb.IOException", _transient("database")),
    ("_duckdb.Error", _permanent("database")),
    ("rasterio.errors.RasterioError", _transient("gdal")),
    ("zarr.errors.BaseZarrError", _permanent("cube")),
    ("pyproj.exceptions.ProjError", _permanent("projection")),
    ("shapely.errors.ShapelyError", _permanent("geometry")),
    ("pyogrio.errors.DataSourceError", _permanent("boundaries")),
    ("pyarrow.lib.ArrowException", _permanent("boundaries")),
    # Errors of the system, the specific before the general.
    (errno.ENOSPC, _permanent("disk_full")),
    (errno.EDQUOT, _permanent("disk_full")),
    (errno.EROFS, _permanent("disk_read_only")),
    (errno.EMFILE, _transient("too_many_files")),
    (errno.ENFILE, _transient("too_many_files")),
    (PermissionError, _permanent("permission")),
    (FileNotFoundError, _permanent("file_gone")),
    (TimeoutError, _transient("timed_out")),
    (ConnectionError, _transient("connection_lost")),
    (OSError, _transient("system")),
)
"""First match wins. Any other exception is a bug of ours: `unexpected`, without a retry."""

UNEXPECTED = _permanent("unexpected")


def failure_of(error: BaseException) -> Failure:
    """Classify an exception."""
    if isinstance(error, SceneError) and error.reason in REASONS_OF_THE_MOMENT:
        return _permanent(error.reason)
    failure = next((found for kind, found in FAILURES if _is(error, kind)), UNEXPECTED)
    if failure.reason == OWN_REASON:
        return replace(failure, reason=str(getattr(error, "reason", "")))
    return failure


def _is(error: BaseException, kind: ErrorKind) -> bool:
    if isinstance(kind, int):
        return isinstance(error, OSError) and error.errno == kind
    if isinstance(kind, str):
        return kind in {f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__}
    return isinstance(error, kind)


@dataclass(frozen=True)
class Caught:
    """An exception, to be classified here."""

    error: Exception


def result_or_error(work: Callable[[], Result]) -> Result | Caught:
    """Return the result of `work`, or the exception that it raised."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - the one place for it
        return Caught(error)


def outcome_of(
    error: BaseException, tile: str, *, stages: tuple[str, ...], at: str, inputs: Mapping[str, str]
) -> TileOutcome:
    """Return the outcome of a tile that `error` stopped at stage `at`; no stage is complete.

    Args:
        error: what stopped it.
        tile: its key.
        stages: those selected.
        at: the stage that the error belongs to.
        inputs: stage -> hash of the inputs that decide its quarantine.
    """
    bad_stage = stage_outcome_of(error, at, inputs=inputs)
    outcomes = (
        bad_stage if stage == at else stopped_by(bad_stage, stage, inputs=inputs)
        for stage in stages
    )
    return TileOutcome(tile=tile, stages=tuple(outcomes))


def stage_outcome_of(
    error: BaseException, stage: str, *, inputs: Mapping[str, str]
) -> StageOutcome:
    """Return the outcome of a stage that `error` stopped."""
    failure = failure_of(error)
    evidence = dict(getattr(error, "evidence", {}))
    if failure == UNEXPECTED:
        lines = traceback.format_exception(error)[-TRACEBACK_LINES:]
        evidence["traceback"] = mask_secrets("".join(lines))
    return StageOutcome(
        stage=stage,
        state=failure.state,
        fingerprint=inputs.get(stage, ""),
        reason=failure.reason,
        message=mask_secrets(str(error)) or type(error).__name__,
        evidence=evidence,
    )


def stopped_by(cause: StageOutcome, stage: str, *, inputs: Mapping[str, str]) -> StageOutcome:
    """Return the outcome of a stage that was not made because of another one."""
    return StageOutcome(
        stage=stage,
        state=cause.state,
        fingerprint=inputs.get(stage, ""),
        reason=f"{UPSTREAM}{cause.state}",
        message=f"the tile was stopped at {cause.stage}",
        standing=cause.standing,
    )


def worker_died(
    tile: str, *, stages: tuple[str, ...], memory_mb: int, inputs: Mapping[str, str]
) -> TileOutcome:
    """Return the outcome of a tile whose worker process ended without a result."""
    message = (
        f"the worker process died on this tile, also when it ran alone; most often the system "
        f"killed it for using too much memory ([compute] memory_mb = {memory_mb}): "
        "choose a finer [grid] level, or give these tiles a profile with more memory"
    )
    first = StageOutcome(
        stage=stages[0],
        state=State.FAILED,
        fingerprint=inputs.get(stages[0], ""),
        reason="worker_died",
        message=message,
        evidence={"memory_mb": memory_mb},
    )
    later = (stopped_by(first, stage, inputs=inputs) for stage in stages[1:])
    return TileOutcome(tile=tile, stages=(first, *later))
