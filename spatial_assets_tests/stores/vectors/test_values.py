"""Values of columns of every format become those that a table has."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest

from spatial_assets.stores.vectors.values import plain_value
from spatial_assets_tests.fixtures.boundary_files import SQUARES, read, write


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2.5, 2.5),
        ("Ø", "Ø"),
        (date(2023, 8, 1), date(2023, 8, 1)),
        (datetime(2023, 8, 1, 12, tzinfo=UTC), datetime(2023, 8, 1, 12, tzinfo=UTC)),
        (pd.Timestamp("2023-08-01T12:00:00Z"), datetime(2023, 8, 1, 12, tzinfo=UTC)),
        (Decimal("12.50"), 12.5),
        (Decimal("12.00"), 12),
        (time(12, 30), "12:30:00"),
        (b"\x01\xff", "01ff"),
        (["park", "landmark"], '["park", "landmark"]'),
        ({"de": "Größe", "n": None}, '{"de": "Größe", "n": null}'),
        ([date(2023, 8, 1)], '["2023-08-01"]'),
    ],
)
def test_a_value_has_a_type_of_a_table(value: object, expected: object) -> None:
    result = plain_value(value)

    assert result == expected
    assert type(result) is type(expected)


def test_a_list_in_geoparquet_is_json_text(tmp_path: Path) -> None:
    columns = {"pid": [1, 2, 3], "name": [["a", "b"], [], None]}
    gpd.GeoDataFrame(columns, geometry=SQUARES, crs=4326).to_parquet(tmp_path / "a.parquet")

    names = [feature.properties["name"] for feature in read(tmp_path / "a.parquet").kept]

    assert names == ['["a", "b"]', "[]", None]


@pytest.mark.parametrize(
    ("name", "driver", "first"),
    [
        ("a.shp", "ESRI Shapefile", 0),
        ("a.fgb", "FlatGeobuf", 0),
        ("a.geojson", "GeoJSON", 0),
        ("a.tab", "MapInfo File", 1),
        ("a.gpkg", "GPKG", 1),
    ],
)
def test_the_number_of_a_feature_can_be_the_key_of_any_format(
    tmp_path: Path, name: str, driver: str, first: int
) -> None:
    result = read(write(tmp_path / name, driver), key="fid")

    assert sorted(f.key for f in result.kept) == [str(first + i) for i in range(3)]
