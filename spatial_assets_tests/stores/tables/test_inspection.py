"""Tables that differ from their declaration are detected."""

from __future__ import annotations

import psycopg
import pytest

from spatial_assets.assets.run_checks import judge_same_tiles, judge_table
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.stores.tables.sample_rows import REGIONS

pytestmark = pytest.mark.servers


def test_tables_as_declared_are_sound_in_either_database(database: Database) -> None:
    for table in ("tile_index", REGIONS.name):
        facts = database.inspect_table(table)
        assert facts.is_sound, facts
        assert judge_table(facts).passed


def test_postgis_answers_a_query_by_place_from_the_index(postgis_url: str) -> None:
    with open_database(postgis_url) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        facts = database.inspect_table("tile_index")

    assert facts.uses_index is True
    assert "ix_tile_index_geometry" in facts.plan


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        pytest.param("DROP INDEX ix_tile_index_geometry", "unused or missing", id="index"),
        pytest.param(
            "ALTER TABLE tile_index DROP COLUMN geometry", "geometry is missing", id="column"
        ),
        pytest.param(
            "ALTER TABLE tile_index ALTER COLUMN geometry TYPE geometry(Geometry) "
            "USING ST_SetSRID(geometry, 0)",
            "geometry is geometry",
            id="reference-system",
        ),
        pytest.param(
            "ALTER TABLE tile_index ALTER COLUMN scenes TYPE text", "scenes is text", id="type"
        ),
    ],
)
def test_what_somebody_altered_by_hand_is_found(postgis_url: str, harm: str, told: str) -> None:
    with open_database(postgis_url) as database:
        database.ensure_schema([REGIONS], ["ndvi"])
        with psycopg.connect(postgis_url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(harm.encode())

        verdict = judge_table(database.inspect_table("tile_index"))

    assert not verdict.passed
    assert told in str(verdict.evidence)


def test_an_index_that_lacks_a_tile_of_the_other_is_found() -> None:
    rows = [
        {"index_name": "ndvi", "tile": "1", "period": "2023-08"},
        {"index_name": "ndvi", "tile": "2", "period": "2023-08"},
        {"index_name": "evi", "tile": "1", "period": "2023-08"},
    ]

    verdict = judge_same_tiles(rows, "evi", than="ndvi")

    assert not verdict.passed
    assert verdict.evidence["such_as"] == "2 2023-08"
    assert judge_same_tiles(rows, "ndvi", than="ndvi").passed
