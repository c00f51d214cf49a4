"""A change of the schema beside readers: PostGIS, with sessions that leave a transaction open."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.rows import BoundarySet, Columns
from spatial_assets.stores.tables.database import Database
from spatial_assets.stores.tables.ddl import POSTGIS_DIALECT, view_query
from spatial_assets.stores.tables.duckdb.database import DuckDatabase
from spatial_assets.stores.tables.postgis.blockers import Blocker
from spatial_assets.stores.tables.postgis.database import Limits, PostgisDatabase
from spatial_assets.stores.tables.schema import MIGRATIONS, Migration
from spatial_assets.stores.tables.schema_changes import SchemaChange, table_changes, view_changes
from spatial_assets.stores.tables.transactions import Transaction
from spatial_assets_tests.stores.tables.sample_rows import AUGUST, REGIONS, part, region

VIEW = "ndvi_by_boundary_merged"
READ_VIEW = "SELECT * FROM ndvi_by_boundary_merged"
DROP_VIEW = "DROP VIEW ndvi_by_boundary_merged"
OTHER_VIEW = "CREATE VIEW ndvi_by_boundary_merged AS "
SECRET = "postgresql://u:hush@h/d"  # noqa: S105 - made up
PARKS = BoundarySet(name="parks", key="park_id")
QUICK = Limits(lock=0.3, schema_change=1.5)
PATIENT = Limits(lock=0.3, schema_change=60.0)


@contextmanager
def idle_reader(url: str, query: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A session that has read, and left its transaction open."""
    with psycopg.connect(url.replace("+psycopg", ""), application_name="notebook") as reader:
        reader.execute(query.encode())
        yield reader


def differing(database: Database) -> list[str]:
    """Purposes of the changes that an update of the declared schema would make."""

    def compare(open_: Transaction) -> list[str]:
        tables = database.tables
        changes = [*table_changes(open_, tables), *view_changes(open_, [*tables.views.values()])]
        return [change.purpose for change in changes]

    return database.in_transaction(compare, write=True)


def execute(database: Database, *statements: str) -> list[tuple[object, ...]]:
    """Execute statements as another client would, and return the rows of the last."""
    return database.in_transaction(
        lambda open_: [open_.run(each) for each in statements][-1], write=True
    )


def test_a_schema_just_made_differs_in_nothing(database: Database) -> None:
    database.ensure_schema([REGIONS, PARKS], ["ndvi", "evi"])

    assert differing(database) == []


def test_each_difference_is_found_and_nothing_else(database: Database) -> None:
    execute(
        database,
        "COMMENT ON COLUMN tile_state.since IS 'edited'",
        DROP_VIEW,
        f"{OTHER_VIEW} SELECT grid_id, 1 AS other FROM ndvi_by_boundary",  # noqa: S608 - ours
    )

    is_duck = isinstance(database, DuckDatabase)
    verb = f"replacing the view {VIEW}" if is_duck else f"making the view {VIEW} anew"
    assert differing(database) == ["commenting the table tile_state", verb]


@pytest.mark.servers
def test_a_missing_index_is_found(postgis_url: str) -> None:
    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        execute(database, "DROP INDEX ix_regions_geometry")

        assert differing(database) == [
            "creating the index ix_regions_geometry of the table regions"
        ]


@pytest.mark.parametrize("recorded", ["as it is", "of earlier code"])
@pytest.mark.servers
def test_an_unchanged_schema_takes_no_lock(
    postgis_url: str, recorded: str, caplog: pytest.LogCaptureFixture
) -> None:
    with PostgisDatabase(postgis_url, QUICK) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        if recorded == "of earlier code":
            execute(database, "UPDATE schema_version SET declared = 'other'")
        readers = f"{READ_VIEW}, regions, tile_state, project_claim"
        with idle_reader(postgis_url, readers):
            database.ensure_schema([REGIONS], ["ndvi"])

    assert caplog.messages == []


