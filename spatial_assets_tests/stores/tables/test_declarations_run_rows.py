"""The rows of runs, on both databases."""

from __future__ import annotations

from datetime import timedelta

from spatial_assets.stores.rows import Replace
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.stores.tables.sample_rows import GRID, NOON, REGIONS

KEY = {"grid_id": GRID, "run": "a"}
UNDER_WAY = {
    "owner": "host process 1",
    "started_at": NOON,
    "written_at": NOON,
    "stages": ["raw_tile", "ndvi"],
    "workers": 2,
    "tiles": {},
    "computed": 0,
    "seconds": 0.0,
    "bytes_read": 0,
}


def test_a_run_under_way_is_replaced_by_how_it_ended(database: Database) -> None:
    database.commit([Replace("run_log", KEY, [UNDER_WAY])])
    ended = {**UNDER_WAY, "ended_at": NOON + timedelta(hours=1), "tiles": {"materialized": 2}}

    database.commit([Replace("run_log", KEY, [ended])])

    assert database.rows("run_log") == [{**KEY, **ended}]


def test_a_run_has_no_end_before_it_ended(database: Database) -> None:
    database.commit([Replace("run_log", KEY, [UNDER_WAY])])

    assert [row["ended_at"] for row in database.rows("run_log")] == [None]


def test_a_database_made_before_there_was_a_run_log_gets_one(
    database: Database, database_url: str
) -> None:
    database.in_transaction(lambda open_: open_.run("DROP TABLE run_log"), write=True)
    database.close()

    with open_database(database_url) as other:
        other.ensure_schema([REGIONS], ["ndvi"])

        assert other.rows("run_log") == []
