"""Deletion of old events from Dagster's event log, in SQLite or PostgreSQL.

Dagster never deletes an event of its own accord. What may go is decided by `superseded`; this
module reads and deletes rows, some hundreds a transaction, so that runs can write meanwhile. Every
deletion can be repeated, and a process that is killed leaves nothing that the next would not find.

The newest row of the log always stays: SQLite gives the id of a deleted last row to the next
event, and Dagster's cursors rely on rising ids.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import sqlalchemy as sa

from spatial_assets.errors import SettingsError
from spatial_assets.instance.dagster_internals import DATA_VERSION_TAG
from spatial_assets.instance.superseded import (
    PARTITION_EVENTS,
    OldEvaluation,
    OldEvent,
    superseded_evaluations,
    superseded_events,
)

EVENTS = sa.table(
    "event_logs",
    *(
        sa.column(name, kind)
        for name, kind in (
            ("id", sa.BigInteger),
            ("run_id", sa.Text),
            ("event", sa.Text),
            ("dagster_event_type", sa.Text),
            ("timestamp", sa.DateTime),
            ("asset_key", sa.Text),
            ("partition", sa.Text),
        )
    ),
)
EVENT_TAGS = sa.table(
    "asset_event_tags", sa.column("event_id"), sa.column("key"), sa.column("value")
)
EVALUATIONS = sa.table(
    "asset_check_executions",
    *(
        sa.column(name, kind)
        for name, kind in (
            ("id", sa.BigInteger),
            ("asset_key", sa.Text),
            ("check_name", sa.Text),
            ("partition", sa.Text),
            ("run_id", sa.Text),
            ("execution_status", sa.Text),
            ("evaluation_event", sa.Text),
            ("evaluation_event_timestamp", sa.DateTime),
            ("materialization_event_storage_id", sa.BigInteger),
        )
    ),
)

Value = TypeVar("Value")

PARTITIONS_A_QUERY = 500
ROWS_A_TRANSACTION = 500
"""Rows deleted at once: some milliseconds, which a run that writes meanwhile does not notice."""

INDEX = "index"
"""Name of the file of all runs in SQLite: `INDEX_SHARD_NAME` in Dagster's event log there."""

RUNLESS = ""
"""Run id of the events that were reported without a run."""


@dataclass(frozen=True, kw_only=True)
class PruneScope:
    """Events that a project may delete."""

    assets: Sequence[dg.AssetKey]
    foreign_runs: frozenset[str]
    """Runs of other projects under the same keys."""

    own_runs: Sequence[str]
    """Finished runs of the project that ended before `before`."""

    unfinished_runs: frozenset[str]
    before: datetime


