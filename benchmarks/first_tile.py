"""From the click to the first tile: "Materialize all" of many tiles with webserver and daemon.

The real services on the instance files of the project, a project of very small tiles, and a
backfill of all its assets as the UI launches it, followed until all runs are planned and the first
tile is made. The figures are of this machine; what is counted is the same everywhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import psycopg

from benchmarks.processes import descendants, peak_mb
from benchmarks.tiny_tiles import tiny_tiles_project
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project
from spatial_assets_tests.servers.dagster import WORKSPACE_FILE, DagsterDev, dagster_server
from spatial_assets_tests.servers.postgis import postgres_programs, serve, server_user
from spatial_assets_tests.servers.process import REPOSITORY

LOCAL_FILE = REPOSITORY / "dagster.yaml"
POSTGRES_FILE = REPOSITORY / "deploy" / "dagster-postgres.yaml"

LAUNCH = """
mutation Launch($tiles: [String!]!, $assets: [AssetKeyInput!]!) {
  launchPartitionBackfill(backfillParams: {partitionNames: $tiles, assetSelection: $assets}) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""
TIME_LIMIT = 3600.0
POLL_SECONDS = 0.5
DAEMON = "dagster._daemon"


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A DAGSTER_HOME, and where its events are."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    """URL of its PostgreSQL database; empty: SQLite files in the home."""

    def size(self) -> int:
        """Bytes of runs and events."""
        if self.database:
            with psycopg.connect(self.database) as connection:
                found = connection.execute("select pg_database_size(current_database())").fetchone()
            return int(found[0]) if found else 0
        files = (self.home / "history").rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file())


@dataclass(frozen=True, kw_only=True)
class FirstTile:
    """Figures of a backfill."""

    tiles: int
    runs: int
    accepted: float
    """Seconds until the webserver accepted the backfill."""

    first_tile: float
    """Seconds until the first materialization was recorded."""

    planned: float
    """Seconds until all runs were planned."""

    daemon_mb: float
    """Peak memory of the daemon."""

    storage_bytes: int
    """Bytes that were added to the storage meanwhile."""

    def __str__(self) -> str:
        """Describe the figures in a line."""
        return (
            f"{self.tiles:,} tiles in {self.runs} runs: accepted after {self.accepted:.1f} s, "
            f"first tile after {self.first_tile:.0f} s, all planned after {self.planned:.0f} s; "
            f"daemon {self.daemon_mb:.0f} MB, storage {self.storage_bytes / 1e6:.1f} MB "
            f"({self.storage_bytes / self.tiles / 1e3:.1f} kB a tile)"
        )


def measure(storage_name: str, tiles: int) -> FirstTile:
    """Launch a backfill of a project of about `tiles` tiles, and follow it to its first tile.

    Args:
        storage_name: `sqlite` or `postgres`.
        tiles: number of tiles, a square number.
    """
    storages = {"sqlite": sqlite_storage, "postgres": postgres_storage}
    with (
        tempfile.TemporaryDirectory(prefix="spatial-assets-backfill-") as scratch,
        storages[storage_name](Path(scratch)) as storage,
    ):
        project = tiny_tiles_project(Path(scratch) / "project", tiles)
        environment = {**storage.environment, "SPATIAL_ASSETS_PROJECT": str(project.root)}
        with (
            dagster_server(
                storage.home, WORKSPACE_FILE, environment=environment, name="first-tile"
            ) as server,
            opened_instance(storage) as instance,
        ):
            return follow(server, instance, project, storage)


def follow(
    server: DagsterDev, instance: dg.DagsterInstance, project: Project, storage: Storage
) -> FirstTile:
    """Launch the backfill and watch it, then stop its runs."""
    stages, tiles = chain_of(project).stages, project.partitioning.keys
    assets = [{"path": [stage]} for stage in stages]
    before, clicked, begun = storage.size(), time.time(), time.monotonic()
    answer = server.graphql(LAUNCH, {"tiles": list(tiles), "assets": assets})
    accepted = time.monotonic() - begun
    backfill = answer["launchPartitionBackfill"]["backfillId"]
    expected = -(-len(tiles) // project.compute.max_tiles_per_run)
    first = planned = 0.0
    while not (first and planned):
        now = time.monotonic() - begun
        if now > TIME_LIMIT:
            raise TimeoutError(f"no end after {TIME_LIMIT:.0f} s: {first=} {planned=}")
        if not first and instance.fetch_materializations(dg.AssetKey(stages[0]), limit=1).records:
            first = now
            print(f"  first tile after {first:.0f} s: {steps(instance, clicked)}", flush=True)
        if not planned and submitted(instance, backfill) >= expected:
            planned = now
            print(f"  {expected} runs planned after {planned:.0f} s", flush=True)
        time.sleep(POLL_SECONDS)
    found = FirstTile(
        tiles=len(tiles),
        runs=submitted(instance, backfill),
        accepted=accepted,
        first_tile=first,
        planned=planned,
        daemon_mb=daemon_peak_mb(),
        storage_bytes=storage.size() - before,
    )
    stop_runs()
    return found


def steps(instance: dg.DagsterInstance, clicked: float) -> str:
    """Describe the beginning of the run that came first, in seconds after the click."""
    stats = min(
        (instance.get_run_stats(run.run_id) for run in instance.get_runs()),
        key=lambda found: found.start_time or float("inf"),
    )
    moments = {
        "queued": stats.enqueued_time,
        "launched": stats.launch_time,
        "started": stats.start_time,
    }
    return ", ".join(f"{name} {when - clicked:.0f}" for name, when in moments.items() if when)


def submitted(instance: dg.DagsterInstance, backfill: str) -> int:
    """Number of runs of a backfill that were planned and queued."""
    filters = dg.RunsFilter(tags={"dagster/backfill": backfill})
    found = instance.get_runs(filters)
    return sum(run.status != dg.DagsterRunStatus.NOT_STARTED for run in found)


def daemon_peak_mb() -> float:
    """Peak memory of the daemon among our processes."""
    return max(peak_mb(pid) for pid in descendants(os.getpid()) if DAEMON in command_of(pid))


def stop_runs() -> None:
    """End the processes of runs among ours: they would outlive the server."""
    for pid in descendants(os.getpid()):
        if "execute_run" in command_of(pid) or "multiprocessing" in command_of(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def command_of(pid: int) -> str:
    """Command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@contextlib.contextmanager
def opened_instance(storage: Storage) -> Iterator[dg.DagsterInstance]:
    """Open the instance of a storage, with its environment."""
    os.environ.update(storage.environment)
    with dg.DagsterInstance.from_config(str(storage.home)) as instance:
        yield instance


@contextlib.contextmanager
def sqlite_storage(folder: Path) -> Iterator[Storage]:
    """A DAGSTER_HOME with the `dagster.yaml` of the project."""
    home = folder / "dagster_home"
    home.mkdir()
    shutil.copy(LOCAL_FILE, home)
    yield Storage(home=home)


@contextlib.contextmanager
def postgres_storage(folder: Path) -> Iterator[Storage]:
    """A DAGSTER_HOME with the instance file for PostgreSQL, and a server of its own."""
    home = folder / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text(POSTGRES_FILE.read_text())
    user = server_user()
    place = Path(tempfile.mkdtemp(prefix="spatial-assets-postgres-"))
    if user is not None:
        shutil.chown(place, user)
    for server in serve(postgres_programs(), place / "cluster", user=user):
        url = server.url("gis")
        environment = {
            "DAGSTER_POSTGRES_URL": url.replace("+psycopg:", "+psycopg2:"),
            "DAGSTER_LOGS": str(folder / "logs"),
        }
        yield Storage(home=home, environment=environment, database=url.replace("+psycopg:", ":"))
    shutil.rmtree(place, ignore_errors=True)
