"""A database of each kind: every test with the fixture `database` runs on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.stores.tables.sample_rows import REGIONS


@pytest.fixture
def duckdb_url(tmp_path: Path) -> str:
    """The URL of a file that is not there yet."""
    return f"duckdb:///{tmp_path / 'data' / 'spatial.duckdb'}"


@pytest.fixture(params=["duckdb", pytest.param("postgis", marks=pytest.mark.servers)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of either kind."""
    url = request.getfixturevalue(f"{request.param}_url")
    assert isinstance(url, str)
    return url


@pytest.fixture
def empty_database(database_url: str) -> Iterator[Database]:
    """A database without a schema."""
    with open_database(database_url) as database:
        yield database


@pytest.fixture
def database(empty_database: Database) -> Database:
    """A database with the tables of one boundary set and one index."""
    empty_database.ensure_schema([REGIONS], ["ndvi"])
    return empty_database
