"""Text is decoded as the file declares, or costs its feature; no letter is ever replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatial_assets.geo.vectors.features import ValidatedFeatures
from spatial_assets.stores.vectors.read import read_features
from spatial_assets_tests.fixtures.boundary_files import read, write

WIDTH = 8  # bytes of "Čakovec" and "Ørsted" at least


def shapefile(folder: Path, raw: bytes, *, declared: str | None, driver: int = 0) -> Path:
    """A shapefile whose first name has these bytes.

    Args:
        folder: where it is written.
        raw: up to eight bytes.
        declared: content of the .cpg; None: there is none.
        driver: language driver in the header of the .dbf.
    """
    path = write(folder / "a.shp", "ESRI Shapefile")
    table = bytearray((folder / "a.dbf").read_bytes())
    at = table.index("Ørsted".encode())
    table[at : at + WIDTH - 1] = b"ascii  "
    at = table.index("Čakovec".encode())
    table[at : at + WIDTH] = raw.ljust(WIDTH)
    table[29] = driver
    (folder / "a.dbf").write_bytes(table)
    (folder / "a.cpg").unlink()
    if declared is not None:
        (folder / "a.cpg").write_text(declared)
    return path


def first_name(result: ValidatedFeatures) -> object:
    return result.kept[0].properties["name"]


@pytest.mark.parametrize(
    ("text", "codec", "declared"),
    [
        ("Ørsted", "utf-8", "UTF-8"),
        ("Ørsted", "utf-8", "65001"),
        ("Ørsted", "iso-8859-1", "ISO-8859-1"),
        ("Ørsted", "iso-8859-1", "88591"),
        ("Œuvre €", "cp1252", "1252"),
        ("Œuvre €", "cp1252", "ANSI 1252"),
        ("Čakovec", "cp1250", "CP1250"),
        ("Čakovec", "cp852", "OEM 852"),
        ("Šiauliai", "iso-8859-13", "ISO 8859-13"),
        ("Киев", "cp1251", "windows-1251"),
        ("Київ", "koi8-u", "KOI8-U"),
        ("中文", "big5", "Big5"),
        ("中文", "gbk", "GBK"),
        ("日本", "shift_jis", "SHIFT_JIS"),
        ("한국", "euc_kr", "EUC-KR"),
    ],
)
def test_text_is_decoded_as_its_cpg_declares(
    tmp_path: Path, text: str, codec: str, declared: str
) -> None:
    path = shapefile(tmp_path, text.encode(codec), declared=declared)

    assert first_name(read(path)) == text


@pytest.mark.parametrize(
    ("driver", "codec"), [(0x57, "iso-8859-1"), (0x03, "cp1252"), (0x02, "cp850"), (0x65, "cp866")]
)
def test_text_is_decoded_as_the_header_of_its_table_declares(
    tmp_path: Path, driver: int, codec: str
) -> None:
    text = "Ж" if codec == "cp866" else "é"
    path = shapefile(tmp_path, text.encode(codec), declared=None, driver=driver)

    assert first_name(read(path)) == text


@pytest.mark.parametrize("codec", ["utf-8", "iso-8859-1"])
def test_undeclared_text_is_utf8_or_the_default_of_dbase_and_said_so(
    tmp_path: Path, codec: str
) -> None:
    path = shapefile(tmp_path, "Ørsted".encode(codec), declared=None)

    opened = read_features(str(path), columns=["pid", "name"])

    assert next(opened.features).properties["name"] == "Ørsted"
    assert opened.notes == (
        f"a.dbf declares no encoding and is read as {codec.upper()}: add a .cpg file",
    )


def test_undeclared_ascii_raises_no_doubt(tmp_path: Path) -> None:
    path = shapefile(tmp_path, b"Celje", declared=None)

    assert read_features(str(path), columns=["pid"]).notes == ()


@pytest.mark.parametrize(
    ("raw", "declared"),
    [
        (b"\xd8rsted", "UTF-8"),  # latin-1
        (b"Caf\xe9", "UTF-8"),
        (b"\x81rsted", "1252"),  # not a character of Windows
        (b"\xd8rsted", "Klingon"),
    ],
)
def test_text_that_is_not_as_declared_costs_its_feature(
    tmp_path: Path, raw: bytes, declared: str
) -> None:
    result = read(shapefile(tmp_path, raw, declared=declared))

    assert [(f.key, f.reason) for f in result.quarantined] == [("1", "undecodable_text")]
    assert declared in result.quarantined[0].message
    assert [feature.key for feature in result.kept] == ["2", "3"]


def test_keys_that_cannot_be_decoded_stay_apart(tmp_path: Path) -> None:
    path = shapefile(tmp_path, b"A\xd8", declared="UTF-8")
    table = (tmp_path / "a.dbf").read_bytes()
    (tmp_path / "a.dbf").write_bytes(table.replace(b"ascii  ", b"A\xd9     "))

    result = read(path, key="name", columns=())

    assert [(f.key, f.reason) for f in result.quarantined][:2] == [
        ("A\\xd8", "undecodable_text"),
        ("A\\xd9", "undecodable_text"),
    ]


def test_a_column_name_is_decoded_too(tmp_path: Path) -> None:
    path = shapefile(tmp_path, b"x", declared="1252")
    table = (tmp_path / "a.dbf").read_bytes()
    (tmp_path / "a.dbf").write_bytes(table.replace(b"name\0", "größe".encode("cp1252"), 1))

    assert next(f.properties for f in read(path, columns=("größe",)).kept) == {"größe": "x"}


def test_geojson_in_latin_1_is_not_taken_for_utf8(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", "GeoJSON")
    path.write_bytes(path.read_text(encoding="utf-8").replace("Č", "C").encode("iso-8859-1"))

    result = read(path)

    assert [(f.key, f.reason) for f in result.quarantined] == [("2", "undecodable_text")]
    assert result.quarantined[0].properties["name"] == "\\xd8rsted"


@pytest.mark.parametrize("escape", ["\\ud800", "\\u0000"])
def test_text_that_no_database_stores_costs_its_feature(tmp_path: Path, escape: str) -> None:
    path = write(tmp_path / "a.geojson", "GeoJSON")
    path.write_text(path.read_text(encoding="utf-8").replace("Ørsted", escape), encoding="utf-8")

    assert [(f.key, f.reason) for f in read(path).quarantined] == [("2", "undecodable_text")]


def test_kml_in_latin_1_is_read_as_its_declaration_says(tmp_path: Path) -> None:
    path = write(tmp_path / "a.kml", "KML")
    text = path.read_text(encoding="utf-8").replace("Č", "C")
    path.write_bytes(text.replace("utf-8", "ISO-8859-1", 1).encode("iso-8859-1"))

    assert {f.properties["Name"] for f in read(path, columns=("Name",)).kept} > {"Ørsted"}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=st.binary(min_size=1, max_size=WIDTH), declared=st.sampled_from(["UTF-8", "1250"]))
def test_no_bytes_are_lost_or_replaced(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, declared: str
) -> None:
    raw = raw.replace(b"\0", b"0").strip() or b"x"
    path = shapefile(tmp_path_factory.mktemp("a"), raw, declared=declared)
    codec = "utf-8" if declared == "UTF-8" else "cp1250"

    result = read(path)

    try:
        expected = raw.ljust(WIDTH).decode(codec).rstrip(" ")
    except UnicodeDecodeError:
        assert [feature.key for feature in result.kept] == ["2", "3"]
    else:
        assert first_name(result) == expected
