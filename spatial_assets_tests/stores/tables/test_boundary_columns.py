"""Columns of a boundary table have the types of the source, in PostGIS and DuckDB."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from spatial_assets.errors import DatabaseError
from spatial_assets.stores.rows import Columns
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.fixtures.boundary_chain import BoundaryChain, boundary_chain
from spatial_assets_tests.fixtures.boundary_files import SQUARES

VALUES: dict[str, list[object]] = {
    "count": [1, None, 2**53 + 1],
    "share": [0.5, None, 1.0],
    "opened": [date(2023, 8, 1), None, date(1999, 12, 31)],
    "seen": [datetime(2023, 8, 1, 12, tzinfo=UTC), None, datetime(1969, 1, 1, tzinfo=UTC)],
    "clock": [datetime(2023, 8, 1, 12, 30), None, datetime(1969, 1, 1)],  # noqa: DTZ001 - the point
    "open": [True, None, False],
    "name": ["Ø", None, "x"],
    "nothing": [None, None, None],
}
TYPES = {
    "pid": "integer",
    "count": "integer",
    "share": "number",
    "opened": "date",
    "seen": "timestamp",
    "clock": "local_timestamp",
    "open": "boolean",
    "name": "text",
}


def parquet(path: Path, **columns: list[object]) -> Path:
    frame = gpd.GeoDataFrame({"pid": [1, 2, 3]}, geometry=SQUARES, crs=4326)
    for name, values in (columns or VALUES).items():
        kind = {"count": "Int64", "open": "boolean"}.get(
            name, None if name == "share" else "object"
        )
        frame[name] = pd.Series(values, dtype=kind)
    frame.to_parquet(path)
    return path


def load(chain: BoundaryChain, database: Database) -> dict[str, list[object]]:
    """Load the set; column -> values, by key."""
    chain.validate()
    chain.steps.load(database)
    rows = database.rows("regions")
    return {name: [row[name] for row in rows] for name in rows[0]}


def chain_of(folder: Path, source: Path, *columns: str) -> BoundaryChain:
    lines = f"columns = {json.dumps([*columns])}"
    return boundary_chain(folder / "project", source, lines=lines)


def test_columns_keep_the_types_of_the_source(tmp_path: Path, empty_database: Database) -> None:
    chain = chain_of(tmp_path, parquet(tmp_path / "r.parquet"), *VALUES)

    found = load(chain, empty_database)

    assert {name: found[name] for name in VALUES} == VALUES
    assert found["pid"] == [1, 2, 3]
    assert found["boundary_key"] == ["1", "2", "3"]
    kinds = {type(value) for name in VALUES for value in found[name] if value is not None}
    assert kinds == {int, float, date, datetime, bool, str}
    assert chain.steps.load(empty_database).facts["types"] == TYPES
    assert empty_database.inspect_table("regions").is_sound


def test_a_table_of_text_is_migrated_with_the_run(tmp_path: Path, empty_database: Database) -> None:
    chain = chain_of(tmp_path, parquet(tmp_path / "r.parquet"), *VALUES)
    empty_database.ensure_schema(chain.project.boundaries, ["ndvi"])
    old: dict[str, list[object]] = {
        "boundary_key": ["old"],
        "pid": ["old"],
        **{name: ["as text"] for name in VALUES},
        "geometry": [shapely.MultiPolygon(SQUARES[:1])],
        "area_m2": [1.0],
        "feature_fingerprint": ["x"],
        "source": ["x"],
    }
    empty_database.replace_all("regions", Columns(old))
    assert empty_database.rows("regions")[0]["count"] == "as text"

    found = load(chain, empty_database)

    assert {name: found[name] for name in VALUES} == VALUES
    assert empty_database.rows("ndvi_by_boundary_merged") == []  # the view on it still works


def test_a_column_whose_values_change_their_type_changes_it(
    tmp_path: Path, empty_database: Database
) -> None:
    source = parquet(tmp_path / "r.parquet", count=[1, 2, 3])
    chain = chain_of(tmp_path, source, "count")
    assert load(chain, empty_database)["count"] == [1, 2, 3]

    gpd.GeoDataFrame(
        {"pid": ["a", "b", "c"], "count": ["1", "2", "n/a"]}, geometry=SQUARES, crs=4326
    ).to_parquet(source)

    found = load(chain, empty_database)
    assert (found["pid"], found["count"]) == (["a", "b", "c"], ["1", "2", "n/a"])


def test_a_column_that_lost_all_values_keeps_its_type(
    tmp_path: Path, empty_database: Database
) -> None:
    source = parquet(tmp_path / "r.parquet", count=[1, 2, 3])
    chain = chain_of(tmp_path, source, "count")
    load(chain, empty_database)
    before = empty_database.relations()["regions"]["count"]

    parquet(source, count=[None, None, None])

    assert load(chain, empty_database)["count"] == [None, None, None]
    assert empty_database.relations()["regions"]["count"] == before


def test_another_process_that_knows_no_types_leaves_them(tmp_path: Path, database_url: str) -> None:
    chain = chain_of(tmp_path, parquet(tmp_path / "r.parquet"), *VALUES)
    with open_database(database_url) as first:
        load(chain, first)
        types = first.relations()["regions"]

    with open_database(database_url) as second:
        second.ensure_schema(chain.project.boundaries, chain.project.indices.names)

        assert second.relations()["regions"] == types
        assert second.inspect_table("regions").is_sound
        assert [row["count"] for row in second.rows("regions", {"pid": 3})] == [2**53 + 1]


def test_a_failed_load_leaves_rows_and_types(tmp_path: Path, empty_database: Database) -> None:
    chain = chain_of(tmp_path, parquet(tmp_path / "r.parquet", count=[1, 2, 3]), "count")
    found = load(chain, empty_database)
    types = empty_database.relations()["regions"]
    rows = Columns({**found, "boundary_key": ["1", "1", "2"], "count": [date(2023, 8, 1)] * 3})

    with pytest.raises(DatabaseError, match="the same key"):
        empty_database.replace_boundaries(chain.steps.settings, rows, types={"count": "date"})

    empty_database.ensure_schema(chain.project.boundaries)
    assert empty_database.relations()["regions"] == types
    assert [row["count"] for row in empty_database.rows("regions")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, "a", True], ["1", "a", "true"]),
        ([1.5, float("inf"), 2.0], ["1.5", "inf", "2.0"]),
        ([2**64, 1, 2], [str(2**64), "1", "2"]),
        ([1, 2.5, None], [1.0, 2.5, None]),
        ([["a"], {"b": 1}, 1], ['["a"]', '{"b": 1}', "1"]),
    ],
    ids=["mixed", "infinite", "large", "int-and-float", "nested"],
)
def test_values_of_no_common_type_are_text(
    tmp_path: Path, values: list[object], expected: list[object]
) -> None:
    features = [
        {"type": "Feature", "properties": {"pid": i, "v": value}, "geometry": geometry}
        for i, (value, geometry) in enumerate(
            zip(values, (shapely.geometry.mapping(square) for square in SQUARES), strict=True)
        )
    ]
    path = tmp_path / "r.geojson"
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": features}).replace("Infinity", "1e999")
    )

    rows = chain_of(tmp_path, path, "v").run()

    assert [row["v"] for row in rows] == expected
