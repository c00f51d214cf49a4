"""Dagster's code server and daemon over ten slow tiles, each of which may be killed.

Used by a test, and by `python -m chaos.deaths` with longer outages and the shipped intervals.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import dagster as dg
from dagster._core.execution.backfill import PartitionBackfill

from chaos.process_kills import descendants
from spatial_assets.definitions import build_definitions
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.leases import parsed
from spatial_assets.stores.objects.store import open_store
from spatial_assets_tests.fixtures.ten_village_project import ten_tiles
from spatial_assets_tests.servers.process import (
    ServerCommand,
    accepts_connections,
    free_port,
    start,
    stop,
    wait_until_ready,
)

Found = TypeVar("Found")

START_SECONDS = 180.0
BACKFILL = "tenofall"
ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
DEFINITIONS = """
import datetime as dt
import time

from spatial_assets.definitions import build_definitions
from spatial_assets.pipeline.engines.engine import InlineEngine
from spatial_assets.pipeline.run.tile_leases import TileLeases
from spatial_assets.project import load_project
from spatial_assets.resources import EngineResource

TileLeases.__init__.__kwdefaults__.update(ttl=dt.timedelta(seconds={ttl}), interval={ttl} / 6)


class SlowEngine(InlineEngine):
    def run(self, work, jobs):
        for done in super().run(work, jobs):
            time.sleep({pause})
            yield done


class SlowEngineResource(EngineResource):
    def start(self, project, store):
        return SlowEngine()


