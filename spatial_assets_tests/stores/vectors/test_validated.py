"""Validated boundaries as GeoParquet bytes, and the quarantine record."""

from __future__ import annotations

import datetime as dt
import io
import json

import geopandas as gpd
import pytest
import shapely

from spatial_assets.errors import VectorError
from spatial_assets.geo.vectors.features import RawFeature, ValidatedFeatures
from spatial_assets.geo.vectors.validate import validate_features
from spatial_assets.stores.vectors.validated import (
    library_versions,
    read_validated,
    write_quarantined,
    write_validated,
)
from spatial_assets_tests.fixtures.feature_factory import BOW_TIE, LONLAT, SQUARE

COLUMNS = ["name", "opened_on", "mixed", "nothing"]
FACTS = {"source": "regions.gpkg", "versions": {"gdal": "3.12.4"}}


def validated() -> ValidatedFeatures:
    opened = dt.date(2023, 8, 13)
    rows: list[dict[str, object]] = [
        {"id": 1, "name": "Čakovec", "opened_on": opened, "mixed": 1, "nothing": None},
        {"id": 2, "name": None, "opened_on": opened, "mixed": "a", "nothing": None},
        {"id": 3, "name": "lost", "opened_on": opened, "mixed": None, "nothing": None},
    ]
    features = [
        RawFeature(index=index, properties=row, wkb=wkb)
        for index, (row, wkb) in enumerate(
            zip(rows, [SQUARE.wkb, BOW_TIE.wkb, shapely.Point(15, 46).wkb], strict=True)
        )
    ]
    return validate_features(features, source_crs=LONLAT, key="id", columns=COLUMNS)


def test_what_is_written_is_read_back() -> None:
    sorted_out = validated()

    frame = read_validated(write_validated(sorted_out, columns=COLUMNS, facts=FACTS))

    assert list(frame.columns) == ["key", *COLUMNS, "area_m2", "feature_fingerprint", "geometry"]
    assert frame.crs.to_epsg() == 4326
    assert list(frame["key"]) == ["1", "2"]
    assert list(frame["mixed"]) == ["1", "a"]
    assert frame["opened_on"].iloc[0] == dt.date(2023, 8, 13)
    assert list(frame["feature_fingerprint"]) == [f.fingerprint for f in sorted_out.kept]
    assert all(
        shapely.equals_exact(geometry, feature.geometry, tolerance=0.0)
        for geometry, feature in zip(frame.geometry, sorted_out.kept, strict=True)
    )
    assert frame.attrs["source"] == "regions.gpkg"
    assert frame.attrs["fingerprint"] == sorted_out.fingerprint


def test_the_same_features_give_the_same_bytes() -> None:
    assert write_validated(validated(), columns=COLUMNS, facts=FACTS) == write_validated(
        validated(), columns=COLUMNS, facts=FACTS
    )


def test_a_set_without_a_usable_feature_is_written_and_read() -> None:
    nothing = validate_features([], source_crs=LONLAT, key="id", columns=["name"])

    frame = read_validated(write_validated(nothing, columns=["name"], facts={}))

    assert len(frame) == 0
    assert list(frame.columns) == ["key", "name", "area_m2", "feature_fingerprint", "geometry"]


def test_a_column_with_a_name_of_ours_is_refused() -> None:
    with pytest.raises(VectorError, match="area_m2 are reserved"):
        write_validated(validated(), columns=["area_m2"], facts={})


def test_a_foreign_parquet_file_is_not_taken_for_a_validated_one() -> None:
    buffer = io.BytesIO()
    gpd.GeoDataFrame({"key": ["1"]}, geometry=[SQUARE], crs=4326).to_parquet(buffer)

    for data in (buffer.getvalue(), b"PAR1", b""):
        with pytest.raises(VectorError, match="not a validated boundaries file"):
            read_validated(data)


def test_the_quarantine_record_loses_nothing() -> None:
    record = json.loads(write_quarantined(validated(), facts=FACTS))

    (feature,) = record["features"]
    assert (feature["index"], feature["key"], feature["reason"]) == (2, "3", "wrong_type")
    assert feature["properties"]["opened_on"] == "2023-08-13"
    assert shapely.from_wkb(feature["wkb"]).equals(shapely.Point(15, 46))
    assert record["crs"]["id"] == {"authority": "EPSG", "code": 4326}
    assert record["report"]["quarantined"] == 1


def test_the_versions_that_decide_coordinates_are_known() -> None:
    assert set(library_versions()) == {"gdal", "proj", "geos"}
