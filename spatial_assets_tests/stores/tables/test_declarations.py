"""Declarations of tables, their keys and URLs: no test needs a database."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.public_columns import (
    STATISTICS_COLUMNS,
    TILE_INDEX_COLUMNS,
    PublicColumn,
    boundary_columns,
)
from spatial_assets.stores.rows import boundary_key
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.ddl import DUCKDB_DIALECT, POSTGIS_DIALECT, creation
from spatial_assets.stores.tables.declarations import columns_of, declare
from spatial_assets_tests.stores.tables.sample_rows import REGIONS

keys = st.lists(st.text(st.sampled_from("a|\\")), min_size=2, max_size=3)


@given(keys, keys)
def test_two_different_keys_never_read_the_same(one: list[str], other: list[str]) -> None:
    if len(one) == len(other):
        assert (boundary_key(*one) == boundary_key(*other)) == (one == other)


@given(st.text())
def test_a_key_of_one_text_is_that_text(key: str) -> None:
    assert boundary_key(key) == key


def test_every_column_of_every_table_has_a_description() -> None:
    tables = declare([REGIONS], ["ndvi"])
    everything = [*tables.metadata.tables.values(), *(v.table for v in tables.views.values())]

    for table in everything:
        assert all(description.endswith(".") for _, _, description in columns_of(table))
        assert table.comment


def test_columns_are_listed_as_a_user_interface_shows_them() -> None:
    tables = declare([REGIONS], ["ndvi"])

    assert columns_of(tables.table("regions"))[:4] == [
        ("boundary_key", "text", "The key as text; statistics refer to it."),
        ("region_id", "text", "Key, as the source has it."),
        ("name", "text", "As the source has it."),
        ("people", "bigint", "As the source has it."),
    ]
    assert ("geometry", "geometry(multipolygon,4326)") in [
        (name, kind) for name, kind, _ in columns_of(tables.table("tile_index"))
    ]
    assert "covered_fraction" in [
        name for name, _, _ in columns_of(tables.readable("ndvi_by_boundary_merged"))
    ]


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        pytest.param("tile_index", TILE_INDEX_COLUMNS, id="tile-index"),
        pytest.param("ndvi_by_boundary", STATISTICS_COLUMNS, id="statistics"),
        pytest.param("regions", boundary_columns(REGIONS), id="boundaries"),
    ],
)
def test_columns_shown_without_a_database_library_are_those_of_the_table(
    table: str, shown: tuple[PublicColumn, ...]
) -> None:
    told = [(each.name, each.type, each.comment) for each in shown]

    assert told == columns_of(declare([REGIONS], ["ndvi"]).table(table))


def test_both_databases_get_the_same_tables_in_their_own_words() -> None:
    table = declare([REGIONS], ["ndvi"]).table("regions")

    postgis, duckdb = (
        next(creation(table, dialect)) for dialect in (POSTGIS_DIALECT, DUCKDB_DIALECT)
    )

    assert "geometry geometry(MULTIPOLYGON,4326) NOT NULL" in postgis.replace('"', "")
    assert "geometry GEOMETRY('EPSG:4326') NOT NULL" in duckdb.replace('"', "")
    assert postgis.count(" NOT NULL") == duckdb.count(" NOT NULL")


@pytest.mark.parametrize(
    "url",
    ["", "spatial.duckdb", "sqlite:///a.db", "mysql://user:hidden@host/db", "duckdb://a"],
)
def test_a_url_of_neither_kind_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(DatabaseError, match="wanted duckdb:///path") as caught:
        open_database(url)

    assert "hidden" not in str(caught.value)


def test_a_url_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(DatabaseError, match="cannot be read") as caught:
        open_database("postgresql://user:hidden@host:port/database")

    assert "hidden" not in str(caught.value)


def test_no_driver_is_imported_before_a_url_needs_it() -> None:
    code = (
        "import sys; from spatial_assets.stores import rows; "
        "from spatial_assets.stores.tables import connect; "
        "print(sorted({'duckdb', 'psycopg', 'geoalchemy2', 'sqlalchemy', 'pyarrow'} "
        "& set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
