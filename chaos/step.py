"""One run of the pipeline in a process of its own, which may be killed.

The process is forked from a server that has everything loaded: a round has several, and starts
each in milliseconds.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from spatial_assets.errors import SpatialAssetsError
from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.pipeline.engines.engine import Engine, InlineEngine, ProcessEngine
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.project import Project, load_project
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database

FINE = {"materialized", "unchanged", "empty"}
SECONDS = 60.0
"""A run that takes longer hangs: that is a finding, not a wait."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a process is to run."""

    folder: Path
    """Of the project."""

    environment: Mapping[str, str] = field(repr=False)
    workers: int
    """0: within the process itself."""

    ahead: timedelta = timedelta(0)
    """Its clock is so far ahead of ours: leases of the dead have expired."""

    patience: timedelta = timedelta(seconds=30)
    """For tiles that another driver holds."""

    most_bytes: int = 0
    """A file may not grow beyond this, as on a disk that is full; 0: it may."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended."""

    tiles: Mapping[str, str]
    """Tile -> state, or reason where it is bad."""

    error: str = ""
    """What ended the run as a whole; empty: nothing."""

    hung: bool = False

    @property
    def good(self) -> bool:
        """Whether every tile is as it should be."""
        return not self.error and bool(self.tiles) and set(self.tiles.values()) <= FINE


class Step:
    """A run under way."""

    def __init__(self, order: Order) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["chaos.step"])
        self._answer, theirs = context.Pipe(duplex=False)
        self.process: ForkServerProcess = context.Process(target=_run, args=(order, theirs))
        self.process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self.process.pid or 0

    def kill(self) -> None:
        """End it without a warning; its workers are left to themselves."""
        self.process.kill()

    def wait(self) -> Ended:
        """How it ended; one that hangs is killed."""
        deadline = time.monotonic() + SECONDS
        tiles: dict[str, str] = {}
        error = "killed"
        try:
            while self._answer.poll(max(0.0, deadline - time.monotonic())):
                told = self._answer.recv()
                if isinstance(told, str):
                    error = told
                    break
                tiles |= told
            else:
                self._show_where()
                self.kill()
                return Ended(tiles=tiles, error="it hung", hung=True)
        except EOFError:
            pass
        self.process.join(30.0)
        if self.process.is_alive():
            self._show_where()
            self.kill()
            return Ended(tiles=tiles, error="it did not end", hung=True)
        return Ended(tiles=tiles, error=error)

    def _show_where(self) -> None:
        """Let the process print where each of its threads is."""
        os.kill(self.pid, signal.SIGUSR1)
        time.sleep(0.5)


def _run(order: Order, answer: Connection) -> None:
    """Send the state of each tile as it ends, and at last what went wrong with the whole."""
    os.environ.update(order.environment)
    faulthandler.register(signal.SIGUSR1)
    if order.most_bytes:
        import resource  # noqa: PLC0415 - absent on systems where this is never called

        resource.setrlimit(resource.RLIMIT_FSIZE, (order.most_bytes, order.most_bytes))
    try:
        with closing(_states(order)) as states:
            for state in states:
                answer.send(state)
        answer.send("")
    except SpatialAssetsError as error:
        answer.send(f"{type(error).__name__}: {error}")
    answer.close()


def _states(order: Order) -> Generator[dict[str, str], None, None]:
    project = load_project(order.folder, os.environ)
    engine: Engine = InlineEngine()
    if order.workers:
        engine = ProcessEngine(workers=order.workers, gdal_cache_mb=64)

    def now() -> datetime:
        return datetime.now(UTC) + order.ahead

    with open_database(project.database_url, pool_size=project.database.pool_size) as database:
        _boundaries(project, database, now())
        pipeline = TilePipeline(
            project=project,
            store=open_store(project.storage_url),
            database=database,
            engine=engine,
            clock=now,
            owner=f"process {os.getpid()}",
            lease_wait=order.patience,
        )
        for outcome in pipeline.run(project.partitioning.keys, stages=pipeline.chain.stages):
            trouble = outcome.bad_stage
            yield {outcome.tile: trouble.reason if trouble else str(outcome.state)}


def _boundaries(project: Project, database: Database, now: datetime) -> None:
    for settings in project.boundaries:
        steps = BoundaryPipeline(
            project=project,
            settings=settings,
            store=open_store(project.storage_url),
            clock=lambda: now,
        )
        steps.fetch()
        steps.validate()
        steps.load(database)
        steps.record_quarantine(database)


def told(ended: Ended) -> str:
    """An ending in words."""
    bad = {tile: state for tile, state in ended.tiles.items() if state not in FINE}
    words = [ended.error] if ended.error else []
    words += [f"{tile}: {state}" for tile, state in sorted(bad.items())]
    return ", ".join(words) or f"{len(ended.tiles)} tiles"
