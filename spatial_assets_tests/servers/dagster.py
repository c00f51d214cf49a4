"""Dagster as a user runs it: an instance folder of its own, and a webserver with a daemon."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from spatial_assets_tests.servers.process import (
    REPOSITORY,
    ServerCommand,
    ServerError,
    free_port,
    running,
)

START_SECONDS = 180.0  # 15 s on an idle machine; four processes import Dagster on two cores
INSTANCE_FILE = REPOSITORY / "dagster.yaml"
WORKSPACE_FILE = REPOSITORY / "workspace.yaml"

READY = """
query Ready {
  workspaceOrError {
    ... on Workspace {
      locationEntries {
        name
        loadStatus
        locationOrLoadError {
          __typename
          ... on PythonError { message errorChain { error { message } } }
        }
      }
    }
  }
  instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } }
}
"""


@dataclass(frozen=True, kw_only=True)
class DagsterDev:
    """A running `dagster dev`."""

    url: str
    home: Path
    """Its DAGSTER_HOME: `DagsterInstance.from_config(str(home))` reads what it wrote."""

    def graphql(self, query: str, variables: Mapping[str, object] | None = None) -> dict[str, Any]:
        """The `data` of a GraphQL answer, as JSON has it.

        Raises:
            ServerError: the webserver answered with errors.
        """
        body = {"query": query, "variables": dict(variables or {})}
        answer: dict[str, Any] = httpx.post(f"{self.url}/graphql", json=body, timeout=60.0).json()
        if answer.get("errors"):
            raise ServerError(f"GraphQL errors: {json.dumps(answer['errors'])[:2000]}")
        data: dict[str, Any] = answer["data"]
        return data


class StartDagster(Protocol):
    """Value of the fixture `dagster_dev`."""

    def __call__(
        self,
        project: Path,
        *,
        environment: Mapping[str, str] = ...,
        workspace: Path = ...,
    ) -> DagsterDev:
        """Start webserver and daemon on the project in this folder; stopped with the test."""


def make_home(folder: Path) -> Path:
    """A DAGSTER_HOME with the project's own dagster.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(INSTANCE_FILE, folder / "dagster.yaml")
    return folder


@pytest.fixture
def dagster_instance_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new DAGSTER_HOME with our dagster.yaml; the variable is set for the time of the test."""
    home = make_home(tmp_path / "dagster_home")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


@pytest.fixture
def dagster_dev(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartDagster]:
    """Start `dagster dev` on a project folder; its log is in test-results/, named by the test."""
    with contextlib.ExitStack() as stack:

        def start(
            project: Path,
            *,
            environment: Mapping[str, str] | None = None,
            workspace: Path = WORKSPACE_FILE,
        ) -> DagsterDev:
            home = make_home(tmp_path / "dagster_home")
            named = {"SPATIAL_ASSETS_PROJECT": str(project), **(environment or {})}
            return stack.enter_context(
                dagster_server(
                    home, workspace, environment=named, name=file_name(request.node.name)
                )
            )

        yield start


@contextlib.contextmanager
def dagster_server(
    home: Path, workspace: Path, *, environment: Mapping[str, str], name: str
) -> Iterator[DagsterDev]:
    """Webserver, daemon and code server, ready for requests."""
    dagster = Path(sys.executable).with_name("dagster")
    port = free_port()
    server = DagsterDev(url=f"http://127.0.0.1:{port}", home=home)
    command = ServerCommand(
        name=f"dagster-{name}",
        arguments=[dagster, "dev", "-w", workspace, "-h", "127.0.0.1", "-p", str(port)],
        environment={
            "DAGSTER_HOME": str(home),
            "PATH": f"{dagster.parent}{os.pathsep}{os.environ['PATH']}",
            **environment,
        },
        folder=home,
        stop_signal=signal.SIGINT,  # as Ctrl-C: it then stops its own children
    )
    with running(command, lambda: is_ready(server), timeout=START_SECONDS):
        yield server


def is_ready(server: DagsterDev) -> bool:
    """Return True if every code location is loaded and every daemon has sent a heartbeat.

    Raises:
        ServerError: a code location cannot be loaded; waiting would not help.
    """
    try:
        state = server.graphql(READY)
    except (httpx.HTTPError, json.JSONDecodeError):
        return False
    locations = state["workspaceOrError"].get("locationEntries", [])
    for location in locations:
        problem = location["locationOrLoadError"] or {}
        if "message" in problem:
            causes = [link["error"]["message"] for link in problem["errorChain"]]
            why = "".join([problem["message"], *causes])
            raise ServerError(f"code location {location['name']} does not load:\n{why}")
    daemons = state["instance"]["daemonHealth"]["allDaemonStatuses"]
    return (
        bool(locations)
        and all(location["loadStatus"] == "LOADED" for location in locations)
        and all(daemon["healthy"] for daemon in daemons if daemon["required"])
    )


def file_name(test: str) -> str:
    """The name of a test as part of a file's."""
    return re.sub(r"[^\w.-]+", "-", test).strip("-")
