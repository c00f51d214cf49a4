"""The table [area] accepts a box, or a file of any format and CRS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import shapely

from spatial_assets.errors import SettingsError
from spatial_assets.project import Project

Load = Callable[..., Project]

AREA = "[area]\nbbox = [15.0, 45.06, 16.44, 46.95]\n"
SCENES = '[scenes]\ncatalog = "scenes"\nsensor = "sentinel-2-l2a"\n'


def test_a_box_whose_west_exceeds_its_east_crosses_the_antimeridian(load: Load) -> None:
    area = load(area="[area]\nbbox = [179.0, -18.0, -178.0, -16.0]\n").area_geometry

    assert area.geom_type == "MultiPolygon"
    assert [part.bounds for part in shapely.get_parts(area)] == [
        (179.0, -18.0, 180.0, -16.0),
        (-180.0, -18.0, -178.0, -16.0),
    ]


@pytest.mark.parametrize("wrapped", ["geometry", "feature", "collection"])
def test_an_area_may_be_a_geojson_file(load: Load, tmp_path: Path, wrapped: str) -> None:
    square = shapely.box(15, 45, 16, 46)
    document: dict[str, object] = square.__geo_interface__
    if wrapped != "geometry":
        document = {"type": "Feature", "properties": {}, "geometry": document}
    if wrapped == "collection":
        document = {"type": "FeatureCollection", "features": [document]}
    (tmp_path / "area.geojson").write_text(json.dumps(document), encoding="utf-8")

    assert load(area="[area]\nfile = 'area.geojson'\n").area_geometry.equals(square)


def test_an_area_file_in_another_crs_is_brought_to_degrees(load: Load, tmp_path: Path) -> None:
    square = shapely.box(500_000, 5_000_000, 510_000, 5_010_000)
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    document = {**square.__geo_interface__, "crs": crs}
    (tmp_path / "area.geojson").write_text(json.dumps(document), encoding="utf-8")

    west, south, east, north = load(area="[area]\nfile = 'area.geojson'\n").area_geometry.bounds

    assert west == pytest.approx(15.0)
    assert south == pytest.approx(45.153, abs=0.001)
    assert east == pytest.approx(15.1274, abs=0.001)
    assert north == pytest.approx(45.243, abs=0.001)


def test_an_area_may_be_any_vector_file(load: Load, tmp_path: Path) -> None:
    import geopandas as gpd  # noqa: PLC0415

    square = shapely.box(15, 45, 16, 46)
    gpd.GeoDataFrame(geometry=[square], crs=4326).to_crs(3035).to_file(tmp_path / "area.gpkg")

    area = load(area="[area]\nfile = 'area.gpkg'\n").area_geometry

    assert area.symmetric_difference(square).area < 0.01


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, "feature 0 is a Point"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
            "not valid",
        ),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [5e5, 0], [5e5, 5e5], [0, 0]]]},
            "not degrees",
        ),
        ({"type": "FeatureCollection", "features": []}, "no geometry"),
        ({"hello": 1}, "is not GeoJSON"),
        ([1], "is not GeoJSON"),
    ],
)
def test_an_area_file_without_an_area_is_refused(
    load: Load, tmp_path: Path, document: object, wrong: str
) -> None:
    (tmp_path / "area.geojson").write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(SettingsError, match=r'area.file = "area.geojson"') as refused:
        load(area="[area]\nfile = 'area.geojson'\n")

    assert wrong in str(refused.value)
