"""PostGIS only: the index is used, the pool is kept, the password is not printed."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import shapely
from psycopg import sql
from sqlalchemy.engine import make_url

from chaos.postgres_relay import PostgresRelay
from chaos.relay import running_relays
from spatial_assets.errors import DatabaseError
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.postgis.database import Limits, PostgisDatabase
from spatial_assets.stores.tables.transactions import Transaction
from spatial_assets_tests.servers.postgis import PostgisServer
from spatial_assets_tests.stores.tables.sample_rows import AUGUST, REGIONS, part, region, state

pytestmark = pytest.mark.servers


def raw(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection of another user."""
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def test_the_spatial_index_is_there_and_used(postgis_url: str) -> None:
    rows = [region(str(n), west=-179 + 0.01 * n) for n in range(20_000)]
    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        database.replace_all("regions", rows)

    with raw(postgis_url) as connection:
        plan = connection.execute(
            "EXPLAIN SELECT * FROM regions "
            "WHERE ST_Intersects(geometry, ST_SetSRID(ST_MakePoint(15, 46.05), 4326))"
        ).fetchall()
        kinds = connection.execute(
            "SELECT tablename, indexdef FROM pg_indexes WHERE indexdef LIKE '%gist%' ORDER BY 1"
        ).fetchall()

    assert "ix_regions_geometry" in str(plan)
    assert [kind[0] for kind in kinds] == ["regions", "tile_index"]


def test_geometries_carry_their_reference_system(postgis_url: str) -> None:
    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS])
        database.replace_all("regions", [region("a")])

    with raw(postgis_url) as connection:
        found = connection.execute(
            "SELECT ST_SRID(geometry), GeometryType(geometry), ST_IsValid(geometry) FROM regions"
        ).fetchall()

    assert found == [(4326, "MULTIPOLYGON", True)]


def test_twenty_thousand_polygons_load_in_seconds(postgis_url: str) -> None:
    rows = [region(str(n), west=-179 + 0.01 * n) for n in range(20_000)]
    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS])
        began = time.monotonic()

        database.replace_all("regions", rows)

        # 0.5 s on two idle cores; a row at a time takes twenty times that.
        assert time.monotonic() - began < 8
        assert len(database.rows("regions")) == 20_000


def test_no_more_connections_are_opened_than_declared(postgis_url: str) -> None:
    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        with raw(postgis_url) as connection:
            while not done.is_set():
                found = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND application_name = 'spatial_assets'"
                ).fetchone()
                assert found is not None
                most = max(most, int(str(found[0])))

    with PostgisDatabase(postgis_url, Limits(pool_size=2)) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        with ThreadPoolExecutor(9) as pool:
            watcher = pool.submit(watch)
            writes = [
                pool.submit(
                    database.replace_tile,
                    "ndvi_by_boundary",
                    {**AUGUST, "tile": str(n)},
                    [part("a")],
                )
                for n in range(60)
            ]
            for write in writes:
                write.result()
            done.set()
            watcher.result()

        assert len(database.rows("ndvi_by_boundary")) == 60
    assert 1 <= most <= 2


def test_a_full_pool_says_so(postgis_url: str) -> None:
    with PostgisDatabase(postgis_url, Limits(pool_size=1, pool_wait=0.3)) as database:

        def hold(open_: Transaction) -> None:
            open_.run("SELECT 1")
            with pytest.raises(DatabaseError, match=r"within 0\.3 s; pool_size is 1"):
                database.rows("tile_state")

        database.in_transaction(hold, write=False)


def test_a_lost_connection_is_replaced_and_the_work_done(
    postgis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "psycopg.pool")
    with PostgisDatabase(postgis_url) as database, raw(postgis_url) as killer:
        database.ensure_schema([REGIONS], ["ndvi"])
        tries = 0

        def die_once(open_: Transaction) -> None:
            nonlocal tries
            tries += 1
            open_.run("INSERT INTO schema_version (version, declared) VALUES (-5, 'x')")
            if tries == 1:
                killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'spatial_assets'"
                )
            open_.run("SELECT 1")

        database.in_transaction(die_once, write=True)

        found = killer.execute("SELECT count(*) FROM schema_version WHERE version = -5")
        assert (tries, found.fetchone()) == (2, (1,))


def test_a_deadlock_is_tried_again(postgis_url: str) -> None:
    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        database.set_states([state("a"), state("b")])
        both_hold_one = threading.Barrier(2)
        tries: list[str] = []

        def crossing(first: str, second: str) -> None:
            def work(open_: Transaction) -> None:
                tries.append(first)
                touch = "UPDATE tile_state SET reason = $1 WHERE tile = $2"
                open_.run(touch, ["x", first])
                if len(tries) <= 2:
                    both_hold_one.wait()
                open_.run(touch, ["x", second])

            database.in_transaction(work, write=True)

        with ThreadPoolExecutor(2) as pool:
            for running in [pool.submit(crossing, *each) for each in ("ab", "ba")]:
                running.result()

        assert len(tries) == 3


