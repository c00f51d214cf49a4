"""One run of the pipeline in a separate process, which may be killed.

The process is forked from a server that has loaded all modules: a round has several runs, and
each starts in milliseconds.
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

GOOD_STATES = {"materialized", "unchanged", "empty"}
SECONDS = 60.0
"""Seconds after which a run counts as hung, which is a finding."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings of a run."""

    folder: Path
    """Folder of the project."""

    environment: Mapping[str, str] = field(repr=False)
    workers: int
    """Number of worker processes; 0: the run uses its own process."""

    clock_offset: timedelta = timedelta(0)
    """Time by which its clock is ahead of ours, so that leases of dead drivers have expired."""

    lease_wait: timedelta = timedelta(seconds=30)
    """Maximum wait for tiles that another driver holds."""

    max_file_bytes: int = 0
    """Maximum size of a file, to simulate a full disk; 0: no limit."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """Result of a run."""

    tiles: Mapping[str, str]
    """Tile -> state, or the reason code of a failed tile."""

    error: str = ""
    """Error that ended the run as a whole; empty: none."""

    hung: bool = False

    @property
    def good(self) -> bool:
        """True if every tile is in a good state."""
        return not self.error and bool(self.tiles) and set(self.tiles.values()) <= GOOD_STATES


class RunProcess:
    """A run in progress."""

    def __init__(self, settings: RunSettings) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["chaos.run_process"])
        self._messages, theirs = context.Pipe(duplex=False)
        self.process: ForkServerProcess = context.Process(target=_run, args=(settings, theirs))
        self.process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid or 0

    def kill(self) -> None:
        """Kill the process; its workers keep running."""
        self.process.kill()

    def wait(self) -> RunResult:
        """Wait for the result; a run that hangs is killed."""
        deadline = time.monotonic() + SECONDS
        tiles: dict[str, str] = {}
        error = "killed"
        try:
            while self._messages.poll(max(0.0, deadline - time.monotonic())):
                message = self._messages.recv()
                if isinstance(message, str):
                    error = message
                    break
                tiles |= message
            else:
                self._show_where()
                self.kill()
                return RunResult(tiles=tiles, error="the run hung", hung=True)
        except EOFError:
            pass
        self.process.join(30.0)
        if self.process.is_alive():
            self._show_where()
            self.kill()
            return RunResult(tiles=tiles, error="the process did not end", hung=True)
        return RunResult(tiles=tiles, error=error)

    def _show_where(self) -> None:
        """Make the process print the stack of each of its threads."""
        os.kill(self.pid, signal.SIGUSR1)
        time.sleep(0.5)


def _run(settings: RunSettings, messages: Connection) -> None:
    """Send the state of each tile as it ends, then the error of the run."""
    os.environ.update(settings.environment)
    faulthandler.register(signal.SIGUSR1)
    if settings.max_file_bytes:
        import resource  # noqa: PLC0415 - absent on systems where this is never called

        resource.setrlimit(
            resource.RLIMIT_FSIZE, (settings.max_file_bytes, settings.max_file_bytes)
        )
    try:
        with closing(_states(settings)) as states:
            for state in states:
                messages.send(state)
        messages.send("")
    except SpatialAssetsError as error:
        messages.send(f"{type(error).__name__}: {error}")
    messages.close()


def _states(settings: RunSettings) -> Generator[dict[str, str], None, None]:
    project = load_project(settings.folder, os.environ)
    engine: Engine = InlineEngine()
    if settings.workers:
        engine = ProcessEngine(workers=settings.workers, gdal_cache_mb=64)

    def now() -> datetime:
        return datetime.now(UTC) + settings.clock_offset

    with open_database(project.database_url, pool_size=project.database.pool_size) as database:
        _boundaries(project, database, now())
        pipeline = TilePipeline(
            project=project,
            store=open_store(project.storage_url),
            database=database,
            engine=engine,
            clock=now,
            owner=f"process {os.getpid()}",
            lease_wait=settings.lease_wait,
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


def describe(ended: RunResult) -> str:
    """Describe a result."""
    bad = {tile: state for tile, state in ended.tiles.items() if state not in GOOD_STATES}
    words = [ended.error] if ended.error else []
    words += [f"{tile}: {state}" for tile, state in sorted(bad.items())]
    return ", ".join(words) or f"{len(ended.tiles)} tiles"
