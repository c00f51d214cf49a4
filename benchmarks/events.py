"""CPU of an event by storage: Dagster's own and ours, on SQLite and PostgreSQL.

The events of a tile in a run of many: for each of five assets one that plans it and one that it is
made, and for each of three checks one that plans it and its result.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import AssetMaterializationPlannedData, StepMaterializationData

from benchmarks.first_tile import (
    Storage,
    command_of,
    opened_instance,
    postgres_storage,
    sqlite_storage,
)
from benchmarks.processes import cpu_seconds_of, descendants
from benchmarks.rows import Row, row

ASSETS = ("raw_tile", "reprojected_raster", "ndvi", "ndvi_by_boundary", "tile_index")
CHECKS = ("source_intact", "pixel_alignment", "index_range")
EVENTS_A_TILE = 2 * (len(ASSETS) + len(CHECKS))
METADATA = {"uri": "s3://product/ndvi.zarr/ndvi/c/0/0/0", "scenes": "x" * 200, "seconds": "1.234"}
MOST = 1.3
"""Maximum of our PostgreSQL log's CPU as a multiple of our SQLite log's."""

STOCK_POSTGRES = "storage: {postgres: {postgres_url: {env: DAGSTER_POSTGRES_URL}}}\n"
QUIET = "telemetry: {enabled: false}\n"


@dataclass(frozen=True, kw_only=True)
class EventCost:
    """CPU of an event in milliseconds."""

    client: float
    """CPU of the process that reports it."""

    server: float
    """CPU of PostgreSQL; 0 on SQLite."""

    @property
    def total(self) -> float:
        """CPU of both."""
        return self.client + self.server


def rows(tiles: int = 300, rounds: int = 3) -> list[Row]:
    """Compare the storages; the best of several rounds each."""
    costs = {name: cost_of(name, tiles, rounds) for name in STORAGES}
    for name, cost in costs.items():
        print(
            f"  {name}: {cost.client:.2f} ms of CPU an event, {cost.server:.2f} ms of the server",
            flush=True,
        )
    ours, other = costs["PostgreSQL, ours"], costs["SQLite, ours"]
    unit = "ms of CPU an event"
    return [
        row(
            "event log, PostgreSQL and its server against SQLite",
            ours.total,
            other.total,
            most=MOST,
            unit=unit,
        ),
        *(
            row(
                f"event log on {database}, ours against Dagster's own",
                costs[f"{database}, ours"].total,
                costs[f"{database}, stock"].total,
                most=1.0,
                unit=unit,
            )
            for database in ("SQLite", "PostgreSQL")
        ),
    ]


def cost_of(name: str, tiles: int, rounds: int) -> EventCost:
    """Return the least cost of an event in several rounds, each in a new database."""
    found = []
    for _ in range(rounds):
        with (
            tempfile.TemporaryDirectory(prefix="spatial-assets-events-") as scratch,
            STORAGES[name](Path(scratch)) as storage,
            opened_instance(storage) as instance,
        ):
            report_tiles(instance, "warm", [f"w{number}" for number in range(5)])
            keys = [f"{number:012}" for number in range(tiles)]
            worked, served = time.process_time(), server_seconds()
            report_tiles(instance, "run", keys)
            events = tiles * EVENTS_A_TILE / 1000
            client = (time.process_time() - worked) / events
            found.append(EventCost(client=client, server=(server_seconds() - served) / events))
    return min(found, key=lambda cost: cost.total)


def report_tiles(instance: dg.DagsterInstance, run: str, keys: list[str]) -> None:
    """Report all events of a run of these tiles, in the order of a run."""
    subset = dg.StaticPartitionsDefinition(keys).subset_with_partition_keys(keys)
    log = instance.event_log_storage
    together = log.supports_partition_subset_in_asset_materialization_planned_events
    plans: list[tuple[str | None, object]] = [(None, subset)] if together else []
    plans = plans or [(key, None) for key in keys]
    for asset in ASSETS:
        for key, keys_of_all in plans:
            data = AssetMaterializationPlannedData(dg.AssetKey(asset), key, keys_of_all)  # type: ignore[arg-type]
            log.store_event(entry(run, "ASSET_MATERIALIZATION_PLANNED", data))
    for check in CHECKS:
        planned = AssetCheckEvaluationPlanned(
            asset_key=dg.AssetKey(ASSETS[0]), check_name=check, partitions_subset=subset
        )
        log.store_event(entry(run, "ASSET_CHECK_EVALUATION_PLANNED", planned))
    for key in keys:
        for asset in ASSETS:
            tags = {"dagster/code_version": "1", "dagster/data_version": key}
            made = dg.AssetMaterialization(asset, partition=key, metadata={**METADATA}, tags=tags)
            log.store_event(entry(run, "ASSET_MATERIALIZATION", StepMaterializationData(made)))
        for check in CHECKS:
            judged = dg.AssetCheckEvaluation(
                dg.AssetKey(ASSETS[0]), check, passed=True, metadata={}, partition=key
            )
            log.store_event(entry(run, "ASSET_CHECK_EVALUATION", judged))


def entry(run: str, kind: str, data: object) -> dg.EventLogEntry:
    """Return the entry of an event in the log of a run."""
    event = dg.DagsterEvent(kind, "tiles", step_key="tile_chain", event_specific_data=data)  # type: ignore[arg-type]
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=10,
        user_message="",
        run_id=run,
        timestamp=time.time(),
        step_key="tile_chain",
        job_name="tiles",
        dagster_event=event,
    )


def server_seconds() -> float:
    """CPU seconds of the PostgreSQL servers that this process started."""
    return sum(
        cpu_seconds_of(pid) for pid in descendants(os.getpid()) if "postgres" in command_of(pid)
    )


@contextmanager
def stock_sqlite_storage(folder: Path) -> Iterator[Storage]:
    """A DAGSTER_HOME with Dagster's own storage in SQLite."""
    with sqlite_storage(folder) as storage:
        (storage.home / "dagster.yaml").write_text(QUIET)
        yield storage


@contextmanager
def stock_postgres_storage(folder: Path) -> Iterator[Storage]:
    """A DAGSTER_HOME with Dagster's own storage in PostgreSQL, and a server of its own."""
    with postgres_storage(folder) as storage:
        (storage.home / "dagster.yaml").write_text(QUIET + STOCK_POSTGRES)
        yield storage


STORAGES: dict[str, Callable[[Path], AbstractContextManager[Storage]]] = {
    "SQLite, stock": stock_sqlite_storage,
    "SQLite, ours": sqlite_storage,
    "PostgreSQL, stock": stock_postgres_storage,
    "PostgreSQL, ours": postgres_storage,
}
