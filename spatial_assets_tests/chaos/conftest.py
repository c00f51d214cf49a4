"""The relays of the fault campaign in front of the session's servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chaos.postgres_relay import PostgresRelay
from chaos.relay import running_relays
from chaos.s3_relay import S3Relay
from spatial_assets.retries import Backoff
from spatial_assets.stores.objects import store_errors
from spatial_assets_tests.servers.postgis import PostgisServer
from spatial_assets_tests.servers.s3 import S3Server


@pytest.fixture
def s3_relay(
    s3_server: S3Server, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3Relay]:
    """A relay in front of the S3 server; the variables of this test lead to it."""
    del s3_environment
    relay = S3Relay(int(s3_server.endpoint.rpartition(":")[2]))
    with running_relays(relay):
        monkeypatch.setenv("SPATIAL_ASSETS_S3_ENDPOINT", f"http://127.0.0.1:{relay.port}")
        monkeypatch.setenv("SPATIAL_ASSETS_TIMEOUT", "0.8")
        quick = Backoff(first=0.01, largest=0.1, total=2.0)
        monkeypatch.setattr(store_errors, "BACKOFF", quick)
        yield relay


@pytest.fixture
def postgis_relay(postgis_server: PostgisServer) -> Iterator[PostgresRelay]:
    """A relay in front of the PostGIS server."""
    relay = PostgresRelay(postgis_server.port)
    with running_relays(relay):
        yield relay


@pytest.fixture
def relayed_url(
    postgis_server: PostgisServer, postgis_url: str, postgis_relay: PostgresRelay
) -> str:
    """The URL of this test's database, through the relay."""
    return replace(postgis_server, port=postgis_relay.port).url(postgis_url.rpartition("/")[2])
