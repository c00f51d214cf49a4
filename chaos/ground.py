"""The real servers, which can be killed and started again, and the relays in front of them."""

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

from chaos.postgres_relay import PostgresRelay
from chaos.relay import Loop, relaying
from chaos.s3_relay import S3Relay
from chaos.storm import Pulse, Storm
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
"""Buckets."""


@dataclass
class Server:
    """A server process that comes back on the same port, over the same files."""

    command: ServerCommand
    ready: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = start(self.command)
        wait_until_ready(self.process, self.command, ready=self.ready, timeout=START_SECONDS)

    def kill(self) -> None:
        """End it and its children without a warning."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """End it as is proper."""
        if self.process is not None:
            stop(self.process, self.command.stop_signal)


@dataclass
class Ground:
    """S3 and PostGIS, directly and through their relays."""

    s3_server: S3Server
    postgis_server: PostgisServer
    servers: Mapping[str, Server]
    """"s3" and "postgis"."""

    s3: S3Relay
    postgis: PostgresRelay
    loop: Loop
    _returning: list[Future[None]] = field(default_factory=list)
    _keeper: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    """One thread for as long as we live: a server is told to end when its starter's thread ends."""

    def weather(self, storm: Storm, database_storm: Storm, pulse: Pulse) -> None:
        """Let another round begin."""
        self.loop.do(self.s3.weather(storm, pulse))
        self.loop.do(self.postgis.weather(database_storm, pulse))
        self.s3.requests.clear()

    def outage(self, name: str, seconds: float) -> None:
        """Kill a server; it is back after so long."""
        self.servers[name].kill()
        self._returning.append(self._keeper.submit(self._return, name, seconds))

    def _return(self, name: str, seconds: float) -> None:
        time.sleep(seconds)
        self.servers[name].start()

    def settle(self) -> None:
        """Wait until every server is back."""
        while self._returning:
            self._returning.pop().result()

    def environment(self, *, direct: bool = False) -> dict[str, str]:
        """The variables with which the product finds these servers."""
        endpoint = self.s3_server.endpoint if direct else f"http://127.0.0.1:{self.s3.port}"
        return {
            **self.s3_server.environment,
            "SPATIAL_ASSETS_S3_ENDPOINT": endpoint,
            "SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID": self.s3_server.access_key,
            "SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY": self.s3_server.secret_key,
        }

    def database_url(self, name: str, *, direct: bool = False) -> str:
        """The URL of a database."""
        through = (
            self.postgis_server if direct else replace(self.postgis_server, port=self.postgis.port)
        )
        return through.url(name)

    def make_database(self, name: str) -> None:
        """A spatial database of that name, new."""
        with self.postgis_server.connect("postgres") as connection:
            make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(make.format(sql.Identifier(name), sql.Identifier(postgis.TEMPLATE)))

    def drop_database(self, name: str) -> None:
        """Forget a database."""
        with self.postgis_server.connect("postgres") as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


@contextlib.contextmanager
def grounded() -> Iterator[Ground]:
    """Run both servers and their relays for the block."""
    folder = Path(tempfile.mkdtemp(prefix="spatial-assets-chaos-"))
    servers: dict[str, Server] = {}
    try:
        s3_server = _start_s3(folder, servers)
        postgis_server = _start_postgis(folder, servers)
        s3_relay, postgis_relay = S3Relay(_port(s3_server)), PostgresRelay(postgis_server.port)
        with relaying(s3_relay, postgis_relay) as loop:
            ground = Ground(s3_server, postgis_server, servers, s3_relay, postgis_relay, loop)
            yield ground
            ground.settle()
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _start_s3(folder: Path, servers: dict[str, Server]) -> S3Server:
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
    servers["s3"] = Server(replace(command, name="chaos-s3"), found.answers)
    servers["s3"].start()
    for bucket in (PRODUCT, SCENES):
        found.make_bucket(bucket)
    return found


def _start_postgis(folder: Path, servers: dict[str, Server]) -> PostgisServer:
    home, user = folder / "postgis", postgis.server_user()
    folder.chmod(0o755)
    home.mkdir()
    if user is not None:
        shutil.chown(home, user, primary_group(user))
    programs, password = postgres_programs(), secrets.token_urlsafe(12)
    postgis.make_cluster(programs, home / "cluster", user=user, password=password)
    found = PostgisServer(port=free_port(), password=password)
    command = postgis.server_command(programs, home / "cluster", user=user, port=found.port)
    # A commit that was confirmed must outlive a kill, or nothing could be said of what is lost.
    arguments = [*command.arguments, "--synchronous_commit=on"]
    command = replace(command, name="chaos-postgis", arguments=arguments)
    servers["postgis"] = Server(command, lambda: postgis.answers(found))
    servers["postgis"].start()
    postgis.make_template(found)
    return found


def _port(server: S3Server) -> int:
    return int(server.endpoint.rpartition(":")[2])
