"""PostGIS behind a pooler of transactions (pgbouncer): each transaction may get another session."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.rows import BoundarySet
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.postgis.connection import address_of
from spatial_assets.stores.tables.postgis.database import Limits, PostgisDatabase
from spatial_assets_tests.servers.postgis import PostgisServer
from spatial_assets_tests.stores.tables.sample_rows import AUGUST, REGIONS, part, region, state

SCHEMAS = ("west", "east", None)
TILES = 40  # far beyond the fifth use of a statement, at which psycopg would prepare it


def write(url: str, schema: str | None) -> None:
    """Write the tables of a project whose tiles are named after its schema."""
    name = schema or "public"
    with open_database(f"{url}?schema={schema}" if schema else url) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        database.replace_all("regions", [region(name)])
        for number in range(TILES):
            tile = f"{name}-{number}"
            database.replace_tile("ndvi_by_boundary", {**AUGUST, "tile": tile}, [part("a")])
            database.set_states([state(tile)])
        assert len(database.rows("tile_state")) == TILES


def test_projects_in_three_schemas_write_side_by_side_each_into_its_own(
    pooled_url: str, postgis_server: PostgisServer
) -> None:
    with ThreadPoolExecutor(len(SCHEMAS)) as pool:
        list(pool.map(lambda schema: write(pooled_url, schema), SCHEMAS))

    with postgis_server.connect(pooled_url.rpartition("/")[2]) as connection:
        for name in (schema or "public" for schema in SCHEMAS):
            for table in ("tile_state", "ndvi_by_boundary"):
                rows = connection.execute(
                    f"SELECT count(*), count(*) FILTER (WHERE tile LIKE '{name}-%')"  # noqa: S608 - our names
                    f" FROM {name}.{table}"
                ).fetchone()
                assert rows == (TILES, TILES), (name, table)
            regions = connection.execute(f"SELECT region_id FROM {name}.regions")  # noqa: S608 - our names
            assert regions.fetchall() == [(name,)]


def test_what_another_client_set_in_a_session_is_not_followed(
    pooled_url: str, pooled_server: PostgisServer, postgis_server: PostgisServer
) -> None:
    name = pooled_url.rpartition("/")[2]
    with postgis_server.connect(name) as connection:
        connection.execute("CREATE SCHEMA stranger")
    strangers = [pooled_server.connect(name) for _ in range(3)]
    for stranger in strangers:  # all sessions of the pool, since each holds one in its transaction
        stranger.execute("BEGIN")
        stranger.execute("SET search_path TO stranger")
        stranger.execute("SET TimeZone TO 'Pacific/Auckland'")
    for stranger in strangers:
        stranger.execute("COMMIT")
        stranger.close()

    with open_database(pooled_url) as database:
        database.ensure_schema([REGIONS])
        database.set_states([state("a")])
        (row,) = database.rows("tile_state")
        assert row["since"] == state("a").since

    with postgis_server.connect(name) as connection:
        found = connection.execute(
            "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'tile_state'"
        )
        assert found.fetchall() == [("public",)]


def test_a_schema_that_is_created_later_does_not_split_the_tables(
    postgis_url: str, postgis_server: PostgisServer
) -> None:
    with open_database(postgis_url) as database:
        database.ensure_schema([REGIONS])
        with postgis_server.connect(postgis_url.rpartition("/")[2]) as connection:
            connection.execute('CREATE SCHEMA "spatial"')  # named like the user: first in the path
    with open_database(postgis_url) as database:
        database.ensure_schema([REGIONS])
        database.set_states([state("a")])

    with postgis_server.connect(postgis_url.rpartition("/")[2]) as connection:
        assert connection.execute("SELECT count(*) FROM public.tile_state").fetchone() == (1,)


@pytest.mark.parametrize("name", ["$user", "pg_temp", "pg_catalog", "information_schema"])
def test_a_schema_that_postgresql_keeps_for_itself_is_refused(name: str) -> None:
    with pytest.raises(DatabaseError, match="keeps for itself"):
        address_of(f"postgresql+psycopg://u:secret@h/d?schema={name}")


@pytest.mark.parametrize("name", ["x" * 64, "é" * 32])
def test_a_name_that_postgresql_would_cut_short_is_refused(name: str) -> None:
    with pytest.raises(DatabaseError, match="64 bytes long; a database takes 1 to 63"):
        address_of(f"postgresql+psycopg://u:secret@h/d?schema={name}")


def test_two_schemas_are_refused() -> None:
    with pytest.raises(DatabaseError, match="names 2 schemas"):
        address_of("postgresql+psycopg://u:secret@h/d?schema=a&schema=b")


def test_a_change_of_the_schema_names_the_reader_that_it_waits_for(
    pooled_url: str, postgis_server: PostgisServer
) -> None:
    limits = Limits(lock=0.3, schema_change=1.0)
    with PostgisDatabase(pooled_url, limits) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        with postgis_server.connect(pooled_url.rpartition("/")[2]) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM ndvi_by_boundary_merged")

            with pytest.raises(DatabaseError, match=f"pid {reader.info.backend_pid} .user"):
                database.ensure_schema([BoundarySet(name="parks", key="park_id")])
