"""Real-world zip archives: subfolders, readmes, geodatabases, and files that macOS adds."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from spatial_assets.stores.vectors.archives import vector_member
from spatial_assets_tests.fixtures.boundary_files import read, write

CONTENTS = [
    ("GPKG", "a.gpkg", ""),
    ("GPKG", "a.gpkg", "deep/er/"),
    ("ESRI Shapefile", "a.shp", ""),
    ("ESRI Shapefile", "a.shp", "deep/er/"),
    ("OpenFileGDB", "a.gdb", ""),
    ("GeoJSON", "a.geojson", "deep/"),
    ("FlatGeobuf", "a.fgb", ""),
]


def archive_of(folder: Path, target: Path, *, below: str, litter: bool) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, below + str(file.relative_to(folder)))
        if litter:
            archive.writestr(below + "README.txt", "Licence: CC BY 4.0")
            archive.writestr(below + "metadata.xml", "<metadata/>")
            archive.writestr("__MACOSX/._a.shp", b"\0")
    return target


@pytest.mark.parametrize("litter", [False, True], ids=["bare", "with-readme"])
@pytest.mark.parametrize(("driver", "name", "below"), CONTENTS)
def test_an_archive_gives_the_features_of_the_file_within(
    tmp_path: Path, driver: str, name: str, below: str, *, litter: bool
) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    write(folder / name, driver)

    result = read(archive_of(folder, tmp_path / "a.zip", below=below, litter=litter))

    assert sorted(feature.key for feature in result.kept) == ["1", "2", "3"]


def test_a_zipped_shapefile_without_shx_is_recovered(tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    write(folder / "a.shp", "ESRI Shapefile")
    (folder / "a.shx").unlink()

    result = read(archive_of(folder, tmp_path / "a.zip", below="", litter=False))

    assert sorted(feature.key for feature in result.kept) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("paths", "member"),
    [
        ([], None),
        (["readme.txt"], None),
        (["x/a.shp", "x/a.dbf", "x/"], "x/a.shp"),
        (["x/a.shp", "x/b.shp"], "x"),
        (["a.shp", "b.shp"], None),
        (["a.shp", "b.gpkg"], None),
        (["A.GDB/", "A.GDB/a1.gdbtable", "notes.json"], "A.GDB"),
        (["a.gdb/t", "b.gdb/t"], None),
        (["features.json", "licence.txt"], "features.json"),
    ],
)
def test_the_member_is_the_only_vector_file_or_the_folder_that_holds_all(
    paths: list[str], member: str | None
) -> None:
    assert vector_member(paths) == member
