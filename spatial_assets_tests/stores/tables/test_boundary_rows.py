"""A boundary table follows its features row by row: on both databases."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.rows import BoundarySet, Columns
from spatial_assets.stores.tables.boundary_rows import RowsWritten
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.stores.tables.sample_rows import REGIONS, region

Rows = dict[str, dict[str, object]]


def columns(rows: Rows) -> Columns:
    """The rows of a table by column."""
    first = next(iter(rows.values()))
    return Columns({name: [row[name] for row in rows.values()] for name in first})


def feature(key: str, version: int = 0) -> dict[str, object]:
    """The row of a feature, in one of its versions."""
    row = region(key, west=10.0 + version)
    return {
        **row,
        "boundary_key": key,
        "name": f"{key} {version}",
        "feature_fingerprint": f"{key}-{version}",
    }


def load(database: Database, rows: Rows, declared: BoundarySet = REGIONS) -> RowsWritten:
    return database.replace_boundaries(declared, columns(rows), types=declared.types)


def stored(database: Database) -> Rows:
    """The rows of the table, by key."""
    return {str(row["boundary_key"]): row for row in database.rows("regions")}


def test_one_changed_feature_writes_one_row(database: Database) -> None:
    rows = {str(n): feature(str(n)) for n in range(40)}
    assert load(database, rows) == RowsWritten(written=40, removed=0)

    rows["7"] = feature("7", version=1)

    assert load(database, rows) == RowsWritten(written=1, removed=0)
    assert load(database, rows) == RowsWritten(written=0, removed=0)
    assert stored(database)["7"]["name"] == "7 1"


@pytest.mark.parametrize("seed", range(3))
def test_after_any_edits_the_table_is_as_if_it_were_loaded_anew(
    database: Database, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test
    rows = {str(n): feature(str(n)) for n in range(30)}
    load(database, rows)

    for edit in range(1, 6):
        for key in chance.sample(sorted(rows), chance.randint(0, 4)):
            del rows[key]
        for key in map(str, chance.sample(range(40), chance.randint(0, 4))):
            rows[key] = feature(key, version=edit)
        keys = chance.sample(sorted(rows), len(rows))
        rows = {key: rows[key] for key in keys}
        load(database, rows)

        updated = stored(database)
        database.replace_all("regions", columns(rows))
        assert updated == stored(database)


def test_another_source_area_or_column_writes_all_rows(database: Database) -> None:
    rows = {str(n): feature(str(n)) for n in range(8)}
    load(database, rows)

    moved = {key: {**row, "source": "elsewhere.gpkg"} for key, row in rows.items()}
    assert load(database, moved).written == 8
    recomputed = {key: {**row, "area_m2": 1.5} for key, row in moved.items()}
    assert load(database, recomputed).written == 8
    typed = replace(REGIONS, types={**REGIONS.types, "name": "integer"})
    numbers = {key: {**row, "name": 5} for key, row in recomputed.items()}
    assert load(database, numbers, typed).written == 8
    assert {row["name"] for row in stored(database).values()} == {5}


def test_a_row_that_somebody_added_or_deleted_is_put_right(database: Database) -> None:
    rows = {str(n): feature(str(n)) for n in range(20)}
    load(database, rows)
    database.replace_all("regions", columns({**rows, "99": feature("99")}))
    assert load(database, rows) == RowsWritten(written=0, removed=1)

    del_one = {key: row for key, row in rows.items() if key != "3"}
    database.replace_all("regions", columns(del_one))

    assert load(database, rows) == RowsWritten(written=1, removed=0)
    assert stored(database).keys() == rows.keys()


def test_two_features_of_one_key_are_refused_and_the_old_rows_stay(database: Database) -> None:
    rows = {str(n): feature(str(n)) for n in range(20)}
    load(database, rows)

    twice = columns({**rows, "again": feature("3", version=2)})
    with pytest.raises(DatabaseError, match="same key"):
        database.replace_boundaries(REGIONS, twice, types=REGIONS.types)

    assert stored(database).keys() == rows.keys()
