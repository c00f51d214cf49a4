"""Defects that cost a feature or a whole file, and their messages."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest
import shapely

from spatial_assets.errors import VectorError
from spatial_assets.geo.vectors.validate import validate_features
from spatial_assets.stores.vectors.read import ReadLimits, read_features
from spatial_assets_tests.fixtures.boundary_files import (
    SQUARES,
    read,
    update,
    write,
)


def test_a_damaged_geometry_in_a_geopackage_costs_one_feature(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", "GPKG")
    update(path, "update a set geom = x'4750000100' where pid = 2")

    result = read(path)

    assert [feature.key for feature in result.kept] == ["1", "3"]
    assert result.quarantined[0].reason in {"null_geometry", "unreadable_geometry"}


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="no column 'parcel'; it has 'pid', 'name'"):
        read(write(tmp_path / "a.fgb", "FlatGeobuf"), key="parcel")


def test_a_shapefile_without_prj_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.shp", "ESRI Shapefile")
    (tmp_path / "a.prj").unlink()

    with pytest.raises(VectorError, match=r"no CRS.*never guessed"):
        read(tmp_path / "a.shp")


def test_a_shapefile_without_shx_is_recovered_without_touching_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "a.shp", "ESRI Shapefile")
    (tmp_path / "a.shx").unlink()
    before = sorted(file.name for file in tmp_path.iterdir())
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)

    keys = [[f.key for f in read(path).kept] for path in (tmp_path / "a.shp", tmp_path)]

    tmp_path.chmod(stat.S_IRWXU)
    assert keys == [["1", "2", "3"]] * 2
    assert sorted(file.name for file in tmp_path.iterdir()) == before


def test_a_shapefile_without_dbf_has_no_key(tmp_path: Path) -> None:
    write(tmp_path / "a.shp", "ESRI Shapefile")
    (tmp_path / "a.dbf").unlink()

    with pytest.raises(VectorError, match=r"no column 'pid'.*\.dbf of a\.shp is missing"):
        read(tmp_path / "a.shp")


def test_a_shapefile_in_latin_1_keeps_its_letters(tmp_path: Path) -> None:
    write(tmp_path / "a.shp", "ESRI Shapefile")
    (tmp_path / "a.cpg").unlink()
    table = (tmp_path / "a.dbf").read_bytes()
    (tmp_path / "a.dbf").write_bytes(table.replace("Ørsted".encode(), b"\xd8rsted "))

    assert read(tmp_path / "a.shp").kept[1].properties["name"] == "Ørsted"


def test_text_that_is_not_utf8_costs_its_feature_and_not_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", "GPKG")
    update(path, "update a set name = cast(x'41ff42' as text) where pid = 2")

    result = read(path)

    assert [feature.key for feature in result.kept] == ["1", "3"]
    assert [(f.key, f.reason) for f in result.quarantined] == [("2", "undecodable_text")]
    assert result.quarantined[0].properties["name"] == "A\\xffB"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("a.gpkg", b"", "empty", id="empty"),
        pytest.param("a.gpkg", b"<html>503 Slow Down</html>", "cannot read", id="error-page"),
        pytest.param(
            "a.geojson", b'{"type": "FeatureCollection", "features": [{', "complete", id="cut"
        ),
        pytest.param("a.geojson", b"[1, 2", "not complete GeoJSON", id="no-object"),
        pytest.param("a.zip", b"PK\x03\x04 and no more", "zip", id="cut-zip"),
        pytest.param("a.parquet", b"PAR1 and no more", "Parquet", id="cut-parquet"),
        pytest.param("a.csv", b"pid,WKT\n1,POINT (0 0)\n", "is CSV; wanted", id="table"),
        pytest.param("a.vrt", b"<OGRVRTDataSource></OGRVRTDataSource>", "layers", id="virtual"),
    ],
)
def test_a_file_that_is_something_else_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(VectorError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("driver", "name", "part"),
    [
        ("GPKG", "a.gpkg", "a.gpkg"),
        ("FlatGeobuf", "a.fgb", "a.fgb"),
        ("GML", "a.gml", "a.gml"),
        ("KML", "a.kml", "a.kml"),
        ("GeoJSON", "a.geojson", "a.geojson"),
        ("SQLite", "a.sqlite", "a.sqlite"),
        ("ESRI Shapefile", "a.shp", "a.dbf"),
        ("MapInfo File", "a.tab", "a.map"),
    ],
)
def test_a_file_cut_short_is_refused(tmp_path: Path, driver: str, name: str, part: str) -> None:
    path = write(tmp_path / name, driver, wkb=[shapely.to_wkb(SQUARES[0])] * 300)
    whole = (tmp_path / part).read_bytes()
    (tmp_path / part).write_bytes(whole[: int(len(whole) * 0.6)])

    with pytest.raises(VectorError):
        read(path, columns=())


@pytest.mark.parametrize("driver", ["GeoJSONSeq", "ESRI Shapefile"])
def test_a_file_cut_short_within_its_geometries_loses_none_silently(
    tmp_path: Path, driver: str
) -> None:
    path = tmp_path / ("a.shp" if driver == "ESRI Shapefile" else "a.geojsonl")
    write(path, driver)
    path.write_bytes(path.read_bytes()[:-20])

    result = read(path)

    assert [feature.key for feature in result.kept] == ["1", "2"]
    assert len(result.quarantined) == 1


def test_a_deleted_row_of_a_shapefile_is_not_a_lost_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.shp", "ESRI Shapefile")
    table = bytearray((tmp_path / "a.dbf").read_bytes())
    header, record = struct.unpack("<HH", table[8:12])
    table[header + record] = ord("*")
    (tmp_path / "a.dbf").write_bytes(table)

    assert [feature.key for feature in read(path).kept] == ["1", "3"]


@pytest.mark.parametrize("source", ["/nowhere/a.gpkg", "https://example.org/a.gpkg", "s3://bucket"])
def test_a_source_that_is_not_there_is_refused(source: str) -> None:
    with pytest.raises(VectorError):
        read(source)


def test_a_file_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.gpkg", "GPKG"))

    with pytest.raises(VectorError, match="limit"):
        read_features(path, columns=["pid"], limits=ReadLimits(file_bytes=100))
    with pytest.raises(VectorError, match="3 features; the limit is 2"):
        read_features(path, columns=["pid"], limits=ReadLimits(features=2))
    geojson = str(write(tmp_path / "a.geojson", "GeoJSON"))
    many = read_features(geojson, columns=["pid"], limits=ReadLimits(features=2))
    with pytest.raises(VectorError, match="more than 2 features"):
        list(many.features)


def test_a_geometry_beyond_the_limit_costs_one_feature(tmp_path: Path) -> None:
    disc = shapely.Point(15, 46).buffer(1.0)
    wkb = [shapely.to_wkb(geometry) for geometry in (SQUARES[0], disc, SQUARES[2])]
    path = str(write(tmp_path / "a.gpkg", "GPKG", wkb=wkb))

    opened = read_features(path, columns=["pid"], limits=ReadLimits(geometry_bytes=500))
    result = validate_features(opened.features, source_crs=opened.crs, key="pid")

    assert [(f.key, f.reason) for f in result.quarantined] == [("2", "too_large")]


def test_an_archive_that_unpacks_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.gpkg", b"\0" * 1_000_000)

    with pytest.raises(VectorError, match="unpacks to 1,000,000 bytes"):
        read_features(
            str(tmp_path / "a.zip"), columns=["pid"], limits=ReadLimits(file_bytes=100_000)
        )
