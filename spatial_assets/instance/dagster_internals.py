"""Everything we use of Dagster's private modules, with the reasons; no other file imports them.

The check of one partition in a range run must name the materialization that it refers to, or the
UI shows no status for it. A materialization made by hand must name the versions of its inputs, or
the UI shows it as stale for ever. Dagster adds both to its own results, which cannot name one
partition of a range, but does not export what it adds. The event log in SQLite is not exported
either, though `dagster.yaml` may name it.

Also here: the warnings about preview and beta features that we use on purpose. A user who writes
an asset can do nothing about them; if Dagster changes such a feature, our tests fail.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

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
from dagster._serdes import ConfigurableClassData

if TYPE_CHECKING:
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

__all__ = [
    "CODE_VERSION_TAG",
    "DATA_VERSION_IS_USER_PROVIDED_TAG",
    "DATA_VERSION_TAG",
    "DEFAULT_DATA_VERSION",
    "NULL_EVENT_POINTER",
    "AssetJob",
    "CheckTarget",
    "ConfigurableClassData",
    "EntitySubset",
    "SqliteEventLogStorage",
    "TimeWindowFreshnessPolicy",
    "get_input_data_version_tag",
    "get_input_event_pointer_tag",
]

PARTITIONED_CHECK = "Specifying a partitions_def on an AssetCheckSpec"
"""In preview. Without it, the check of the last tile counts for all tiles."""

USER_CODE_SERVER = "Parameter `use_user_code_server` of initializer"
"""In beta. Without it, a sensor does not evaluate custom conditions."""


@contextmanager
def accepted_warnings() -> Iterator[None]:
    """Silence the warnings named above, and no others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", PARTITIONED_CHECK, dg.PreviewWarning)
        warnings.filterwarnings("ignore", USER_CODE_SERVER, dg.BetaWarning)
        yield


def __getattr__(name: str) -> object:
    """Import the event log only for those who use it, because it loads SQLAlchemy."""
    if name == "SqliteEventLogStorage":
        module = import_module("dagster._core.storage.event_log.sqlite.sqlite_event_log")
        return module.SqliteEventLogStorage
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
