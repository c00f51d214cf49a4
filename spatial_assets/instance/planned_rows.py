"""Rows of what a run plans, for both of our event logs: linear in the tiles, written together.

Dagster writes one row for each partition and check of a run, and each of those rows holds the keys
of all partitions: 2.2 GB for three checks of 10,000 tiles. It asks whether a storage accepts one
event for all planned partitions of an asset, which its own storages decline, and then writes them
one by one: 12,000 transactions for 2,000 tiles and six assets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from spatial_assets.instance.daemon_messages import shorten_backfill_messages
from spatial_assets.instance.dagster_internals import (
    AssetCheckExecutionRecordStatus,
    AssetCheckExecutionsTable,
    AssetMaterializationPlannedData,
    SqlEventLogStorage,
    SqlEventLogStorageTable,
    serialize_value,
)

if TYPE_CHECKING:
    import dagster as dg
    from sqlalchemy import Connection

PLANNED_ROWS_AT_ONCE = 1000
"""Rows of one statement: a megabyte of text, in memory and on the wire."""

Row = TypeVar("Row")


class PlannedRows(SqlEventLogStorage):
    """Part of an event log: storage of planned materializations and planned checks.

    The rows are those that Dagster's own storage has, which answer all its queries; only the keys
    of all the other partitions are missing from the event that each row of a check repeats.
    """

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Serve an instance, whose daemon logs no list of all tiles from then on."""
        shorten_backfill_messages()
        super().register_instance(instance)

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """Accept one event for all planned partitions of an asset."""
        return True

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Store an event; one that plans many partitions becomes one row for each of them."""
        keys = planned_partitions(event)
        if keys:
            self._store_planned_materializations(event, keys)
        else:
            super().store_event(event)

    def _store_planned_materializations(self, event: dg.EventLogEntry, keys: Sequence[str]) -> None:
        """Store an event for each partition, as `store_event` does each."""
        last = last_planned(event)
        last_id = self._insert_planned(copies_of_row(self._event_to_row(last), keys))
        with self.index_transaction() as connection:
            self._store_asset_event(connection, last, last_id)

    def _insert_planned(self, rows: Sequence[dict[str, Any]]) -> int:
        """Insert rows of the event log, and return the id of the last one."""
        with self.index_transaction() as connection:
            return insert_rows(connection, rows)

    def _store_asset_check_evaluation_planned(
        self, event: dg.EventLogEntry, event_id: int | None
    ) -> None:
        """Store a row for each partition of a planned check, without the keys of the others."""
        planned = event.get_dagster_event().asset_check_planned_data
        if not planned.partitions_subset:
            super()._store_asset_check_evaluation_planned(event, event_id)
            return
        alone = type(planned)(asset_key=planned.asset_key, check_name=planned.check_name)
        text = serialize_value(with_data(event, alone))
        moment = self._event_insert_timestamp(event)  # type: ignore[no-untyped-call]
        rows = (
            {
                "asset_key": planned.asset_key.to_string(),
                "check_name": planned.check_name,
                "partition": key,
                "run_id": event.run_id,
                "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
                "evaluation_event": text,
                "evaluation_event_timestamp": moment,
                "evaluation_event_storage_id": event_id,
            }
            for key in planned.partitions_subset.get_partition_keys()
        )
        with self.index_transaction() as connection:
            for some in batches_of(rows, PLANNED_ROWS_AT_ONCE):
                connection.execute(AssetCheckExecutionsTable.insert(), some)


def planned_partitions(event: dg.EventLogEntry) -> Sequence[str]:
    """Return the partitions of an event that plans several at once, else none."""
    if not event.is_dagster_event:
        return ()
    dagster_event = event.get_dagster_event()
    if not dagster_event.is_asset_materialization_planned:
        return ()
    subset = dagster_event.asset_materialization_planned_data.partitions_subset
    return () if subset is None else list(subset.get_partition_keys())


def last_planned(event: dg.EventLogEntry) -> dg.EventLogEntry:
    """Return the event of the last partition that an event plans, else the event itself."""
    keys = planned_partitions(event)
    if not keys:
        return event
    asset = event.get_dagster_event().asset_materialization_planned_data.asset_key
    return with_data(event, AssetMaterializationPlannedData(asset, partition=keys[-1]))


def copies_of_row(row: Mapping[str, Any], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return the row of a planned materialization once for each partition.

    The text of the event is copied, because serializing it is most of the cost of planning.

    Raises:
        ValueError: the text does not name its partition where Dagster writes it.
    """
    start, named, end = row["event"].partition(f'"partition": {json.dumps(row["partition"])}')
    if not named or '"partition":' in end:
        message = f"the partition {row['partition']!r} is not named once in {row['event']}"
        raise ValueError(message)
    return [
        {**row, "partition": key, "event": f'{start}"partition": {json.dumps(key)}{end}'}
        for key in keys
    ]


def with_data(event: dg.EventLogEntry, data: Any) -> dg.EventLogEntry:  # noqa: ANN401 - Dagster's
    """Return an event with other data of its type."""
    dagster_event = event.get_dagster_event()._replace(event_specific_data=data)
    return event._replace(dagster_event=dagster_event)


def insert_rows(connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows into the table of events, and return the id of the last one."""
    for some in batches_of(rows[:-1], PLANNED_ROWS_AT_ONCE):
        connection.execute(SqlEventLogStorageTable.insert(), some)
    last = connection.execute(SqlEventLogStorageTable.insert().values(rows[-1]))
    assert last.inserted_primary_key is not None  # noqa: S101 - for mypy: it was inserted
    return int(last.inserted_primary_key[0])


def batches_of(rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
    """Yield the rows in lists of at most `most`."""
    left = iter(rows)
    while some := list(islice(left, most)):
        yield some