def test_a_statement_that_takes_too_long_is_ended(postgis_url: str) -> None:
    with (
        PostgisDatabase(postgis_url, Limits(statement=0.2)) as database,
        pytest.raises(DatabaseError, match="it took too long"),
    ):
        database.in_transaction(lambda open_: open_.run("SELECT pg_sleep(5)"), write=False)


def test_tables_may_live_in_a_schema_of_their_own(postgis_url: str) -> None:
    with (
        open_database(f'{postgis_url}?schema=My "own" schema') as own,
        open_database(postgis_url) as other,
    ):
        for database in (own, other):
            database.ensure_schema([REGIONS], ["ndvi"])
        own.replace_all("regions", [region("a")])

        assert len(own.rows("regions", intersecting=shapely.Point(15.05, 46.05))) == 1
        assert other.rows("regions") == []
    with raw(postgis_url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM information_schema.tables "
            "WHERE table_schema = 'My \"own\" schema'"
        ).fetchone()
    assert found == (11,)


def test_postgis_is_found_wherever_it_is_installed(postgis_url: str) -> None:
    with raw(postgis_url) as connection:
        connection.execute("DROP EXTENSION postgis")
        connection.execute("CREATE SCHEMA extensions")
        connection.execute("CREATE EXTENSION postgis SCHEMA extensions")

    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS])
        database.replace_all("regions", [region("a")])

        assert len(database.rows("regions", intersecting=shapely.Point(15.05, 46.05))) == 1


def test_a_database_without_postgis_is_made_spatial(
    postgis_server: PostgisServer, postgis_url: str
) -> None:
    del postgis_server
    with raw(postgis_url) as connection:
        connection.execute("DROP EXTENSION postgis")

    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS])
        assert database.rows("regions") == []


def test_a_user_who_may_not_create_postgis_learns_what_to_request(postgis_url: str) -> None:
    with raw(postgis_url) as connection:
        connection.execute("DROP EXTENSION postgis")
        role = f"plain_{threading.get_native_id()}"
        name = sql.Identifier(role)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'plain'").format(name))
        try:
            url = make_url(postgis_url).set(username=role, password="plain")  # noqa: S106
            with (
                PostgisDatabase(url.render_as_string(hide_password=False)) as database,
                pytest.raises(DatabaseError, match="administrator run: CREATE EXTENSION postgis"),
            ):
                database.ensure_schema()
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(name))


def test_the_password_is_in_no_message(postgis_url: str) -> None:
    secret = "s3cr%et /@:x"  # noqa: S105
    url = make_url(postgis_url).set(password=secret).render_as_string(hide_password=False)

    with (
        PostgisDatabase(url) as database,
        pytest.raises(DatabaseError, match="authentication failed") as caught,
    ):
        database.ensure_schema()

    told = [str(caught.value), str(caught.value.__cause__), repr(database), database.url]
    assert not any("s3cr" in each for each in told)
    assert "***" in database.url


def test_a_server_that_is_away_is_an_error_with_its_address() -> None:
    url = "postgresql+psycopg://user:hidden@127.0.0.1:1/nothing"

    with (
        PostgisDatabase(url, Limits(retry=0.1)) as database,
        pytest.raises(DatabaseError, match=r"127\.0\.0\.1:1/nothing.*refused"),
    ):
        database.ensure_schema()


def test_a_database_that_is_not_there_is_named_at_once(postgis_url: str) -> None:
    url = make_url(postgis_url).set(database="nothing").render_as_string(hide_password=False)
    began = time.monotonic()

    with PostgisDatabase(url) as database, pytest.raises(DatabaseError, match="nothing"):
        database.ensure_schema()

    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "scheme", ["postgresql://", "postgres://", "postgresql+psycopg://"], ids=str
)
def test_every_spelling_of_the_url_is_psycopg_3(postgis_url: str, scheme: str) -> None:
    with open_database(f"{scheme}{postgis_url.partition('://')[2]}") as database:
        database.ensure_schema()
        assert database.url.startswith("postgresql+psycopg://")
        assert database.rows("tile_state") == []


# the relay is stopped while a connection of it is closing
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*StreamWriter:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(
    ("patience", "survives"),
    [pytest.param(20.0, True, id="a-run-waits"), pytest.param(0.3, False, id="a-person-does-not")],
)
def test_a_server_that_is_gone_for_a_while_is_waited_for_as_long_as_asked(
    postgis_url: str,
    patience: float,
    survives: bool,  # noqa: FBT001
) -> None:
    relay = PostgresRelay(make_url(postgis_url).port or 0)
    with running_relays(relay) as loop:
        url = make_url(postgis_url).set(port=relay.port).render_as_string(hide_password=False)
        limits = Limits(retry=patience, pool_wait=max(patience, 2.0))
        with PostgisDatabase(url, limits) as database:
            assert database.spatial_version()
            loop.run(relay.go_down())
            timer = threading.Timer(4.0, lambda: loop.run(relay.come_back()))
            timer.start()
            if survives:
                assert database.spatial_version()
            else:
                with pytest.raises(DatabaseError):
                    database.spatial_version()
            timer.join()
