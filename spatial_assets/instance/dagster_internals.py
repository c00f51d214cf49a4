"""Everything we use of Dagster's private modules, with the reasons; no other file imports them.

The check of one partition in a range run must name the materialization that it refers to, or the
UI shows no status for it. A materialization made by hand must name the versions of its inputs, or
the UI shows it as stale for ever. Dagster adds both to its own results, which cannot name one
partition of a range, but does not export what it adds. The event logs in SQLite and PostgreSQL,
their tables and what is in a row, and the launcher of runs are not exported either, though
`dagster.yaml` may name a log and a launcher.

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
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._serdes import ConfigurableClassData, deserialize_value

if TYPE_CHECKING:
    from dagster._core.errors import DagsterRunAlreadyExists
    from dagster._core.events import (
        ASSET_CHECK_EVENTS,
        ASSET_EVENTS,
        AssetMaterializationPlannedData,
    )
    from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
    from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
    from dagster._core.storage.config import pg_config
    from dagster._core.storage.event_log.schema import (
        AssetCheckExecutionsTable,
        SqlEventLogStorageTable,
    )
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
    from dagster._grpc.client import DagsterGrpcClient
    from dagster._grpc.types import (
        CanCancelExecutionRequest,
        CanCancelExecutionResult,
        CancelExecutionRequest,
        CancelExecutionResult,
    )
    from dagster._serdes import serialize_value
    from dagster_postgres.event_log.event_log import PostgresEventLogStorage
    from dagster_postgres.run_storage.run_storage import PostgresRunStorage
    from dagster_postgres.schedule_storage.schedule_storage import PostgresScheduleStorage
    from dagster_postgres.utils import (
        DagsterPostgresException,
        create_pg_engine,
        pg_url_from_config,
    )

__all__ = [
    "ASSET_CHECK_EVENTS",
    "ASSET_EVENTS",
    "CODE_VERSION_TAG",
    "DATA_VERSION_IS_USER_PROVIDED_TAG",
    "DATA_VERSION_TAG",
    "DEFAULT_DATA_VERSION",
    "NULL_EVENT_POINTER",
    "AssetCheckExecutionRecordStatus",
    "AssetCheckExecutionsTable",
    "AssetJob",
    "AssetMaterializationPlannedData",
    "CanCancelExecutionRequest",
    "CanCancelExecutionResult",
    "CancelExecutionRequest",
    "CancelExecutionResult",
    "CheckRunHealthResult",
    "CheckTarget",
    "ConfigurableClassData",
    "DagsterGrpcClient",
    "DagsterPostgresException",
    "DagsterRunAlreadyExists",
    "DagsterUserCodeUnreachableError",
    "DefaultRunLauncher",
    "EntitySubset",
    "PostgresEventLogStorage",
    "PostgresRunStorage",
    "PostgresScheduleStorage",
    "SqlEventLogStorage",
    "SqlEventLogStorageTable",
    "SqliteEventLogStorage",
    "TimeWindowFreshnessPolicy",
    "WorkerStatus",
    "create_pg_engine",
    "deserialize_value",
    "get_input_data_version_tag",
    "get_input_event_pointer_tag",
    "pg_config",
    "pg_url_from_config",
    "serialize_value",
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


LOADED_WHEN_USED = {
    "ASSET_CHECK_EVENTS": "dagster._core.events",
    "ASSET_EVENTS": "dagster._core.events",
    "AssetCheckExecutionRecordStatus": "dagster._core.storage.asset_check_execution_record",
    "AssetCheckExecutionsTable": "dagster._core.storage.event_log.schema",
    "AssetMaterializationPlannedData": "dagster._core.events",
    "CanCancelExecutionRequest": "dagster._grpc.types",
    "CanCancelExecutionResult": "dagster._grpc.types",
    "CancelExecutionRequest": "dagster._grpc.types",
    "CancelExecutionResult": "dagster._grpc.types",
    "CheckRunHealthResult": "dagster._core.launcher.base",
    "DagsterGrpcClient": "dagster._grpc.client",
    "DagsterPostgresException": "dagster_postgres.utils",
    "DagsterRunAlreadyExists": "dagster._core.errors",
    "DefaultRunLauncher": "dagster._core.launcher.default_run_launcher",
    "PostgresEventLogStorage": "dagster_postgres.event_log.event_log",
    "PostgresRunStorage": "dagster_postgres.run_storage.run_storage",
    "PostgresScheduleStorage": "dagster_postgres.schedule_storage.schedule_storage",
    "SqlEventLogStorage": "dagster._core.storage.event_log.sql_event_log",
    "SqlEventLogStorageTable": "dagster._core.storage.event_log.schema",
    "SqliteEventLogStorage": "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "WorkerStatus": "dagster._core.launcher.base",
    "create_pg_engine": "dagster_postgres.utils",
    "pg_config": "dagster._core.storage.config",
    "pg_url_from_config": "dagster_postgres.utils",
    "serialize_value": "dagster._serdes",
}
"""Name -> its module, which loads SQLAlchemy or gRPC: the definitions need neither."""


def __getattr__(name: str) -> object:
    """Import a name only for those who use it."""
    if name in LOADED_WHEN_USED:
        return getattr(import_module(LOADED_WHEN_USED[name]), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
