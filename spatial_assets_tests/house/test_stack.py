"""The services of the compose file run together: the same commands and variables, without Docker.

Only what a container network would do is replaced: host names and ports.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from sqlalchemy.engine import make_url

from spatial_assets_tests.servers.dagster import DagsterDev, is_ready
from spatial_assets_tests.servers.postgis import PostgisServer
from spatial_assets_tests.servers.process import (
    REPOSITORY,
    ServerCommand,
    accepts_connections,
    free_port,
    running,
)
from spatial_assets_tests.servers.s3 import S3Server

pytestmark = pytest.mark.servers

DEPLOY = REPOSITORY / "deploy"
PROGRAMS = Path(sys.executable).parent
START_SECONDS = 180.0
PROJECT = """
[area]
bbox = [15.0, 45.06, 16.44, 46.95]

[grid]
pixel_zoom = 10
level = 7

[scenes]
catalog = "scenes"
sensor = "sentinel-2-l2a"
datetime = "2023-08-01/2023-08-31"

[[boundaries]]
name = "boundaries"
source = "boundaries/regions.gpkg"
key = "region_id"
"""
LOADED_ASSETS = "{ assetNodes { assetKey { path } } }"


@pytest.fixture
def dagster_database(postgis_server: PostgisServer) -> Iterator[str]:
    """Dagster's own database, made by the script that the container runs."""
    with postgis_server.connect("postgres") as connection:
        connection.execute((DEPLOY / "create_dagster_database.sql").read_bytes())
        yield postgis_server.url("dagster")
        connection.execute("drop database dagster with (force)")


@pytest.fixture
def variables(
    dagster_database: str, postgis_url: str, s3_server: S3Server, s3_bucket: str, tmp_path: Path
) -> dict[str, str]:
    """The variables of the compose file, with the addresses of the servers that run here."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "project.toml").write_text(PROJECT)
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((DEPLOY / "dagster-postgres.yaml").read_text())
    here = {
        "DAGSTER_POSTGRES_URL": with_driver(dagster_database, "postgresql+psycopg2"),
        "SPATIAL_ASSETS_DATABASE_URL": with_driver(postgis_url, "postgresql+psycopg"),
        "SPATIAL_ASSETS_STORAGE_URL": f"s3://{s3_bucket}/product",
        "SPATIAL_ASSETS_S3_ENDPOINT": s3_server.endpoint,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "AWS_REGION": s3_server.region,
        "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "600",
        "SPATIAL_ASSETS_DASK": "",
        "SPATIAL_ASSETS_CACHE": str(tmp_path / "cache"),
    }
    assert here.keys() == service("code")["environment"].keys()
    return {
        **here,
        "SPATIAL_ASSETS_PROJECT": str(tmp_path / "project"),
        "DAGSTER_HOME": str(home),
        "DAGSTER_LOGS": str(tmp_path / "logs"),
    }


def with_driver(url: str, driver: str) -> str:
    return make_url(url).set(drivername=driver).render_as_string(hide_password=False)


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][name]
    return found


def command(
    name: str, variables: Mapping[str, str], *, replace: Mapping[str, str]
) -> ServerCommand:
    """A service's command, with the ports and files that it finds here."""
    words = [replace.get(word, word) for word in service(name)["command"]]
    return ServerCommand(
        name=f"stack-{name}",
        arguments=[PROGRAMS / words[0], *words[1:]],
        environment={**variables, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"},
        folder=Path(variables["DAGSTER_HOME"]),
    )


def workspace(folder: Path, port: int) -> str:
    """The workspace of the compose file, with the code server's address here."""
    text = (DEPLOY / "compose-workspace.yaml").read_text()
    path = folder / "workspace.yaml"
    path.write_text(re.sub("4000", str(port), re.sub("host: code", "host: 127.0.0.1", text)))
    return str(path)


@contextlib.contextmanager
def stack(variables: Mapping[str, str], folder: Path) -> Iterator[DagsterDev]:
    """Code server, webserver and daemon, ready."""
    code_port, web_port = free_port(), free_port()
    replace = {
        "0.0.0.0": "127.0.0.1",  # noqa: S104 - what the containers listen to
        "4000": str(code_port),
        "3000": str(web_port),
        "/opt/dagster/compose-workspace.yaml": workspace(folder, code_port),
    }
    code, daemon, webserver = (
        command(name, variables, replace=replace) for name in ("code", "daemon", "webserver")
    )
    server = DagsterDev(url=f"http://127.0.0.1:{web_port}", home=Path(variables["DAGSTER_HOME"]))
    with (
        running(code, lambda: accepts_connections(code_port), timeout=START_SECONDS),
        running(daemon, lambda: True, timeout=START_SECONDS),
        running(webserver, lambda: is_ready(server), timeout=START_SECONDS),
    ):
        yield server


def test_the_services_of_the_compose_file_serve_the_assets(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stack(variables, tmp_path) as server:
        nodes = server.graphql(LOADED_ASSETS)["assetNodes"]

    assert {"raw_tile", "ndvi", "boundaries"} <= {node["assetKey"]["path"][-1] for node in nodes}
    for name in ("DAGSTER_POSTGRES_URL", "DAGSTER_LOGS"):
        monkeypatch.setenv(name, variables[name])
    with dg.DagsterInstance.from_config(variables["DAGSTER_HOME"]) as instance:
        assert instance.get_daemon_heartbeats()
    assert not list(server.home.glob("**/*.db"))
