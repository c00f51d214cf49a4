"""From an exception to a state, decided in one place: will trying again help?

The only module that catches every exception: a tile's trouble must never be the run's.
"""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass, replace

from spatial_assets.errors import (
    DatabaseError,
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

CHANGED_SINCE_INSPECTION = "changed_since_inspection"
"""Reason of a SceneError that another run puts right: it looks into the scene again."""


class MissingInputError(SpatialAssetsError):
    """A stage was asked for whose stored inputs are not there."""


class TooLargeError(SpatialAssetsError):
    """A tile cannot be walked within the memory that was declared."""


class UninspectedSceneError(SpatialAssetsError):
    """A scene that reaches the tile could not be inspected, so it is neither good nor bad."""

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
class Failure:
    """What an exception means for the tile it struck."""

    state: State
    reason: str
    """Reason code in snake_case; OWN_REASON: the exception's own."""

    transient: bool
    """True: trying again may help."""


OWN_REASON = ""

ErrorKind = type[BaseException] | str | int
"""A class; the full name of one, where its library is not to be imported for this; or an errno."""


def _lasting(reason: str) -> Failure:
    return Failure(State.FAILED, reason, transient=False)


def _passing(reason: str) -> Failure:
    return Failure(State.FAILED, reason, transient=True)


_BAD_INPUT = Failure(State.QUARANTINED, OWN_REASON, transient=False)

FAILURES: tuple[tuple[ErrorKind, Failure], ...] = (
    (MissingInputError, _lasting("missing_input")),
    (TooLargeError, _lasting("too_large")),
    (UninspectedSceneError, _lasting(OWN_REASON)),
    (TileQuarantinedError, _BAD_INPUT),
    (RasterError, _BAD_INPUT),
    (SceneError, _BAD_INPUT),
    (LeaseHeldError, _passing("lease_held")),
    (SourceUnavailableError, _passing("source_unavailable")),
    (StoreError, _lasting("store_refused")),
    (GridError, _lasting("grid")),
    (SettingsError, _lasting("settings")),
    (VectorError, _lasting("boundaries")),
    # The database classes of psycopg and DuckDB become this one; what may pass was tried again.
    (DatabaseError, _lasting("database")),
    (MemoryError, _lasting("out_of_memory")),
    # What libraries raise where no code of ours stands between them and a tile. All are tried
    # again a few times at most, so what is not known to be lasting counts as passing.
    ("obstore.exceptions.NotFoundError", _lasting("object_gone")),
    ("obstore.exceptions.PermissionDeniedError", _lasting("store_refused")),
    ("obstore.exceptions.UnauthenticatedError", _lasting("store_refused")),
    ("obstore.exceptions.BaseError", _passing("store_unavailable")),
    ("httpx.TransportError", _passing("source_unavailable")),
    ("httpx.HTTPError", _lasting("source_refused")),
    ("psycopg.OperationalError", _passing("database")),
    ("psycopg.Error", _lasting("database")),
    ("_duckdb.IOException", _passing("database")),
    ("_duckdb.Error", _lasting("database")),
    ("rasterio.errors.RasterioError", _passing("gdal")),
    ("zarr.errors.BaseZarrError", _lasting("cube")),
    ("pyproj.exceptions.ProjError", _lasting("projection")),
    ("shapely.errors.ShapelyError", _lasting("geometry")),
    ("pyogrio.errors.DataSourceError", _lasting("boundaries")),
    ("pyarrow.lib.ArrowException", _lasting("boundaries")),
    # The system, the particular before the general.
    (errno.ENOSPC, _lasting("disk_full")),
    (errno.EDQUOT, _lasting("disk_full")),
    (errno.EROFS, _lasting("disk_read_only")),
    (errno.EMFILE, _passing("too_many_files")),
    (errno.ENFILE, _passing("too_many_files")),
    (PermissionError, _lasting("permission")),
    (FileNotFoundError, _lasting("file_gone")),
    (TimeoutError, _passing("timed_out")),
    (ConnectionError, _passing("connection_lost")),
    (OSError, _passing("system")),
)
"""First match wins. What is not here is a bug of ours: `unexpected`, not tried again."""

UNEXPECTED = _lasting("unexpected")


def failure_of(error: BaseException) -> Failure:
    """Judge an exception."""
    if isinstance(error, SceneError) and error.reason == CHANGED_SINCE_INSPECTION:
        return _lasting(CHANGED_SINCE_INSPECTION)
    trouble = next((found for kind, found in FAILURES if _is(error, kind)), UNEXPECTED)
    return (
        replace(trouble, reason=str(getattr(error, "reason", "")))
        if not trouble.reason
        else trouble
    )


def _is(error: BaseException, kind: ErrorKind) -> bool:
    if isinstance(kind, int):
        return isinstance(error, OSError) and error.errno == kind
    if isinstance(kind, str):
        return kind in {f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__}
    return isinstance(error, kind)


def outcome_of(
    error: BaseException, tile: str, *, stages: tuple[str, ...], at: str, inputs: str
) -> TileOutcome:
    """The outcome of a tile that `error` stopped at stage `at`; no stage is complete."""
    trouble = failure_of(error)
    evidence = dict(getattr(error, "evidence", {}))
    if trouble == UNEXPECTED:
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