definitions = build_definitions(
    load_project(), engine=SlowEngineResource(workers=0, gdal_cache_mb=64)
)
"""


@dataclass(kw_only=True)
class DyingServices:
    """Code server and daemon of one project, and what happened to its runs."""

    project: Project
    home: Path
    environment: Mapping[str, str]
    pause: float = 1.0
    """Seconds that each tile takes in addition."""

    lease_ttl: float = 90.0
    times: dict[str, float] = field(default_factory=dict)
    """Event that was waited for -> seconds from the kill."""

    port: int = field(default_factory=free_port)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folder = self.home.parent
        text = DEFINITIONS.format(pause=self.pause, ttl=self.lease_ttl)
        (folder / "slow_tiles.py").write_text(text)
        place = f"{{host: 127.0.0.1, port: {self.port}, location_name: slow}}"
        (folder / "workspace.yaml").write_text(f"load_from: [{{grpc_server: {place}}}]")

    def start(self, name: str) -> None:
        """Start `code` or `daemon`; the former is ready when this returns."""
        workspace = ("-w", self.home.parent / "workspace.yaml")
        program, *words = {
            "code": ("spatial-assets", "code-server", "-m", "slow_tiles", "-p", str(self.port)),
            "daemon": ("dagster-daemon", "run", *workspace),
        }[name]
        command = ServerCommand(
            name=f"dying-{name}",
            arguments=[Path(sys.executable).with_name(str(program)), *words],
            environment=self.variables,
            folder=self.home.parent,
        )
        self._processes[name] = start(command)
        if name == "code":
            wait_until_ready(
                self._processes[name],
                command,
                ready=lambda: accepts_connections(self.port),
                timeout=START_SECONDS,
            )

    def kill(self, name: str) -> None:
        """Kill a service and all processes that it started, as the end of its container does."""
        victim = self._processes.pop(name)
        family = [victim.pid, *descendants(victim.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        victim.wait(10)

    def terminate(self, name: str) -> int:
        """Ask a service to stop, as `docker stop` does, and return its exit code."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(120)

    def kill_run_process(self) -> None:
        """Kill the process of a run, and nothing else."""
        for pid in descendants(self._processes["code"].pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"multiprocessing.spawn" in words:
                os.kill(pid, signal.SIGKILL)

    def restart_ended(self) -> list[str]:
        """Start services again that ended by themselves, as Compose does; return their names."""
        ended = [name for name, each in self._processes.items() if each.poll() is not None]
        for name in ended:
            self.start(name)
        return ended

    def stop(self) -> None:
        """Stop all services."""
        for name, process in self._processes.items():
            family = descendants(process.pid) if name == "code" else []
            stop(process, signal.SIGTERM)
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @property
    def variables(self) -> dict[str, str]:
        """Environment of all services."""
        return {
            "DAGSTER_HOME": str(self.home),
            "SPATIAL_ASSETS_PROJECT": str(self.project.root),
            "PYTHONPATH": str(self.home.parent),
            **self.environment,
        }

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The instance of the services; opened for a short time, since servers come and go."""
        with dg.DagsterInstance.from_config(str(self.home)) as found:
            yield found

    def launch(self) -> None:
        """Queue one run of the ten tiles."""
        tiles = ten_tiles(self.project)
        tags = {
            "dagster/asset_partition_range_start": tiles[0],
            "dagster/asset_partition_range_end": tiles[-1],
        }
        program = Path(sys.executable).with_name("dagster")
        words = ["job", "launch", "-w", "workspace.yaml", "-j", "tiles", "--tags", json.dumps(tags)]
        subprocess.run(
            [program, *words],
            cwd=self.home.parent,
            env={**os.environ, **self.variables},
            check=True,
            capture_output=True,
        )

    def launch_backfill(self) -> None:
        """Request the ten tiles as the UI does: a backfill of all assets of a tile."""
        graph = build_definitions(self.project).resolve_asset_graph()
        tiled = [key for key in graph.get_all_asset_keys() if graph.get(key).is_partitioned]
        with self.instance() as instance:
            backfill = PartitionBackfill.from_asset_partitions(
                backfill_id=BACKFILL,
                asset_graph=graph,
                partition_names=ten_tiles(self.project),
                asset_selection=tiled,
                backfill_timestamp=time.time(),
                tags={},
                dynamic_partitions_store=instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
            instance.add_backfill(backfill)

    def backfill_status(self) -> str:
        """Status of the backfill, as the UI names it."""
        with self.instance() as instance:
            backfill = instance.get_backfill(BACKFILL)
        return backfill.status.value if backfill else "none"

    def runs(self) -> list[dg.DagsterRun]:
        """The runs of the tiles, oldest first; not those of a schedule that is due meanwhile."""
        with self.instance() as instance:
            return tile_runs(instance)

    def tiles_of(self, number: int) -> list[str]:
        """Tiles whose index a run materialized, in order."""
        with self.instance() as instance:
            run = tile_runs(instance)[number]
            made = [
                event.get_dagster_event().step_materialization_data.materialization
                for event in instance.all_logs(run.run_id)
                if event.dagster_event_type is dg.DagsterEventType.ASSET_MATERIALIZATION
            ]
        return [str(each.partition) for each in made if each.asset_key == dg.AssetKey("ndvi")]

    def until_tiles(self, number: int, count: int) -> None:
        """Wait until a run has materialized some tiles."""
        wait_for(
            lambda: len(self.runs()) > number and len(self.tiles_of(number)) >= count,
            f"{count} tiles of run {number}",
        )

    def until(self, number: int, status: dg.DagsterRunStatus, *, since: float, what: str) -> None:
        """Wait until a run has a status, and note the time it took."""

        def reached() -> bool:
            runs = self.runs()
            if len(runs) <= number:
                return False
            found = runs[number].status
            assert found not in ENDED - {status}, f"run {number} ended as {found}"
            return found is status

        wait_for(reached, f"run {number}: {what}")
        self.times[what] = round(time.monotonic() - since, 1)

    def until_the_last_succeeds(self, *, since: float, what: str) -> None:
        """Wait until the last run, of however many retries, has succeeded, and note the time."""
        success = dg.DagsterRunStatus.SUCCESS
        wait_for(lambda: self.runs()[-1].status is success, what)
        self.times[what] = round(time.monotonic() - since, 1)

    def held_leases(self) -> list[str]:
        """Tiles that somebody holds now, by their leases."""
        store = open_store(self.project.storage_url, {**os.environ, **self.environment})
        newest = {
            info.path.rpartition("/")[0]: info.path for info in store.list(layout.LEASES_FOLDER)
        }
        now = dt.datetime.now(dt.UTC)
        return [
            name
            for name, path in newest.items()
            if parsed(store.get(path), path=path).is_active(now)
        ]


def tile_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the runs that no schedule requested, oldest first."""
    runs = reversed(instance.get_runs())
    return [run for run in runs if "dagster/schedule_name" not in run.tags]


def wait_for(look: Callable[[], bool], what: str, *, seconds: float = 420.0) -> None:
    """Wait until `look` is true."""
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.5)