@dataclass(kw_only=True)
class Pruned:
    """Rows and bytes that were deleted, or that would be."""

    rows: Counter[str] = field(default_factory=Counter)
    """Kind -> number of rows."""

    size: int = 0
    """Bytes of the events and files."""

    run_logs: int = 0
    """Runs whose log was deleted."""

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind."""
        yield from (f"{count:,} {kind}" for kind, count in sorted(self.rows.items()) if count)
        if self.run_logs:
            yield f"the logs of {self.run_logs:,} runs"


def prune_events(instance: dg.DagsterInstance, scope: PruneScope, *, dry: bool) -> Pruned:
    """Delete the events of a scope that are superseded, and the logs of its runs.

    Args:
        instance: the Dagster instance.
        scope: the events in question.
        dry: only count.

    Raises:
        SettingsError: the event log of the instance is no SQL database that we know.
    """
    pruning = EventPruning(instance, scope, dry=dry)
    for key in scope.assets:
        pruning.prune_asset(key)
    for run_id in scope.own_runs:
        pruning.prune_run(run_id)
    pruning.prune_runless()
    return pruning.pruned


class EventPruning:
    """Deletes old events of one instance, asset by asset and run by run."""

    def __init__(self, instance: dg.DagsterInstance, scope: PruneScope, *, dry: bool) -> None:
        self._instance = instance
        self._storage: Any = instance.event_log_storage
        if not hasattr(self._storage, "index_transaction"):
            raise SettingsError(
                f"the event log is a {type(self._storage).__name__}; events can be deleted from "
                "Dagster's storages in SQLite and PostgreSQL only"
            )
        self._scope = scope
        self._dry = dry
        self._newest_event = self._newest_before(EVENTS, EVENTS.c.timestamp)
        self._newest_evaluation = self._newest_before(
            EVALUATIONS, EVALUATIONS.c.evaluation_event_timestamp
        )
        self.pruned = Pruned()

    def prune_asset(self, key: dg.AssetKey) -> None:
        """Delete the superseded events and check evaluations of an asset."""
        gone: set[int] = set()
        mine = sa.and_(
            EVENTS.c.asset_key == key.to_string(),
            EVENTS.c.dagster_event_type.in_(PARTITION_EVENTS),
            EVENTS.c.id <= self._newest_event,
        )
        for partitions in self._partitions(EVENTS, mine):
            found = list(self._superseded_events(sa.and_(mine, _among(EVENTS, partitions))))
            self._delete_events(found)
            gone.update(found)
        of_asset = EVALUATIONS.c.asset_key == key.to_string()
        for check in self._rows(sa.select(EVALUATIONS.c.check_name).where(of_asset).distinct()):
            of_check = sa.and_(
                of_asset,
                EVALUATIONS.c.check_name == check.check_name,
                EVALUATIONS.c.id <= self._newest_evaluation,
            )
            for partitions in self._partitions(EVALUATIONS, of_check):
                chosen = sa.and_(of_check, _among(EVALUATIONS, partitions))
                found = list(self._superseded_evaluations(chosen, gone))
                self._delete(EVALUATIONS, found, size=EVALUATIONS.c.evaluation_event)
                self.pruned.rows["check evaluations"] += len(found)

    def prune_run(self, run_id: str) -> None:
        """Delete the log of a finished run; the events of its assets are not part of it."""
        files = self._files(run_id)
        of_run = sa.and_(EVENTS.c.run_id == run_id, EVENTS.c.id <= self._newest_event)
        lines = self._log_lines(of_run)
        if not files and not lines:
            return
        self.pruned.run_logs += 1
        self.pruned.size += sum(each.stat().st_size for each in files)
        if not self._dry:
            self._instance.compute_log_manager.delete_logs(prefix=[run_id])
        self._delete_log(lines)
        for each in () if self._dry else files:
            each.unlink(missing_ok=True)

    def prune_runless(self) -> None:
        """Delete the log of what was reported without a run, such as checks of a sensor."""
        keys = [key.to_string() for key in self._scope.assets]
        mine = sa.and_(EVENTS.c.run_id == RUNLESS, EVENTS.c.asset_key.in_(keys))
        self._delete_log(self._log_lines(sa.and_(mine, EVENTS.c.id <= self._newest_event)))
        if not self._storage.is_run_sharded or not self._files(RUNLESS):
            return
        old = EVENTS.c.timestamp < self._scope.before.astimezone(UTC).replace(tzinfo=None)
        with self._storage.run_connection(RUNLESS) as connection:
            newest = sa.select(sa.func.max(EVENTS.c.id)).scalar_subquery()
            found = connection.execute(
                sa.select(EVENTS.c.id).where(mine, old, EVENTS.c.id < newest)
            )
            ids = list(found.scalars())
            self.pruned.rows["copies of events without a run"] += len(ids)
            for some in () if self._dry else _batches(ids, ROWS_A_TRANSACTION):
                connection.execute(sa.delete(EVENTS).where(EVENTS.c.id.in_(some)))

    def _newest_before(self, table: sa.TableClause, time: sa.ColumnElement[Any]) -> int:
        """Return the id of the newest row before the age; at most that of the newest row but one.

        Ids rise with time, and time has no index: the row is found by halving.
        """
        before = self._scope.before.astimezone(UTC).replace(tzinfo=None)
        with self._storage.index_connection() as connection:
            low, high = 0, connection.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0
            high = max(0, high - 1)
            while low < high:
                middle = (low + high + 1) // 2
                at = sa.select(time).where(table.c.id >= middle).order_by(table.c.id).limit(1)
                moment = connection.execute(at).scalar()
                low, high = (middle, high) if moment and moment < before else (low, middle - 1)
        return low

    def _partitions(
        self, table: sa.TableClause, where: sa.ColumnElement[bool]
    ) -> Iterator[Sequence[str | None]]:
        """Yield the partitions with more than one row, some at a time; None: without partition."""
        query = (
            sa.select(table.c.partition)
            .where(where)
            .group_by(table.c.partition)
            .having(sa.func.count() > 1)
        )
        found = [row.partition for row in self._rows(query)]
        if None in found:
            yield [None]
        yield from _batches([each for each in found if each is not None], PARTITIONS_A_QUERY)

    def _superseded_events(self, where: sa.ColumnElement[bool]) -> Iterator[int]:
        version = sa.and_(
            EVENT_TAGS.c.event_id == EVENTS.c.id, EVENT_TAGS.c.key == DATA_VERSION_TAG
        )
        query = (
            sa.select(
                EVENTS.c.id,
                EVENTS.c.partition,
                EVENTS.c.run_id,
                EVENTS.c.dagster_event_type,
                EVENT_TAGS.c.value,
            )
            .select_from(EVENTS.outerjoin(EVENT_TAGS, version))
            .where(where)
            .order_by(EVENTS.c.id)
        )
        for rows in self._own_by_partition(query):
            events = [
                OldEvent(id=row.id, kind=row.dagster_event_type, data_version=row.value)
                for row in rows
            ]
            yield from self._finished(rows, superseded_events(events))

    def _superseded_evaluations(
        self, where: sa.ColumnElement[bool], gone: set[int]
    ) -> Iterator[int]:
        query = (
            sa.select(
                EVALUATIONS.c.id,
                EVALUATIONS.c.partition,
                EVALUATIONS.c.run_id,
                EVALUATIONS.c.execution_status,
                EVALUATIONS.c.materialization_event_storage_id.label("target"),
            )
            .where(where)
            .order_by(EVALUATIONS.c.id)
        )
        groups = self._own_by_partition(query)
        targets = [row.target for rows in groups for row in rows if row.target is not None]
        stay = {
            row.id
            for some in _batches(targets, ROWS_A_TRANSACTION)
            for row in self._rows(sa.select(EVENTS.c.id).where(EVENTS.c.id.in_(some)))
        } - gone
        for rows in groups:
            evaluations = [
                OldEvaluation(id=row.id, status=row.execution_status, target=row.target)
                for row in rows
            ]
            found = superseded_evaluations(evaluations, materializations=stay)
            yield from self._finished(rows, found)

    def _own_by_partition(self, query: sa.Select[Any]) -> Sequence[Sequence[Any]]:
        """Return the rows of each partition, without those of other projects' runs."""
        groups: defaultdict[str | None, list[Any]] = defaultdict(list)
        for row in self._rows(query):
            if row.run_id not in self._scope.foreign_runs:
                groups[row.partition].append(row)
        return list(groups.values())

    def _finished(self, rows: Sequence[Any], ids: Iterator[int]) -> Iterator[int]:
        """Yield those of `ids` whose run has ended."""
        runs: Mapping[int, str] = {row.id: row.run_id for row in rows}
        yield from (each for each in ids if runs[each] not in self._scope.unfinished_runs)

    def _rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        with self._storage.index_connection() as connection:
            return list(connection.execute(query))

    def _log_lines(self, where: sa.ColumnElement[bool]) -> Sequence[int]:
        """Return the ids of rows that Dagster reads as the log of a run, and of no asset."""
        kind = EVENTS.c.dagster_event_type
        of_run = sa.or_(kind.is_(None), kind.not_in(PARTITION_EVENTS))
        return [row.id for row in self._rows(sa.select(EVENTS.c.id).where(where, of_run))]

    def _delete_log(self, ids: Sequence[int]) -> None:
        self.pruned.rows["lines of run logs"] += len(ids)
        self._delete(EVENTS, ids, size=EVENTS.c.event)

    def _delete_events(self, ids: Sequence[int]) -> None:
        self.pruned.rows["events of assets"] += len(ids)
        self._delete(EVENTS, ids, size=EVENTS.c.event, tags=True)

    def _delete(
        self,
        table: sa.TableClause,
        ids: Sequence[int],
        *,
        size: sa.ColumnElement[Any],
        tags: bool = False,
    ) -> None:
        for some in _batches(ids, ROWS_A_TRANSACTION):
            chosen = table.c.id.in_(some)
            with self._storage.index_transaction() as connection:
                total = sa.select(sa.func.sum(sa.func.length(size))).where(chosen)
                self.pruned.size += int(connection.execute(total).scalar() or 0)
                if self._dry:
                    continue
                connection.execute(sa.delete(table).where(chosen))
                if tags:
                    connection.execute(sa.delete(EVENT_TAGS).where(EVENT_TAGS.c.event_id.in_(some)))

    def _files(self, run_id: str) -> Sequence[Path]:
        """Return the files of a run's log, which SQLite has; the database itself is the last."""
        if not self._storage.is_run_sharded:
            return ()
        path = self._storage.path_for_shard(run_id)
        return [each for end in ("-wal", "-shm", "") if (each := Path(f"{path}{end}")).exists()]


def give_back_space(instance: dg.DagsterInstance) -> None:
    """Shrink the index of an event log in SQLite, or let PostgreSQL reuse its space at once.

    SQLite locks the file meanwhile, and needs as much space again for a moment. PostgreSQL does
    not lock, and keeps the space for later events.
    """
    storage: Any = instance.event_log_storage
    if storage.is_run_sharded:
        with closing(sqlite3.connect(storage.path_for_shard(INDEX), isolation_level=None)) as index:
            index.execute("vacuum")
            index.execute("pragma wal_checkpoint(truncate)")
        return
    for table in (EVENTS, EVENT_TAGS, EVALUATIONS):
        with storage.index_connection() as connection:
            connection.execute(sa.text(f"vacuum (analyze) {table.name}"))


def _among(table: sa.TableClause, partitions: Sequence[str | None]) -> sa.ColumnElement[bool]:
    if partitions[0] is None:
        return table.c.partition.is_(None)
    return table.c.partition.in_(partitions)


def _batches(values: Sequence[Value], size: int) -> Iterator[Sequence[Value]]:
    yield from (values[at : at + size] for at in range(0, len(values), size))
