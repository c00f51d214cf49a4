"""Writes are read back, are idempotent, and are never partial, on both databases."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
import shapely

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.rows import (
    BoundarySet,
    Renew,
    Replace,
    ReplaceAll,
    RowChange,
    TileInputs,
    TileWanted,
    Upsert,
)
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.stores.tables.sample_rows import (
    AUGUST,
    GRID,
    NOON,
    bad_scene,
    part,
    region,
    state,
    tile_row,
)


def test_a_row_is_read_as_it_was_written(database: Database) -> None:
    database.replace_all("regions", [region("a")])

    (row,) = database.rows("regions")
    geometry = row.pop("geometry")
    expected = {**region("a"), "boundary_key": "a"}
    square = expected.pop("geometry")
    assert row == expected
    assert isinstance(geometry, shapely.MultiPolygon)
    assert shapely.get_srid(geometry) == 4326
    assert geometry.equals(shapely.box(15.0, 46.0, 15.1, 46.1))
    assert isinstance(square, shapely.Polygon)


def test_replacing_twice_equals_replacing_once(database: Database) -> None:
    rows = [part("a"), part("b", min=None, max=None, weight=0.0)]
    database.replace_tile("ndvi_by_boundary", AUGUST, rows)
    once = database.rows("ndvi_by_boundary")

    database.replace_tile("ndvi_by_boundary", AUGUST, rows)

    assert database.rows("ndvi_by_boundary") == once
    assert [row["boundary_key"] for row in once] == ["a", "b"]


def test_only_the_rows_with_the_keys_are_replaced(database: Database) -> None:
    september = {**AUGUST, "period": "2023-09"}
    database.replace_tile("ndvi_by_boundary", AUGUST, [part("a"), part("b")])
    database.replace_tile("ndvi_by_boundary", september, [part("a")])

    database.replace_tile("ndvi_by_boundary", AUGUST, [part("c")])

    found = [(row["period"], row["boundary_key"]) for row in database.rows("ndvi_by_boundary")]
    assert found == [("2023-08", "c"), ("2023-09", "a")]


def test_replacing_by_nothing_leaves_nothing(database: Database) -> None:
    database.replace_tile("ndvi_by_boundary", AUGUST, [part("a")])
    database.replace_all("regions", [region("a")])

    database.replace_tile("ndvi_by_boundary", AUGUST, [])
    database.replace_all("regions", [])

    assert database.rows("ndvi_by_boundary") == []
    assert database.rows("regions") == []


def test_several_tables_change_together_or_not_at_all(database: Database) -> None:
    changes: list[RowChange] = [
        Replace("ndvi_by_boundary", AUGUST, [part("a")]),
        Replace("tile_index", AUGUST, [tile_row()]),
        Upsert("tile_state", [state()]),
    ]
    database.commit(changes)

    bad_state: dict[str, object] = {**vars(state()), "state": "melted"}
    with pytest.raises(DatabaseError):
        database.commit(
            [
                Replace("ndvi_by_boundary", AUGUST, []),
                ReplaceAll("regions", [region("a")]),
                Upsert("tile_state", [bad_state]),
            ]
        )

    assert len(database.rows("ndvi_by_boundary")) == 1
    assert len(database.rows("tile_index")) == 1
    assert database.rows("regions") == []


def test_all_boundaries_are_replaced_by_the_new_ones(database: Database) -> None:
    database.replace_all("regions", [region("a"), region("b")])

    database.replace_all("regions", [region("b", area=7.0), region("c")])

    found = [(row["region_id"], row["area_m2"]) for row in database.rows("regions")]
    assert found == [("b", 7.0), ("c", 100.0)]


def test_twenty_thousand_polygons_are_loaded_and_found_again(database: Database) -> None:
    rows = [region(str(n), west=-179 + 0.01 * n) for n in range(20_000)]

    database.replace_all("regions", rows)

    assert len(database.rows("regions")) == 20_000
    near = database.rows("regions", intersecting=shapely.Point(-179 + 100.005, 46.05))
    assert {row["region_id"] for row in near} == {str(n) for n in range(9_991, 10_001)}


def test_rows_are_chosen_by_value_by_list_and_by_null(database: Database) -> None:
    database.replace_all("regions", [region("a"), {**region("b"), "name": None}, region("c")])

    def keys(**where: object) -> list[object]:
        return [row["region_id"] for row in database.rows("regions", where)]

    assert keys(region_id="a") == ["a"]
    assert keys(region_id=["c", "a", "x"]) == ["a", "c"]
    assert keys(region_id=[]) == []
    assert keys(name=None) == ["b"]
    assert keys(people=12, region_id="'; DROP TABLE regions; --") == []
    assert len(keys()) == 3


def test_values_that_look_like_statements_are_only_values(database: Database) -> None:
    hostile = "x'); DROP TABLE regions; -- $1 %s %(a)s \\ \" {}"

    database.replace_all("regions", [{**region(hostile), "name": hostile}])

    (row,) = database.rows("regions", {"name": hostile})
    assert row["region_id"] == row["boundary_key"] == hostile


def test_a_key_may_occur_once(database: Database) -> None:
    with pytest.raises(DatabaseError, match="rows 0 and 2 have the same key"):
        database.replace_all("regions", [region("a"), region("b"), region("a")])


def test_rows_of_another_tile_are_not_smuggled_in(database: Database) -> None:
    with pytest.raises(DatabaseError, match=r"tile.*wanted '1202'"):
        database.replace_tile("ndvi_by_boundary", AUGUST, [part("a", tile="1203")])


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        pytest.param({}, "no keys", id="none"),
        pytest.param({"tile": None}, "tile", id="null"),
        pytest.param({"tyle": "1"}, "no column 'tyle'", id="unknown"),
    ],
)
def test_replacing_by_no_key_is_refused(
    database: Database, keys: dict[str, object], told: str
) -> None:
    with pytest.raises(DatabaseError, match=told):
        database.replace_tile("ndvi_by_boundary", keys, [])


def test_a_state_keeps_its_beginning_while_nothing_changes(database: Database) -> None:
    later = NOON + timedelta(hours=1)
    database.set_states([state(), state("1203")])

    database.set_states([state(since=later, evidence={"pixels": np.int64(4)})])
    database.set_states([{**vars(state("1203", since=later)), "fingerprint": "other"}])

    first, second = database.rows("tile_state")
    assert (first["since"], first["evidence"]) == (NOON, {"pixels": 4})
    assert second["since"] == later


def test_many_states_are_one_change(database: Database) -> None:
    database.set_states(state(str(n)) for n in range(1_000))
    database.set_states(state(str(n), since=NOON + timedelta(1)) for n in range(1_001))

    assert len(database.rows("tile_state")) == 1_001
    assert len(database.rows("tile_state", {"since": NOON})) == 1_000


def test_quarantine_keeps_its_start_and_starts_again_after_a_release(
    database: Database,
) -> None:
    first, second, third = (NOON + timedelta(days=n) for n in range(3))
    database.quarantine([bad_scene(seen=first), bad_scene("other", seen=first)])
    database.quarantine([bad_scene(seen=second)])
    where = {"grid_id": GRID, "kind": "scene", "subject": "S2A_33TWM"}

    (record,) = database.rows("quarantine", where)
    released = database.release(where, now=second)
    again = database.release(where, now=third)
    (free,) = database.rows("quarantine", where)
    database.quarantine([bad_scene(seen=third)])
    (anew,) = database.rows("quarantine", where)

    assert (record["first_seen"], record["last_seen"]) == (first, second)
    assert (released, again, free["released_at"]) == (1, 0, second)
    assert (anew["first_seen"], anew["released_at"]) == (third, None)
    assert len(database.rows("quarantine", {"released_at": None})) == 2


def test_of_two_records_of_one_subject_the_last_counts(database: Database) -> None:
    later = NOON + timedelta(hours=1)

    database.quarantine([bad_scene(), bad_scene(seen=later)])

    assert [row["last_seen"] for row in database.rows("quarantine")] == [later]


def test_rows_of_results_cannot_be_merged_and_states_not_be_misspelt(database: Database) -> None:
    with pytest.raises(DatabaseError, match="use Replace"):
        database.commit([Upsert("tile_index", [tile_row()])])
    with pytest.raises(DatabaseError, match="no table 'tile_stat' is declared"):
        database.rows("tile_stat")


def test_a_key_of_two_columns_is_one_text(empty_database: Database) -> None:
    towns = BoundarySet(
        name="towns", key=("country", "number"), types={"number": "integer"}, columns=()
    )
    empty_database.ensure_schema([towns])
    base = {k: v for k, v in region("a").items() if k in {"geometry", "area_m2", "source"}}
    base["feature_fingerprint"] = "f"

    empty_database.replace_all(
        "towns",
        [{**base, "country": "S|I", "number": 1}, {**base, "country": "S\\", "number": 1}],
    )

    keys = [row["boundary_key"] for row in empty_database.rows("towns")]
    assert sorted(map(str, keys)) == sorted(["S\\|I|1", "S\\\\|1"])


def test_the_inputs_of_a_tile_are_those_recorded_last(database: Database) -> None:
    first = {"raw_tile": {"scenes": "a", "settings": "s", "boundaries": ""}}
    second = {"raw_tile": {"scenes": "b", "settings": "s", "boundaries": ""}}
    later = NOON + timedelta(hours=1)

    for inputs, looked_at in ((first, NOON), (second, later)):
        row = TileInputs(grid_id=GRID, tile="1202", inputs=inputs, looked_at=looked_at)
        database.commit([Upsert("tile_inputs", [row])])

    assert database.rows("tile_inputs") == [
        {"grid_id": GRID, "tile": "1202", "inputs": second, "looked_at": later}
    ]


def test_a_newer_check_time_is_stored_for_existing_tiles_and_changes_nothing_else(
    database: Database,
) -> None:
    hour = timedelta(hours=1)
    made = {"raw_tile": {"scenes": "a", "settings": "s", "boundaries": ""}}
    for tile, looked_at in (("old", NOON - hour), ("new", NOON + hour), ("other", NOON - hour)):
        row = TileInputs(grid_id=GRID, tile=tile, inputs=made, looked_at=looked_at)
        database.commit([Upsert("tile_inputs", [row])])

    tiles = ["old", "new", "never made"]
    database.commit([Renew("tile_inputs", {"grid_id": GRID, "tile": tiles}, "looked_at", NOON)])

    rows = database.rows("tile_inputs")
    assert {row["tile"]: row["looked_at"] for row in rows} == {
        "old": NOON,
        "new": NOON + hour,
        "other": NOON - hour,
    }
    assert all(row["inputs"] == made for row in rows)


def test_a_change_keeps_when_and_why_it_was_seen_until_there_is_another(database: Database) -> None:
    def seen(wanted: str, why: str, *, hours: int) -> TileWanted:
        since = NOON + timedelta(hours=hours)
        return TileWanted(
            grid_id=GRID, tile="1202", stage="raw_tile", wanted=wanted, why=why, since=since
        )

    for change in (
        seen("a", "a scene is new", hours=0),
        seen("a", "looked again", hours=1),
        seen("b", "it changed", hours=2),
    ):
        database.commit([Upsert("tile_wanted", [change])])
        (row,) = database.rows("tile_wanted")
        if change.wanted == "a":
            assert (row["why"], row["since"]) == ("a scene is new", NOON)

    assert (row["wanted"], row["why"]) == ("b", "it changed")
    assert row["since"] == NOON + timedelta(hours=2)
    database.commit([Replace("tile_wanted", {"grid_id": GRID, "tile": "1202"}, ())])
    assert database.rows("tile_wanted") == []
