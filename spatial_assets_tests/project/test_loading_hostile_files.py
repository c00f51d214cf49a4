"""Project and area files of hostile size or depth are refused quickly and with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatial_assets.errors import SettingsError
from spatial_assets.project import load_project, loading, polygons
from spatial_assets.project.polygons import read_area

GOOD = """
[area]
bbox = [15.0, 45.06, 16.44, 46.95]
[scenes]
catalog = "scenes"
sensor = "sentinel-2-l2a"
"""


def refused(folder: Path, text: str) -> str:
    (folder / "project.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_project(folder, {})
    return str(caught.value)


def test_a_project_file_of_a_megabyte_is_none(tmp_path: Path) -> None:
    told = refused(tmp_path, GOOD + "#" * loading.MAX_PROJECT_FILE_BYTES)

    assert "more than 1,048,576 bytes" in told


def test_a_byte_order_mark_before_the_first_table_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_text(GOOD, encoding="utf-8-sig")

    assert load_project(tmp_path, {}).area.bbox == (15.0, 45.06, 16.44, 46.95)


def test_a_project_file_in_utf_16_is_refused_with_the_encoding_to_use(tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_text(GOOD, encoding="utf-16")

    with pytest.raises(SettingsError, match=r"make it a readable UTF-8 file \(not UTF-16\)"):
        load_project(tmp_path, {})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = " + "[" * 100_000, id="arrays"),
        pytest.param("x = " + "{a=" * 100_000, id="tables"),
        pytest.param("[" + "a." * 100_000 + "a]", id="a-long-name"),
    ],
)
def test_a_project_file_nested_without_end_is_refused(tmp_path: Path, text: str) -> None:
    assert "project.toml" in refused(tmp_path, text)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[" * 1_000_000, id="deep"),
        pytest.param(
            b'{"type": "Polygon", "coordinates": [[[1e999, 0], [0, 1], [1, 1]]]}', id="inf"
        ),
        pytest.param(b'{"type": "Polygon", "coordinates": [[]]}', id="no-points"),
        pytest.param(b'{"type": "Polygon", "coordinates": [[["a", "b"]]]}', id="words"),
        pytest.param(b'{"features": "all"}', id="no-features"),
        pytest.param(b"\xff\xfe\x00", id="no-text"),
        pytest.param(b"null", id="null"),
    ],
)
def test_an_area_that_is_no_area_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "area.geojson"
    path.write_bytes(content)

    with pytest.raises(SettingsError):
        read_area(path)


def test_an_area_of_hostile_size_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polygons, "MAX_GEOJSON_BYTES", 1000)
    monkeypatch.setattr(polygons, "MAX_VECTOR_FILE_BYTES", 1000)
    for name in ("area.geojson", "area.gpkg"):
        path = tmp_path / name
        path.write_bytes(b" " * 1001)
        with pytest.raises(SettingsError, match="more than 1,000 bytes"):
            read_area(path)
