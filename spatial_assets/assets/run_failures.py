"""From our errors to Dagster's: the one place that decides what may be retried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from spatial_assets.errors import SourceUnavailableError, SpatialAssetsError
from spatial_assets.pipeline.outcome import BadTilesError, RunReport
from spatial_assets.project.secrets import mask_secrets


@contextmanager
def failing_plainly() -> Iterator[None]:
    """Let a step fail with what a person should read rather than with where in the code it was.

    Raises:
        dg.Failure: for an error of ours. A retry policy applies only where trying again may help.
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
    """Make the run red when a tile was newly quarantined or failed.

    Raises:
        dg.Failure: naming the tiles. Never retried: they were, one by one, and the good ones stay.
    """
    try:
        report.raise_if_any_tile_is_bad()
    except BadTilesError as error:
        tiles = {
            tile: f"{trouble.state} at {trouble.stage}: {trouble.reason}"
            for tile, trouble in sorted(report.bad.items())
        }
        raise dg.Failure(
            mask_secrets(str(error)),
            metadata={"tiles": dg.MetadataValue.json(tiles)},
            allow_retries=False,
        ) from error
