"""A real STAC API (stac-fastapi with pgstac) on the PostGIS server of the session.

Its dependencies conflict with ours, so it has a virtual environment and a lock of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import sql

from spatial_assets_tests.servers.debs import one_at_a_time, tools_folder
from spatial_assets_tests.servers.postgis import TEMPLATE, USER, PostgisServer
from spatial_assets_tests.servers.process import (
    REPOSITORY,
    ServerCommand,
    ServerError,
    accepts_connections,
    free_port,
    running,
)

LOCK = REPOSITORY / "requirements-pgstac.lock"
START_SECONDS = 90.0  # 2 s on an idle machine
APP = "stac_fastapi.pgstac.app:create_app"


@dataclass(frozen=True, kw_only=True)
class PgstacServer:
    """A running API over a database of its own."""

    url: str
    postgis: PostgisServer
    database: str

    def set_option(self, name: str, value: str) -> None:
        """Change one of pgstac's settings, for all searches from now on."""
        statement = (
            "INSERT INTO pgstac.pgstac_settings (name, value) VALUES (%s, %s) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
        with self.postgis.connect(self.database) as connection:
            connection.execute(statement, (name, value))


@dataclass(frozen=True, kw_only=True)
class PgstacCollection:
    """A collection of one test on the API of the session."""

    server: PgstacServer
    name: str = field(default_factory=lambda: f"c-{secrets.token_hex(6)}")

    def put(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Add items, or replace those of the same ids."""
        named = {item["id"]: {**item, "collection": self.name} for item in items}
        self._send("POST", "/bulk_items", {"items": named, "method": "upsert"})

    def delete(self, name: str) -> None:
        """Withdraw an item."""
        self._send("DELETE", f"/items/{name}")

    def create(self) -> None:
        """Create the collection, without items."""
        extent = {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [[None, None]]},
        }
        described = {"id": self.name, "description": "of a test", "license": "other", "links": []}
        collection = {"type": "Collection", "stac_version": "1.0.0", **described, "extent": extent}
        self._send("POST", "", collection, place="/collections")

    def _send(
        self, method: str, path: str, body: object = None, *, place: str | None = None
    ) -> None:
        url = f"{self.server.url}{place or f'/collections/{self.name}'}{path}"
        httpx.request(method, url, json=body, timeout=60).raise_for_status()


def pgstac_python() -> Path:
    """The Python of the API's virtual environment, which is installed the first time.

    Raises:
        ServerError: the packages cannot be installed.
    """
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]
    folder = tools_folder() / f"pgstac-{version}-{digest}"
    python, stamp = folder / "bin" / "python", folder / "installed"
    with one_at_a_time(folder.parent):
        if not stamp.exists():
            install = ["pip", "install", "--quiet", "--compile-bytecode", "--no-deps"]
            run_uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
            run_uv(*install, "--python", str(python), "--require-hashes", "-r", str(LOCK))
            stamp.touch()
    return python


def run_uv(*arguments: str) -> None:
    """Run uv of our own virtual environment.

    Raises:
        ServerError: it failed.
    """
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run([uv, *arguments], capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace")
        raise ServerError(f"the STAC API of the tests could not be installed: {said}")


@pytest.fixture(scope="session")
def pgstac_server(postgis_server: PostgisServer) -> Iterator[PgstacServer]:
    """One STAC API for the whole session."""
    python, database = pgstac_python(), "pgstac"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with postgis_server.connect("postgres") as connection:
        connection.execute(create.format(sql.Identifier(database), sql.Identifier(TEMPLATE)))
    environment = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgis_server.port),
        "PGUSER": USER,
        "PGPASSWORD": postgis_server.password,
        "PGDATABASE": database,
        "ENABLE_TRANSACTIONS_EXTENSIONS": "true",
    }
    migrate(python, environment)
    for attempt in itertools.count(1):
        port = free_port()
        command = ServerCommand(
            name="pgstac",
            arguments=[python, "-m", "uvicorn", APP, "--factory", "--port", str(port)],
            environment=environment,
            folder=python.parent,  # it reads a .env of the working directory
        )
        try:
            with running(command, lambda at=port: accepts_connections(at), timeout=START_SECONDS):  # type: ignore[misc]
                yield PgstacServer(
                    url=f"http://127.0.0.1:{port}", postgis=postgis_server, database=database
                )
                return
        except ServerError:
            if attempt == 3:
                raise


def migrate(python: Path, environment: Mapping[str, str]) -> None:
    """Create pgstac's tables and functions: 3 s."""
    done = subprocess.run(
        [python, "-m", "pypgstac.pypgstac", "migrate"],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServerError(f"pypgstac migrate failed: {done.stderr.decode(errors='replace')}")


@pytest.fixture
def pgstac_collection(pgstac_server: PgstacServer) -> PgstacCollection:
    """An empty collection of this test alone."""
    collection = PgstacCollection(server=pgstac_server)
    collection.create()
    return collection