@pytest.mark.servers
def test_readers_get_through_while_a_change_waits_and_the_error_names_who_holds_the_lock(
    postgis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with PostgisDatabase(postgis_url, QUICK) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        database.replace_all("regions", [region("a")])
        database.replace_tile("ndvi_by_boundary", AUGUST, [part("a")])

        with (
            idle_reader(postgis_url, f"{READ_VIEW} WHERE period <> '{SECRET}'") as reader,
            ThreadPoolExecutor(1) as pool,
        ):
            waiting = pool.submit(database.ensure_schema, [PARKS])
            longest = 0.0
            while not waiting.done():
                began = time.monotonic()
                with psycopg.connect(postgis_url.replace("+psycopg", "")) as other:
                    assert len(other.execute(READ_VIEW.encode()).fetchall()) == 1
                longest = max(longest, time.monotonic() - began)
                time.sleep(0.02)
            error = waiting.exception()
            pid = reader.info.backend_pid

    assert isinstance(error, DatabaseError)
    for text in (str(error), caplog.messages[0]):
        assert f"replacing the view {VIEW}" in text
        assert f"pid {pid} (user " in text
        assert "application notebook, idle in transaction since 20" in text
        assert READ_VIEW in text
        assert "hush" not in text
    assert "pg_terminate_backend(pid)" in str(error)
    assert longest < 1.5  # the server's 0.3 s, and a busy machine


@pytest.mark.servers
def test_a_change_succeeds_once_the_reader_ends(postgis_url: str) -> None:
    with PostgisDatabase(postgis_url, PATIENT) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        with ThreadPoolExecutor(1) as pool:
            with idle_reader(postgis_url, READ_VIEW) as reader:
                waiting = pool.submit(database.ensure_schema, [PARKS])
                time.sleep(0.7)
                assert not waiting.done()
                reader.commit()
            waiting.result()

        assert differing(database) == []
        assert database.rows("parks") == []


@pytest.mark.servers
def test_what_needs_no_lock_is_done_before_the_change_that_waits(postgis_url: str) -> None:
    with PostgisDatabase(postgis_url, QUICK) as database:
        database.ensure_schema([REGIONS], ["ndvi"])

        with (
            idle_reader(postgis_url, READ_VIEW),
            pytest.raises(DatabaseError, match="needs a lock"),
        ):
            database.ensure_schema([PARKS], ["evi"])

        assert {"parks", "evi_by_boundary"} <= database.relations().keys()
        database.ensure_schema([PARKS], ["evi"])
        assert differing(database) == []


@pytest.mark.servers
def test_a_migration_waits_in_the_same_way(postgis_url: str) -> None:
    step = Migration(
        version=MIGRATIONS[-1].version + 1,
        description="forget the reason",
        statements=lambda _dialect: ["ALTER TABLE run_log ADD COLUMN note text"],
    )
    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema()
    with PostgisDatabase(postgis_url, QUICK, migrations=[*MIGRATIONS, step]) as newer:
        with (
            idle_reader(postgis_url, "SELECT * FROM run_log"),
            pytest.raises(DatabaseError, match=r"migrating to version 3 .*needs a lock.*notebook"),
        ):
            newer.ensure_schema()
        newer.ensure_schema()

        assert "note" in newer.relations()["run_log"]


@pytest.mark.servers
def test_a_boundary_set_whose_column_changed_its_type_waits_in_the_same_way(
    postgis_url: str,
) -> None:
    rows = Columns(
        {name: [value] for name, value in region("a").items()} | {"people": ["many"]},
    )
    with PostgisDatabase(postgis_url, QUICK) as database:
        database.ensure_schema([REGIONS])
        database.replace_all("regions", [region("a")])

        with (
            idle_reader(postgis_url, "SELECT * FROM regions"),
            pytest.raises(DatabaseError, match=r"types of columns of the table regions.*notebook"),
        ):
            database.replace_boundaries(REGIONS, rows, types={"people": "text"})
        assert [row["people"] for row in database.rows("regions")] != ["many"]
        database.replace_boundaries(REGIONS, rows, types={"people": "text"})

        assert [row["people"] for row in database.rows("regions")] == ["many"]


@pytest.mark.servers
def test_rows_of_a_boundary_set_are_replaced_beside_a_reader(postgis_url: str) -> None:
    rows = Columns({name: [value] for name, value in region("b").items()})
    with PostgisDatabase(postgis_url, QUICK) as database:
        database.ensure_schema([REGIONS])
        database.replace_all("regions", [region("a")])

        with idle_reader(postgis_url, "SELECT * FROM regions"):
            database.replace_boundaries(REGIONS, rows, types=REGIONS.types)

        assert [row["region_id"] for row in database.rows("regions")] == ["b"]


@pytest.mark.servers
def test_a_view_that_is_made_anew_keeps_its_grants(postgis_url: str) -> None:
    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        query = view_query(database.tables.views[VIEW], POSTGIS_DIALECT)
        execute(
            database,
            DROP_VIEW,
            f"{OTHER_VIEW} SELECT 1 AS first, q.* FROM ({query}) AS q",  # noqa: S608 - ours
            f"GRANT SELECT ON {VIEW} TO PUBLIC",
            "UPDATE schema_version SET declared = 'other'",
        )

        database.ensure_schema()

        assert differing(database) == []
        granted = execute(
            database,
            "SELECT grantee, privilege_type FROM information_schema.role_table_grants "
            "WHERE table_name = 'ndvi_by_boundary_merged' AND grantee = 'PUBLIC'",
        )
        assert granted == [("PUBLIC", "SELECT")]


@pytest.mark.servers
def test_two_processes_that_change_the_schema_at_once_do_not_collide(postgis_url: str) -> None:
    with PostgisDatabase(postgis_url) as first, PostgisDatabase(postgis_url) as second:
        start = threading.Barrier(2)

        def update(database: PostgisDatabase) -> None:
            start.wait()
            database.ensure_schema([REGIONS, PARKS], ["ndvi", "evi"])

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(update, each) for each in (first, second)]:
                done.result()

        assert differing(first) == []


def test_changes_of_others_are_made_one_after_the_other(database: Database) -> None:
    database.change_schema(
        [
            SchemaChange.of("making a table", ["CREATE TABLE note (text TEXT)"]),
            SchemaChange.of("filling it", ["INSERT INTO note VALUES ('taken')"]),
        ]
    )

    assert execute(database, "SELECT * FROM note") == [("taken",)]


def test_a_session_that_hides_its_query_is_named_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    hidden = Blocker(pid=7, user="gis", application=None, state=None, since=None, query=None)

    assert str(hidden) == (
        "pid 7 (user gis, application unnamed, state not visible, query: not visible to this user)"
    )
    nobody = Blocker(pid=0, user=None, application=None, state=None, since=None, query=None)
    assert "pg_prepared_xacts" in str(nobody)
