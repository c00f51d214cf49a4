"""Every format that is said to be read, plain and in archives, from the source to the table."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.stores.vectors.gdal import VECTOR_DRIVERS
from spatial_assets_tests.fixtures.boundary_chain import boundary_chain, names_by_key
from spatial_assets_tests.fixtures.boundary_files import SQUARES, write

EXPECTED = {"1": "Čakovec", "2": "Ørsted", "3": None}
FORMATS = {
    "r.gpkg": "GPKG",
    "r.shp": "ESRI Shapefile",
    "r.geojson": "GeoJSON",
    "r.geojsonl": "GeoJSONSeq",
    "r.fgb": "FlatGeobuf",
    "r.gdb": "OpenFileGDB",
    "r.gml": "GML",
    "r.kml": "KML",
    "r.kmz": "LIBKML",
    "r.sqlite": "SQLite",
    "r.tab": "MapInfo File",
    "r.mif": "MapInfo File",
    "r.fg.json": "JSONFG",
    "topo.json": "TopoJSON",
    "esri.json": "ESRIJSON",
    "r.parquet": "Parquet",
}


def make(folder: Path, name: str) -> Path:
    """The three squares in a format, in a folder of their own."""
    folder.mkdir(parents=True)
    driver = FORMATS[name]
    by_hand = {"TopoJSON": topojson, "ESRIJSON": esrijson, "Parquet": parquet}.get(driver)
    if by_hand is None:
        return write(folder / name, driver)
    by_hand(folder / name)
    return folder / name


def topojson(path: Path) -> None:
    features = [
        {"type": "Polygon", "arcs": [[i]], "properties": {"pid": i + 1, "name": name}}
        for i, name in enumerate(EXPECTED.values())
    ]
    arcs = [list(square.exterior.coords) for square in SQUARES]
    document = {
        "type": "Topology",
        "objects": {"r": {"type": "GeometryCollection", "geometries": features}},
        "arcs": arcs,
    }
    path.write_text(json.dumps(document))


def esrijson(path: Path) -> None:
    features = [
        {"attributes": {"pid": i + 1, "name": name}, "geometry": {"rings": [list(coordinates)]}}
        for i, (name, coordinates) in enumerate(
            zip(EXPECTED.values(), (s.reverse().exterior.coords for s in SQUARES), strict=True)
        )
    ]
    document = {
        "geometryType": "esriGeometryPolygon",
        "spatialReference": {"wkid": 4326},
        "fields": [
            {"name": "pid", "type": "esriFieldTypeInteger"},
            {"name": "name", "type": "esriFieldTypeString"},
        ],
        "features": features,
    }
    path.write_text(json.dumps(document))


def parquet(path: Path) -> None:
    columns = {"pid": [1, 2, 3], "name": list(EXPECTED.values())}
    gpd.GeoDataFrame(columns, geometry=SQUARES, crs=4326).to_parquet(path)


def zipped(folder: Path, target: Path, *, below: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, below + file.relative_to(folder).as_posix())
    return target


def plain(folder: Path, name: str) -> Path:
    return make(folder / "b", name)


def in_an_archive(folder: Path, name: str) -> Path:
    path = make(folder / "b", name)
    return zipped(path.parent, folder / f"{name}.zip")


def in_a_folder_of_an_archive(folder: Path, name: str) -> Path:
    make(folder / "b", name)
    (folder / "b" / "README.txt").write_text("Licence: CC BY 4.0")
    return zipped(folder / "b", folder / "areas 2023 [final].zip", below="deep/er/")


def in_an_archive_of_an_archive(folder: Path, name: str) -> Path:
    make(folder / "b", name)
    (folder / "z").mkdir()
    zipped(folder / "b", folder / "z" / "inner.zip")
    return zipped(folder / "z", folder / "outer.zip")


Packing = Callable[[Path, str], Path]
CASES: list[tuple[str, Packing]] = [
    *((name, packing) for name in FORMATS for packing in (plain, in_an_archive)),
    *(
        (name, packing)
        for name in ("r.gpkg", "r.shp", "r.gdb", "r.geojson", "r.tab")
        for packing in (in_a_folder_of_an_archive, in_an_archive_of_an_archive)
    ),
]


def test_the_formats_tested_are_those_accepted() -> None:
    assert set(FORMATS.values()) - {"Parquet"} == VECTOR_DRIVERS


@pytest.mark.parametrize(("name", "packing"), CASES)
def test_a_format_is_checked_fetched_validated_and_loaded(
    tmp_path: Path, name: str, packing: Packing
) -> None:
    source = packing(tmp_path / "s p a c e", name)
    column = "Name" if FORMATS[name] in {"KML", "LIBKML"} else "name"
    chain = boundary_chain(tmp_path / "project", source, lines=f"columns = ['{column}']")

    finding = chain.check()
    rows = chain.run()

    assert finding.passed, finding.detail
    assert {row["boundary_key"]: row[column] or None for row in rows} == EXPECTED
    for row, square in zip(rows, SQUARES, strict=True):
        geometry = row["geometry"]
        assert isinstance(geometry, BaseGeometry)
        assert shapely.symmetric_difference(geometry, square).area < 1e-8


@pytest.mark.parametrize("name", ["r.shp", "r.gdb", "r.gpkg"])
def test_a_folder_is_loaded_like_the_file_in_it(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / "b", name)
    chain = boundary_chain(tmp_path / "project", path.parent)

    assert chain.check().passed
    assert len(chain.run()) == 3


def test_the_geodatabase_at_the_root_of_a_gdb_zip_is_found(tmp_path: Path) -> None:
    path = make(tmp_path / "b", "r.gdb")
    chain = boundary_chain(tmp_path / "project", zipped(path, tmp_path / "r.gdb.zip"))

    assert chain.check().passed
    assert len(chain.run()) == 3


@pytest.mark.parametrize("name", ["r.shp", "r.tab", "r.mif"])
def test_a_sibling_with_a_longer_name_is_another_file(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / "b", name)
    for file in list(path.parent.iterdir()):
        shutil.copy(file, file.with_name(f"r.old{file.suffix}"))
    chain = boundary_chain(tmp_path / "project", path, lines="columns = ['name']")

    assert chain.check().passed
    assert len(chain.run()) == 3


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        ("r [2023].shp", "ESRI Shapefile"),
        ("r*.shp", "ESRI Shapefile"),
        ("r [2023].tab", "MapInfo File"),
        ("r#1.gpkg", "GPKG"),
        ("a?b.gpkg", "GPKG"),
        ("100 %41.fgb", "FlatGeobuf"),
        ("Größe, ö.geojson", "GeoJSON"),
    ],
)
def test_a_file_may_have_any_name(tmp_path: Path, name: str, driver: str) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    write(tmp_path / f"plain{Path(name).suffix}", driver)
    for file in tmp_path.glob("plain.*"):
        file.rename(folder / f"{Path(name).stem}{file.suffix}")
    chain = boundary_chain(tmp_path / "project", folder / name)

    assert chain.check().passed
    assert len(chain.run()) == 3


def test_names_in_capitals_belong_together(tmp_path: Path) -> None:
    path = make(tmp_path / "b", "r.shp")
    for file in list(path.parent.iterdir()):
        file.rename(file.with_name(file.name.upper()))
    chain = boundary_chain(tmp_path / "project", tmp_path / "b" / "R.SHP")

    assert chain.check().passed
    assert len(chain.run()) == 3


def test_what_a_geopackage_has_in_its_log_is_loaded(tmp_path: Path) -> None:
    path = make(tmp_path / "b", "r.gpkg")
    writer = sqlite3.connect(path)
    writer.execute("pragma journal_mode = wal")
    for (name,) in writer.execute("select name from sqlite_master where type = 'trigger'"):
        writer.execute(f'drop trigger "{name}"')
    writer.execute("update r set name = 'written since'")
    writer.commit()
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    assert (tmp_path / "b" / "r.gpkg-wal").stat().st_size > 0
    chain = boundary_chain(tmp_path / "project", path, lines="columns = ['name']")

    assert set(names_by_key(chain.run()).values()) == {"written since"}
    assert chain.check().passed
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    writer.close()


def test_the_layer_of_a_set_has_the_same_name_in_the_copy(tmp_path: Path) -> None:
    path = make(tmp_path / "b", "r.mif")
    chain = boundary_chain(tmp_path / "project", path, lines="layer = 'r'")

    assert chain.check().passed
    assert len(chain.run()) == 3


def test_an_archive_of_two_files_of_one_kind_is_read_by_layer(tmp_path: Path) -> None:
    path = make(tmp_path / "b", "r.shp")
    for file in list(path.parent.iterdir()):
        shutil.copy(file, file.with_name(f"other{file.suffix}"))
    archive = zipped(path.parent, tmp_path / "both.zip")

    vague = boundary_chain(tmp_path / "project", archive).check()
    chain = boundary_chain(tmp_path / "project", archive, lines="layer = 'r'")

    assert not vague.passed
    assert f"{archive} has 2 layers" in vague.detail
    assert len(chain.run()) == 3
