"""A real S3 server (SeaweedFS) for the session, and a fresh bucket for each test."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from spatial_assets_tests.servers.process import ServerCommand, ServerError, free_port, running

REGION = "us-east-1"
START_SECONDS = 60.0  # 1 s on an idle machine
START_TRIES = 3  # between choosing a port and using it, somebody else may take it
GRPC_PORT_ABOVE = 10_000  # SeaweedFS opens each port again this much higher
PORT_OPTIONS = ("-s3.port", "-master.port", "-volume.port", "-filer.port", "-admin.port")
SWITCHED_OFF = (
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
)

VOLUMES = 100_000
"""Each bucket takes several volumes, however empty; the default, free disk by size, runs out."""


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A running S3 server and the one identity it knows."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = REGION

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which spatial_assets, boto3 and GDAL reach this server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "SPATIAL_ASSETS_S3_ENDPOINT": self.endpoint,
        }

    def make_bucket(self, name: str) -> None:
        """Create a bucket."""
        self._client().create_bucket(Bucket=name)

    def answers(self) -> bool:
        """Return True if the server accepts our credentials."""
        try:
            self._client().list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True

    def _client(self) -> BaseClient:
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=once,
        )


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One S3 server for the whole session."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        raise ServerError(f"{weed} is missing; run `make setup-dev`")
    folder = Path(tempfile.mkdtemp(prefix="spatial-assets-s3-"))
    try:
        yield from serve(weed, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def serve(weed: Path, folder: Path) -> Iterator[S3Server]:
    """Run the server with all its data below `folder`."""
    for attempt in range(1, START_TRIES + 1):
        ports = {option: free_port(also_plus=GRPC_PORT_ABOVE) for option in PORT_OPTIONS}
        server = S3Server(
            endpoint=f"http://127.0.0.1:{ports['-s3.port']}",
            access_key=secrets.token_hex(8),
            secret_key=secrets.token_hex(16),
        )
        try:
            with running(
                command(weed, folder, server=server, ports=ports),
                server.answers,
                timeout=START_SECONDS,
            ):
                yield server
                return
        except ServerError:
            if attempt == START_TRIES:
                raise


def command(weed: Path, folder: Path, *, server: S3Server, ports: dict[str, int]) -> ServerCommand:
    """The command of the all-in-one server, bound to the loopback address only."""
    data, identities = folder / "data", folder / "s3.json"
    data.mkdir(exist_ok=True)
    identities.write_text(json.dumps(identity(server)))
    return ServerCommand(
        name="s3",
        arguments=[
            *(weed, "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"{option}={port}" for option, port in ports.items()),
            *SWITCHED_OFF,
            f"-volume.max={VOLUMES}",
            f"-s3.config={identities}",
        ],
        folder=folder,
    )


def identity(server: S3Server) -> dict[str, object]:
    """The one user, who may do everything."""
    keys = {"accessKey": server.access_key, "secretKey": server.secret_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "tests", "credentials": [keys], "actions": actions}]}


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """The name of a new, empty bucket of this test alone."""
    name = f"test-{secrets.token_hex(6)}"
    s3_server.make_bucket(name)
    return name


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The server's variables, set for the time of this test."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server.environment
