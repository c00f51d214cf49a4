"""What we build on although Dagster may still change it, so that it warns nobody but us.

A test of the definitions fails when Dagster changes one of these; a person who writes an asset
cannot do anything about the warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

PARTITIONED_CHECK = "Specifying a partitions_def on an AssetCheckSpec"
"""In preview. Without it the check of the last tile stands for all."""

USER_CODE_SERVER = "Parameter `use_user_code_server` of initializer"
"""In beta. Without it a sensor evaluates no condition of one's own."""


@contextmanager
def accepted_warnings() -> Iterator[None]:
    """Silence what is named above, and nothing else."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", PARTITIONED_CHECK, dg.PreviewWarning)
        warnings.filterwarnings("ignore", USER_CODE_SERVER, dg.BetaWarning)
        yield
