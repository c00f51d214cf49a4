"""Dagster's services over one project with a frozen clock, and a daemon that is killed.

The code server runs apart from the daemon, as in production: it outlives it, and so do runs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from spatial_assets.project import Project
from spatial_assets_tests.servers.process import (
    ServerCommand,
    accepts_connections,
    free_port,
    running,
    start,
    stop,
)

START_SECONDS = 120.0
QUICK = 2  # seconds between looks: the story has no hours to wait
DEFINITIONS = """
import datetime as dt

from spatial_assets.definitions import build_definitions
from spatial_assets.project import load_project
from spatial_assets.resources import EngineResource

clock = dt.datetime.fromisoformat("{clock}")
definitions = build_definitions(
    load_project(), clock=lambda: clock, engine=EngineResource(workers=0, gdal_cache_mb=64)
)
for sensor in definitions.sensors or ():
    sensor._min_interval = {quick}
"""


@dataclass
class KillableServices:
    """Code server, webserver and daemon over one project with a frozen clock."""

    project: Project
    home: Path
    url: str
    daemon: ServerCommand
    kills: int = 0
    """Number of times the daemon was killed so far."""

    seed: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def daemon_running(self, *, to_kill: int) -> Iterator[None]:
        """The daemon, killed `to_kill` times at random moments and started again each time."""
        keeper = threading.Thread(target=self._keep, args=[to_kill], daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._stopped.set()
            keeper.join(60)

    def _keep(self, to_kill: int) -> None:
        chance = random.Random(self.seed)  # noqa: S311 - moments need not be secret
        while not self._stopped.is_set():
            process = start(self.daemon)
            # an idle machine takes 5 s to start it: some kills fall into that, most do not
            rest = chance.uniform(1, 13) if self.kills < to_kill else None
            self._stopped.wait(rest)
            if self._stopped.is_set():
                stop(process, signal.SIGTERM)
            else:
                os.kill(process.pid, signal.SIGKILL)
                process.wait(10)
                self.kills += 1


@contextlib.contextmanager
def running_services(
    project: Project, home: Path, clock: dt.datetime
) -> Iterator[KillableServices]:
    """Run code server and webserver; the test starts the daemon."""
    folder = home.parent
    (folder / "frozen.py").write_text(DEFINITIONS.format(clock=clock.isoformat(), quick=QUICK))
    code, web = free_port(), free_port()
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {code}, location_name: frozen}}}}]"
    )
    environment = {"DAGSTER_HOME": str(home), "SPATIAL_ASSETS_PROJECT": str(project.root)}

    def command(program: str, *arguments: str | Path) -> ServerCommand:
        path = Path(sys.executable).with_name(program)
        return ServerCommand(
            name=f"services-{program}",
            arguments=[path, *arguments],
            environment=environment,
            folder=folder,
        )

    server = command(
        "dagster", "code-server", "start", "-f", "frozen.py", "-h", "127.0.0.1", "-p", str(code)
    )
    webserver = command("dagster-webserver", "-w", workspace, "-h", "127.0.0.1", "-p", str(web))
    url = f"http://127.0.0.1:{web}"
    with (
        running(server, lambda: accepts_connections(code), timeout=START_SECONDS),
        running(webserver, lambda: answers(url), timeout=START_SECONDS),
    ):
        yield KillableServices(
            project, home, url, command("dagster-daemon", "run", "-w", workspace)
        )


def answers(url: str) -> bool:
    """Return True if the webserver answers."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/server_info", timeout=5).status_code == httpx.codes.OK
    return False
