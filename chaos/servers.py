"""The real servers, which can be killed and restarted, and the relays in front of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from psycopg import sql

from chaos.fault_injection import EventTrigger, FaultInjector
from chaos.postgres_relay import PostgresRelay
from chaos.relay import Loop, running_relays
from chaos.s3_relay import S3Relay
from spatial_assets_tests.servers import postgis, s3
from spatial_assets_tests.servers.postgis import PostgisServer, postgres_programs
from spatial_assets_tests.servers.process import (
    ServerCommand,
    free_port,
    primary_group,
    start,
    stop,
    wait_until_ready,
)
from spatial_assets_tests.servers.s3 import S3Server

START_SECONDS = 60.0
PRODUCT, SCENES = "chaos-product", "chaos-scenes"
"""Names of the buckets."""


@dataclass
class RestartableServer:
    """A server process that restarts on the same port with the same files."""

    command: ServerCommand
    ready: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.process = start(self.command)
        wait_until_ready(self.process, self.command, ready=self.ready, timeout=START_SECONDS)

    def kill(self) -> None:
        """Kill the server and its children."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """Stop the server gracefully."""
        if self.process is not None:
            stop(self.process, self.command.stop_signal)


@dataclass
class ChaosServers:
    """S3 and PostGIS, directly and through their relays."""

    s3_server: S3Server
    postgis_server: PostgisServer
    processes: Mapping[str, RestartableServer]
    """Processes of "s3" and "postgis"."""

    s3: S3Relay
    postgis: PostgresRelay
    loop: Loop
    _returning: list[Future[None]] = field(default_factory=list)
    _keeper: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    """One thread for the whole campaign: a server ends when the thread that started it ends."""

    def begin_round(
        self, injector: FaultInjector, database_injector: FaultInjector, trigger: EventTrigger
    ) -> None:
        """Start another round with its faults."""
        self.loop.run(self.s3.begin_round(injector, trigger))
        self.loop.run(self.postgis.begin_round(database_injector, trigger))
        self.s3.requests.clear()

    def outage(self, name: str, seconds: float) -> None:
        """Kill a server and restart it after some seconds."""
        self.processes[name].kill()
        self._returning.append(self._keeper.submit(self._return, name, seconds))

    def _return(self, name: str, seconds: float) -> None:
        time.sleep(seconds)
        self.processes[name].start()

    def wait_until_back(self) -> None:
        """Wait until every server has restarted."""
        while self._returning:
            self._returning.pop().result()

    def environment(self, *, direct: bool = False) -> dict[str, str]:
        """Environment variables that lead the product to these servers."""
        endpoint = self.s3_server.endpoint if direct else f"http://127.0.0.1:{self.s3.port}"
        return {
            **self.s3_server.environment,
            "SPATIAL_ASSETS_S3_ENDPOINT": endpoint,
            "SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID": self.s3_server.access_key,
            "SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY": self.s3_server.secret_key,
        }

    def database_url(self, name: str, *, direct: bool = False) -> str:
        """URL of a database."""
        through = (
            self.postgis_server if direct else replace(self.postgis_server, port=self.postgis.port)
        )
        return through.url(name)

    def make_database(self, name: str) -> None:
        """Create a spatial database."""
        with self.postgis_server.connect("postgres") as connection:
            make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(make.format(sql.Identifier(name), sql.Identifier(postgis.TEMPLATE)))

    def drop_database(self, name: str) -> None:
        """Drop a database."""
        with self.postgis_server.connect("postgres") as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


@contextlib.contextmanager
def running_servers() -> Iterator[ChaosServers]:
    """Run both servers and their relays during the block."""
    folder = Path(tempfile.mkdtemp(prefix="spatial-assets-chaos-"))
    processes: dict[str, RestartableServer] = {}
    try:
        s3_server = _start_s3(folder, processes)
        postgis_server = _start_postgis(folder, processes)
        s3_relay, postgis_relay = S3Relay(_port(s3_server)), PostgresRelay(postgis_server.port)
        with running_relays(s3_relay, postgis_relay) as loop:
            servers = ChaosServers(
                s3_server, postgis_server, processes, s3_relay, postgis_relay, loop
            )
            yield servers
            servers.wait_until_back()
    finally:
        for server in processes.values():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _start_s3(folder: Path, processes: dict[str, RestartableServer]) -> S3Server:
    home = folder / "s3"
    home.mkdir()
    ports = {option: free_port(also_plus=s3.GRPC_PORT_ABOVE) for option in s3.PORT_OPTIONS}
    found = S3Server(
        endpoint=f"http://127.0.0.1:{ports['-s3.port']}",
        access_key=secrets.token_hex(8),
        secret_key=secrets.token_hex(16),
    )
    weed = Path(sys.executable).with_name("weed")
    command = s3.command(weed, home, server=found, ports=ports)
    processes["s3"] = RestartableServer(replace(command, name="chaos-s3"), found.answers)
    processes["s3"].start()
    for bucket in (PRODUCT, SCENES):
        found.make_bucket(bucket)
    return found


def _start_postgis(folder: Path, processes: dict[str, RestartableServer]) -> PostgisServer:
    home, user = folder / "postgis", postgis.server_user()
    folder.chmod(0o755)
    home.mkdir()
    if user is not None:
        shutil.chown(home, user, primary_group(user))
    programs, password = postgres_programs(), secrets.token_urlsafe(12)
    postgis.make_cluster(programs, home / "cluster", user=user, password=password)
    found = PostgisServer(port=free_port(), password=password)
    command = postgis.server_command(programs, home / "cluster", user=user, port=found.port)
    # Without it a killed server could lose a confirmed commit, and losses could not be judged.
    arguments = [*command.arguments, "--synchronous_commit=on"]
    command = replace(command, name="chaos-postgis", arguments=arguments)
    processes["postgis"] = RestartableServer(command, lambda: postgis.answers(found))
    processes["postgis"].start()
    postgis.make_template(found)
    return found


def _port(server: S3Server) -> int:
    return int(server.endpoint.rpartition(":")[2])
