"""What we take from below Dagster's public surface, and why: the only file that does at import.

A check of one partition in a range run must name the materialization it speaks of, or the UI
shows no status for it; and a materialization written by hand must say which versions of which
inputs it was made from, or the UI calls it out of date for ever. Dagster fills both in for its
own results, which cannot name one partition of a range; what it fills in is not exported. Its event
log in SQLite, which loads a database library, is for `open_log.py`.

What we build on although Dagster may still change it, so that it warns nobody but us.

A test of the definitions fails when Dagster changes one of these; a person who writes an asset
cannot do anything about the warning.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.asset_graph_view.entity_subset import EntitySubset
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as CheckTarget,
)
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as AssetJob,
)

__all__ = [
    "CODE_VERSION_TAG",
    "DATA_VERSION_IS_USER_PROVIDED_TAG",
    "DATA_VERSION_TAG",
    "DEFAULT_DATA_VERSION",
    "NULL_EVENT_POINTER",
    "AssetJob",
    "CheckTarget",
    "EntitySubset",
    "TimeWindowFreshnessPolicy",
    "get_input_data_version_tag",
    "get_input_event_pointer_tag",
]

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
