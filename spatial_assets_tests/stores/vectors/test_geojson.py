"""GeoJSON: its own CRS, and features of which each is broken in its own way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import shapely

from spatial_assets.errors import VectorError
from spatial_assets.stores.vectors import read as vectors
from spatial_assets_tests.fixtures.boundary_files import (
    collection,
    read,
    square,
)


@pytest.mark.parametrize(
    ("crs", "x"),
    [
        pytest.param(..., 15.0, id="rfc-7946"),
        pytest.param({"type": "name", "properties": {"name": "EPSG:4326"}}, 15.0, id="named"),
        pytest.param(
            {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}, 15.0, id="84"
        ),
        pytest.param({"type": "EPSG", "properties": {"code": 4326}}, 15.0, id="code"),
    ],
)
def test_geojson_is_lonlat_unless_it_names_a_crs(tmp_path: Path, crs: object, x: float) -> None:
    path = collection(tmp_path / "a.geojson", square(x), crs=crs)

    assert read(path).kept[0].geometry.bounds == pytest.approx((15.0, 46.0, 15.1, 46.1))


def test_geojson_with_its_own_projected_crs_is_understood(tmp_path: Path) -> None:
    geometry = shapely.geometry.mapping(shapely.box(500_000, 5_094_000, 501_000, 5_095_000))
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}

    (feature,) = read(collection(tmp_path / "a.geojson", geometry, crs=crs)).kept

    assert feature.geometry.bounds == pytest.approx((15.0, 46.0, 15.013, 46.009), abs=2e-3)


@pytest.mark.parametrize(
    "crs", [None, {"type": "link"}, {"properties": {"name": "EPSG:0"}}, "4326"]
)
def test_geojson_with_an_unusable_crs_is_refused(tmp_path: Path, crs: object) -> None:
    with pytest.raises(VectorError, match="CRS"):
        read(collection(tmp_path / "a.geojson", square(), crs=crs))


BROKEN_GEOJSON = [
    pytest.param({"type": "Polygonn", "coordinates": []}, "unreadable_geometry", id="type"),
    pytest.param("POLYGON ((0 0))", "unreadable_geometry", id="text"),
    pytest.param({"type": "Polygon", "coordinates": "abc"}, "unreadable_geometry", id="letters"),
    pytest.param({"type": "Polygon"}, "unreadable_geometry", id="no-coordinates"),
    pytest.param(
        {"type": "Polygon", "coordinates": [[[15, None], [16, 46], [16, 47], [15, 46]]]},
        "unreadable_geometry",
        id="null-in-a-position",
    ),
    pytest.param(
        {"type": "Polygon", "coordinates": [[[15], [16, 46], [16, 47], [15, 46]]]},
        "unreadable_geometry",
        id="half-a-position",
    ),
    pytest.param(
        {"type": "Polygon", "coordinates": [[[15, 1e400], [16, 46], [16, 47], [15, 46]]]},
        "bad_coordinate",
        id="infinite",
    ),
    pytest.param({"type": "Polygon", "coordinates": []}, "empty_geometry", id="empty"),
    pytest.param(None, "null_geometry", id="null"),
    pytest.param(
        {"type": "Polygon", "coordinates": [[[15, 46], [16, 46]]]}, "no_area", id="two-positions"
    ),
]


@pytest.mark.parametrize(("geometry", "reason"), BROKEN_GEOJSON)
def test_one_broken_geometry_does_not_cost_a_geojson_file(
    tmp_path: Path, geometry: object, reason: str
) -> None:
    result = read(collection(tmp_path / "a.geojson", square(), geometry, square(16.0)))

    assert [feature.key for feature in result.kept] == ["0", "2"]
    assert [(f.key, f.reason) for f in result.quarantined] == [("1", reason)]


def test_an_item_that_is_no_feature_is_quarantined_too(tmp_path: Path) -> None:
    path = collection(tmp_path / "a.geojson", square())
    document = json.loads(path.read_text())
    document["features"].append("nonsense")
    path.write_text(json.dumps(document))

    (quarantined,) = read(path).quarantined

    assert (quarantined.index, quarantined.reason) == (1, "unreadable_geometry")


@pytest.mark.parametrize(("geometry", "reason"), BROKEN_GEOJSON[:5])
def test_a_geojson_file_too_big_to_parse_ourselves_goes_through_gdal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, geometry: object, reason: str
) -> None:
    monkeypatch.setattr(vectors, "GEOJSON_BYTES", 0)

    result = read(collection(tmp_path / "a.geojson", square(), geometry, square(16.0)))

    assert [feature.key for feature in result.kept] == ["0", "2"]
    assert result.quarantined[0].reason in {reason, "null_geometry"}


def test_a_column_of_geojson_may_be_the_id_member(tmp_path: Path) -> None:
    path = collection(tmp_path / "a.geojson", square())
    document = json.loads(path.read_text())
    document["features"][0]["id"] = "SI-1"
    path.write_text(json.dumps(document))

    assert read(path, key="id").kept[0].key == "SI-1"
