"""Reading less than whole rows."""

from __future__ import annotations

import pytest

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.stores.tables.sample_rows import AUGUST, part, state


def test_each_combination_of_named_columns_is_read_once(database: Database) -> None:
    for tile in ("1203", "1202"):
        keys = {**AUGUST, "tile": tile, "boundary_table": "regions"}
        database.replace_tile("ndvi_by_boundary", keys, [{**keys, **part(b)} for b in "ab"])

    found = database.rows("ndvi_by_boundary", columns=["tile", "grid_id"])

    assert found == [{"tile": tile, "grid_id": AUGUST["grid_id"]} for tile in ("1202", "1203")]
    assert database.rows("ndvi_by_boundary", {"tile": "none"}, columns=["tile"]) == []


def test_very_many_tiles_are_read_in_one_query(database: Database) -> None:
    database.set_states([state("1203"), state("1202"), state("1201")])
    tiles = [f"{number:09d}" for number in range(70_000)]

    found = database.rows("tile_state", {"tile": ["1203", *tiles, "1202"]})

    assert [row["tile"] for row in found] == ["1202", "1203"]


def test_a_column_that_is_not_there_is_refused(database: Database) -> None:
    with pytest.raises(DatabaseError, match="no column 'nothing'"):
        database.rows("tile_index", columns=["nothing"])
