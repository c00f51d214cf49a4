"""From exception to class, row by row: retryable or not, and its reason code."""

from __future__ import annotations

import errno

import duckdb
import httpx
import obstore.exceptions as obstore
import psycopg
import pyarrow as pa
import pyogrio.errors
import pyproj.exceptions
import pytest
import rasterio.errors
import shapely.errors
import zarr.errors

from spatial_assets import errors
from spatial_assets.pipeline.failures import (
    FAILURES,
    UNEXPECTED,
    Failure,
    MissingInputError,
    TileQuarantinedError,
    TooLargeError,
    UninspectedSceneError,
    UnreachableScenesError,
    failure_of,
    outcome_of,
)
from spatial_assets.pipeline.outcome import State

PASSING, LASTING, BAD_INPUT = "passing", "lasting", "bad input"

ROWS = [
    (MissingInputError("x"), LASTING, "missing_input"),
    (TooLargeError("x"), LASTING, "too_large"),
    (UninspectedSceneError("x", reason="timed_out"), LASTING, "timed_out"),
    (UnreachableScenesError("x", evidence={}), LASTING, "no_reachable_scene"),
    (TileQuarantinedError("x", reason="empty", evidence={}), BAD_INPUT, "empty"),
    (errors.RasterError("x", reason="rotated_grid"), BAD_INPUT, "rotated_grid"),
    (errors.SceneError("x", reason="no_crs"), BAD_INPUT, "no_crs"),
    (errors.LeaseHeldError("x"), PASSING, "lease_held"),
    (errors.SourceUnavailableError("x"), PASSING, "source_unavailable"),
    (errors.StoreError("x"), LASTING, "store_refused"),
    (errors.GridError("x"), LASTING, "grid"),
    (errors.ForeignProjectError("x"), LASTING, "foreign_project"),
    (errors.SettingsError("x"), LASTING, "settings"),
    (errors.VectorError("x"), LASTING, "boundaries"),
    (errors.DatabaseError("x"), LASTING, "database"),
    (pa.lib.ArrowMemoryError("x"), LASTING, "out_of_memory"),
    (obstore.NotFoundError("x"), LASTING, "object_gone"),
    (obstore.PermissionDeniedError("x"), LASTING, "store_refused"),
    (obstore.UnauthenticatedError("x"), LASTING, "store_refused"),
    (obstore.GenericError("x"), PASSING, "store_unavailable"),
    (httpx.ReadTimeout("x"), PASSING, "source_unavailable"),
    (httpx.TooManyRedirects("x"), LASTING, "source_refused"),
    (psycopg.errors.DeadlockDetected("x"), PASSING, "database"),
    (psycopg.errors.UniqueViolation("x"), LASTING, "database"),
    (duckdb.IOException("x"), PASSING, "database"),
    (duckdb.ConstraintException("x"), LASTING, "database"),
    (rasterio.errors.RasterioIOError("x"), PASSING, "gdal"),
    (zarr.errors.GroupNotFoundError("x"), LASTING, "cube"),
    (pyproj.exceptions.CRSError("x"), LASTING, "projection"),
    (shapely.errors.GEOSException("x"), LASTING, "geometry"),
    (pyogrio.errors.DataSourceError("x"), LASTING, "boundaries"),
    (pa.ArrowInvalid("x"), LASTING, "boundaries"),
    (OSError(errno.ENOSPC, "x"), LASTING, "disk_full"),
    (OSError(errno.EDQUOT, "x"), LASTING, "disk_full"),
    (OSError(errno.EROFS, "x"), LASTING, "disk_read_only"),
    (OSError(errno.EMFILE, "x"), PASSING, "too_many_files"),
    (OSError(errno.ENFILE, "x"), PASSING, "too_many_files"),
    (PermissionError(errno.EACCES, "x"), LASTING, "permission"),
    (FileNotFoundError(errno.ENOENT, "x"), LASTING, "file_gone"),
    (TimeoutError("x"), PASSING, "timed_out"),
    (BrokenPipeError("x"), PASSING, "connection_lost"),
    (OSError(errno.EIO, "x"), PASSING, "system"),
]
"""One exception for each row of the table, in its order."""


def test_every_row_of_the_table_has_its_case() -> None:
    assert len(ROWS) == len(FAILURES)


@pytest.mark.parametrize(
    ("error", "row", "kind", "reason"),
    [
        pytest.param(error, row, kind, reason, id=f"{type(error).__name__}-{reason}")
        for (error, kind, reason), (_, row) in zip(ROWS, FAILURES, strict=True)
    ],
)
def test_an_exception_falls_into_its_row(
    error: Exception, row: Failure, *, kind: str, reason: str
) -> None:
    state = State.QUARANTINED if kind == BAD_INPUT else State.FAILED

    found = failure_of(error)

    assert found == Failure(state, reason, transient=kind == PASSING)
    assert (row.state, row.transient, row.reason or reason) == (state, kind == PASSING, reason)


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), RecursionError("x"), ZeroDivisionError("x")]
)
def test_what_is_not_in_the_table_is_a_bug_and_not_tried_again(error: Exception) -> None:
    outcome = outcome_of(error, "1", stages=("raw_tile",), at="raw_tile", inputs={})

    assert failure_of(error) == UNEXPECTED
    assert outcome.stages[0].reason == "unexpected"
    assert type(error).__name__ in str(outcome.stages[0].evidence["traceback"])


@pytest.mark.parametrize("reason", sorted(errors.REASONS_OF_THE_MOMENT))
def test_a_verdict_that_may_be_of_the_moment_is_no_quarantine(reason: str) -> None:
    found = failure_of(errors.SceneError("x", reason=reason))

    assert found == Failure(State.FAILED, reason, transient=False)
