"""Conversion of our errors to Dagster's: the one place that decides what may be retried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from spatial_assets.errors import SourceUnavailableError, SpatialAssetsError
from spatial_assets.pipeline.outcome import BadTilesError, RunReport
from spatial_assets.project.secrets import mask_secrets


@contextmanager
def as_dagster_failure() -> Iterator[None]:
    """Fail the step with the message of our error instead of a traceback.

    Raises:
        dg.Failure: for an error of ours. A retry policy applies only if a retry may help.
    """
    try:
        yield
    except SpatialAssetsError as error:
        raise dg.Failure(
            mask_secrets(str(error)),
            metadata={"error": type(error).__name__},
            allow_retries=isinstance(error, SourceUnavailableError),
        ) from error


def fail_if_any_tile_is_bad(report: RunReport) -> None:
    """Fail the run if a tile was newly quarantined or failed.

    Raises:
        dg.Failure: names the tiles. Never retried: each tile was, and the good ones are stored.
    """
    try:
        report.raise_if_any_tile_is_bad()
    except BadTilesError as error:
        tiles = {
            tile: f"{stage.state} at {stage.stage}: {stage.reason}"
            for tile, stage in sorted(report.bad.items())
        }
        raise dg.Failure(
            mask_secrets(str(error)),
            metadata={"tiles": dg.MetadataValue.json(tiles)},
            allow_retries=False,
        ) from error
