"""Whole tables loaded at once: by column on both databases, and indexes made after in PostGIS."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.rows import Columns, Replace, ReplaceAll
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database
from spatial_assets.stores.tables.postgis.database import PostgisDatabase
from spatial_assets_tests.stores.tables.sample_rows import AUGUST, REGIONS, part, region

INDEX = "ix_regions_geometry"


def columns(*keys: str) -> Columns:
    """Regions by column, without the key that follows from theirs."""
    rows = [region(key) for key in keys]
    return Columns({name: [row[name] for row in rows] for name in rows[0]})


def raw(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection of another user."""
    return psycopg.connect(url.replace("+psycopg", ""))


def definitions(url: str) -> list[tuple[object, ...]]:
    """The indexes of the regions, as the server would make them again."""
    with raw(url) as connection:
        return connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'regions' ORDER BY 1"
        ).fetchall()


def test_columns_are_the_same_as_rows(database: Database) -> None:
    database.replace_all("regions", [region("a"), region("b")])
    by_row = database.rows("regions")

    database.replace_all("regions", columns("a", "b"))

    assert database.rows("regions") == by_row


def test_columns_that_a_table_may_lack_are_unknown(database: Database) -> None:
    given = dict(columns("a", "b").values)
    del given["people"]

    database.replace_all("regions", Columns(given))

    assert [row["people"] for row in database.rows("regions")] == [None, None]


def test_columns_share_the_keys_they_replace(database: Database) -> None:
    rows = [part("a"), part("b")]
    given = Columns({name: [row[name] for row in rows] for name in rows[0]})

    database.commit([Replace("ndvi_by_boundary", AUGUST, given)])

    found = database.rows("ndvi_by_boundary")
    assert [(row["tile"], row["boundary_key"]) for row in found] == [("1202", "a"), ("1202", "b")]


def test_a_column_that_the_table_has_not_is_refused(database: Database) -> None:
    given = Columns({**columns("a").values, "mayor": ["Ana"]})

    with pytest.raises(DatabaseError, match="regions: the input has mayor, which the table"):
        database.replace_all("regions", given)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DatabaseError, match=r"wanted columns of one length, got .*'name': 1"):
        Columns({"region_id": ["a", "b"], "name": ["a"]})


def test_a_value_that_does_not_fit_is_named_by_row_and_column(database: Database) -> None:
    given = Columns({**columns("a", "b").values, "area_m2": [1.0, float("nan")]})

    with pytest.raises(DatabaseError, match="regions: row 1, column 'area_m2'"):
        database.replace_all("regions", given)


@pytest.mark.servers
def test_the_indexes_of_a_filled_table_are_those_that_were_declared(postgis_url: str) -> None:
    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS])
        declared = definitions(postgis_url)

        for keys in (["a"], ["a", "b"]):
            database.replace_all("regions", columns(*keys))
            assert definitions(postgis_url) == declared
            assert database.inspect_table("regions").is_sound

    assert INDEX in str(declared)


@pytest.mark.servers
def test_a_load_that_fails_leaves_the_indexes_as_they_were(postgis_url: str) -> None:
    with PostgisDatabase(postgis_url) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        declared = definitions(postgis_url)
        with raw(postgis_url) as connection:
            connection.execute("ALTER TABLE regions ADD CHECK (area_m2 < 1000)")

        with pytest.raises(DatabaseError, match="violates check constraint"):
            database.commit([ReplaceAll("regions", [region("a", area=5000.0)])])

        assert definitions(postgis_url) == declared
        assert database.rows("regions") == []


@pytest.mark.servers
def test_a_reader_of_an_empty_table_neither_waits_nor_blocks(
    postgis_url: str,
) -> None:
    with PostgisDatabase(postgis_url) as database, raw(postgis_url) as somebody:
        database.ensure_schema([REGIONS])
        declared = definitions(postgis_url)
        assert somebody.execute("SELECT count(*) FROM regions").fetchone() == (0,)

        database.replace_all("regions", columns("a"))

        assert somebody.execute("SELECT count(*) FROM regions").fetchone() == (1,)
        assert definitions(postgis_url) == declared


@pytest.fixture
def clerk_url(postgis_url: str) -> Iterator[str]:
    """A role that may change the rows of tables that are not its own, and nothing else."""
    name, plain = f"clerk_{secrets.token_hex(4)}", make_url(postgis_url)
    with open_database(postgis_url) as database:
        database.ensure_schema([REGIONS])
    with raw(postgis_url) as connection:
        connection.autocommit = True
        role = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'clerk'").format(role))
        connection.execute(
            sql.SQL(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}"
            ).format(role)
        )
        try:
            url = plain.set(username=name, password="clerk")  # noqa: S106 - of a server for tests
            yield url.render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.servers
def test_who_may_not_drop_an_index_still_loads(clerk_url: str, postgis_url: str) -> None:
    declared = definitions(postgis_url)
    with open_database(clerk_url) as database:
        database.ensure_schema([REGIONS])

        database.replace_all("regions", columns("a", "b"))

        assert len(database.rows("regions")) == 2
    assert definitions(postgis_url) == declared
