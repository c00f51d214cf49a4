"""Instances of Dagster with our event logs and with Dagster's own, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from spatial_assets_tests.fixtures.event_logs import OPEN_SQLITE, POOLED_POSTGRES, Instances


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)],
)
def instances(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instances]:
    """One instance with our event log, and one with Dagster's own, on the same kind of database."""
    if request.param == "sqlite":
        ours, stock = OPEN_SQLITE, ""
    else:
        url = make_url(request.getfixturevalue("postgis_url")).set(drivername="postgresql+psycopg2")
        address = url.render_as_string(hide_password=False)
        # one database for both: two schemas of it
        ours = POOLED_POSTGRES.format(url=f"{address}?options=-csearch_path%3Dours")
        stock = POOLED_POSTGRES.format(url=address).replace(*STOCK_POSTGRES)
        make_schema(address, "ours")
    with instance_of(tmp_path / "ours", ours) as one, instance_of(tmp_path / "stock", stock) as two:
        yield Instances(ours=one, stock=two)


STOCK_POSTGRES = (
    "spatial_assets.instance.postgres_event_log\n  class: PooledEventLog",
    "dagster_postgres.event_log\n  class: PostgresEventLogStorage",
)


def make_schema(url: str, name: str) -> None:
    """Make an empty schema in a database."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"create schema {name}"))
    engine.dispose()


@contextmanager
def instance_of(home: Path, storage: str) -> Iterator[dg.DagsterInstance]:
    """Open an instance whose dagster.yaml names a storage."""
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n" + storage)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance
