"""Every format a boundaries file may have gives the same features."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pyogrio.raw
import pytest
import shapely

from spatial_assets.errors import VectorError
from spatial_assets.stores.vectors.read import read_features
from spatial_assets_tests.fixtures.boundary_files import (
    NAMES,
    SQUARES,
    read,
    write,
)


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return target


FORMATS = [
    ("GPKG", "a.gpkg"),
    ("GeoJSON", "a.geojson"),
    ("GeoJSONSeq", "a.geojsonl"),
    ("FlatGeobuf", "a.fgb"),
    ("GML", "a.gml"),
    ("OpenFileGDB", "a.gdb"),
    ("ESRI Shapefile", "a.shp"),
    ("ESRI Shapefile", "a.shp.zip"),
    ("SQLite", "a.sqlite"),
    ("MapInfo File", "a.tab"),
]


@pytest.mark.parametrize(("driver", "name"), FORMATS, ids=[name for _, name in FORMATS])
def test_every_format_gives_the_same_features(tmp_path: Path, driver: str, name: str) -> None:
    result = read(write(tmp_path / name, driver))

    kept = {feature.key: feature for feature in result.kept}
    assert sorted(kept) == ["1", "2", "3"]
    assert [kept[key].properties["name"] or None for key in ("1", "2", "3")] == NAMES
    for key, expected in zip(("1", "2", "3"), SQUARES, strict=True):
        assert shapely.symmetric_difference(kept[key].geometry, expected).area < 1e-9


@pytest.mark.parametrize(("driver", "name"), FORMATS, ids=[name for _, name in FORMATS])
def test_reading_writes_nothing_beside_the_source(tmp_path: Path, driver: str, name: str) -> None:
    write(tmp_path / name, driver)
    (tmp_path / "a.xsd").unlink(missing_ok=True)  # GML without its schema, as one gets it
    before = {file: file.stat().st_mtime_ns for file in sorted(tmp_path.rglob("*"))}

    assert len(read(tmp_path / name).kept) == 3

    assert {file: file.stat().st_mtime_ns for file in sorted(tmp_path.rglob("*"))} == before


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", None])
def test_geoparquet_is_read_without_gdal(tmp_path: Path, crs: str | None) -> None:
    frame = gpd.GeoDataFrame({"pid": [1, 2, 3], "name": NAMES}, geometry=SQUARES, crs="EPSG:4326")
    frame = frame.to_crs(crs) if crs else frame.set_crs(None, allow_override=True)
    frame.to_parquet(tmp_path / "a.parquet")

    if crs is None:
        with pytest.raises(VectorError, match="no CRS"):
            read(tmp_path / "a.parquet")
        return
    result = read(tmp_path / "a.parquet")
    assert [feature.key for feature in result.kept] == ["1", "2", "3"]
    assert result.kept[2].geometry.bounds == pytest.approx(SQUARES[2].bounds, abs=1e-9)


def test_geoparquet_that_leaves_out_its_crs_is_lonlat(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    gpd.GeoDataFrame({"pid": [1]}, geometry=SQUARES[:1], crs="EPSG:3857").to_parquet(path)
    table = pq.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    del geo["columns"]["geometry"]["crs"]
    pq.write_table(table.replace_schema_metadata({b"geo": json.dumps(geo)}), path)

    assert read(path, columns=()).kept[0].geometry.equals(SQUARES[0])


def test_parquet_without_geometry_metadata_is_refused(tmp_path: Path) -> None:
    gpd.GeoDataFrame({"pid": [1]}, geometry=SQUARES[:1]).drop(columns="geometry").to_parquet(
        tmp_path / "a.parquet"
    )

    with pytest.raises(VectorError, match="GeoParquet metadata"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize("driver", ["GPKG", "FlatGeobuf", "ESRI Shapefile", "GML"])
def test_a_file_in_utm_lands_in_lonlat(tmp_path: Path, driver: str) -> None:
    name = {"GPKG": "a.gpkg", "FlatGeobuf": "a.fgb", "GML": "a.gml"}.get(driver, "a.shp")
    utm = gpd.GeoSeries(SQUARES[:1], crs=4326).to_crs(32633)
    wkb = [shapely.to_wkb(utm.iloc[0])] * 3

    result = read(write(tmp_path / name, driver, crs="EPSG:32633", wkb=wkb))

    assert result.kept[0].geometry.bounds == pytest.approx(SQUARES[0].bounds, abs=1e-8)


def test_gml_in_the_axis_order_of_the_authority_lands_in_lonlat(tmp_path: Path) -> None:
    ring = "46 15 46 15.5 46.5 15.5 46.5 15 46 15"
    (tmp_path / "a.gml").write_text(
        '<?xml version="1.0"?><w:c xmlns:w="urn:w" xmlns:gml="http://www.opengis.net/gml/3.2">'
        '<w:member><w:a gml:id="a.1"><w:pid>1</w:pid><w:geom>'
        '<gml:Polygon gml:id="g" srsName="urn:ogc:def:crs:EPSG::4326"><gml:exterior>'
        f"<gml:LinearRing><gml:posList>{ring}</gml:posList></gml:LinearRing>"
        "</gml:exterior></gml:Polygon></w:geom></w:a></w:member></w:c>"
    )

    assert read(tmp_path / "a.gml", columns=()).kept[0].geometry.equals(SQUARES[0])


def test_the_feature_id_of_a_geopackage_can_be_the_key(tmp_path: Path) -> None:
    result = read(write(tmp_path / "a.gpkg", "GPKG"), key="fid")

    assert [feature.key for feature in result.kept] == ["1", "2", "3"]


def test_curves_are_made_of_lines(tmp_path: Path) -> None:
    half_disc = (
        "CURVEPOLYGON (COMPOUNDCURVE (CIRCULARSTRING (15 46, 15.5 46.5, 16 46), (16 46, 15 46)))"
    )
    table = tmp_path / "a.csv"
    table.write_text(f'pid,name,WKT\n1,x,"{half_disc}"\n')
    with pyogrio.raw.open_arrow(table, use_pyarrow=True) as (_, reader):
        curve = reader.read_all()["wkb_geometry"][0].as_py()
    path = write(tmp_path / "a.gpkg", "GPKG", wkb=[curve] * 3, kind="Unknown")

    (feature, *_) = read(path).kept

    assert feature.geometry.area == pytest.approx(np.pi * 0.5**2 / 2.0, rel=1e-3)


def test_a_file_with_several_layers_needs_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    for layer in ("roads", "parcels"):
        gpd.GeoDataFrame({"pid": [1]}, geometry=SQUARES[:1], crs=4326).to_file(path, layer=layer)

    with pytest.raises(VectorError, match=r"2 layers.*roads.*parcels.*name one"):
        read_features(str(path), columns=["pid"])
    with pytest.raises(VectorError, match="no layer 'rivers'"):
        read_features(str(path), columns=["pid"], layer="rivers")
    assert len(list(read_features(str(path), columns=["pid"], layer="parcels").features)) == 1


def test_a_zipped_shapefile_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    folder.mkdir()
    write(folder / "a.shp", "ESRI Shapefile")

    assert len(read(zipped(folder, tmp_path / "a.zip")).kept) == 3


def test_the_version_of_a_source_changes_with_its_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.shp", "ESRI Shapefile")
    before = read_features(str(path), columns=["pid"]).source.version
    assert read_features(str(path), columns=["pid"]).source.version == before

    shutil.copy(tmp_path / "a.dbf", tmp_path / "b.dbf")
    (tmp_path / "a.dbf").write_bytes((tmp_path / "b.dbf").read_bytes())

    assert read_features(str(path), columns=["pid"]).source.version != before
