"""Mistakes in products, scenes and storage of project.toml: file, key, value and remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spatial_assets.errors import SettingsError
from spatial_assets.indices import INDICES
from spatial_assets.project import load_project
from spatial_assets.stores.tables.declarations import declare

Refusal = Callable[..., str]

DECLARED = declare((), INDICES)
SCENES = '[scenes]\ncatalog = "scenes"\nsensor = "sentinel-2-l2a"\n'
BOUNDARIES = '[[boundaries]]\nname = "regions"\nsource = "r.gpkg"\nkey = "id"\n'


@pytest.mark.parametrize("text", ["5", "5 fortnights", "0 days", 5, "-1 days", "five days"])
def test_a_duration_that_is_none_is_refused(refusal: Refusal, text: object) -> None:
    shown = json.dumps(text)
    message = refusal(f"[freshness]\nraw_tile = {{ warn = {shown}, fail = '9 days' }}\n")

    assert f"freshness.raw_tile.warn = {shown}" in message
    assert "5 days" in message


def test_freshness_that_fails_before_it_warns_is_refused(refusal: Refusal) -> None:
    message = refusal("[freshness]\nraw_tile = { warn = '5 days', fail = '2 days' }\n")

    assert 'freshness.raw_tile.fail = "2 days"' in message
    assert "make warn shorter than fail" in message


def test_freshness_of_an_asset_that_does_not_exist_is_refused(refusal: Refusal) -> None:
    message = refusal("[freshness]\nraw_tiles = { warn = '5 days', fail = '9 days' }\n")

    assert (
        "freshness.raw_tiles: is not an asset of this project; did you mean 'raw_tile'?" in message
    )


def test_an_unknown_index_is_refused(refusal: Refusal) -> None:
    message = refusal("[indices]\nnames = ['ndvj']\n")

    assert "indices.names = \"ndvj\": is not a known index; did you mean 'ndvi'?" in message


def test_an_index_that_stands_twice_is_refused(refusal: Refusal) -> None:
    assert "is given twice" in refusal("[indices]\nnames = ['ndvi', 'ndvi']\n")


def test_an_index_whose_band_the_sensor_lacks_is_refused(refusal: Refusal) -> None:
    scenes = (
        '[scenes]\ncatalog = "s"\nsensor = { name = "cam", bands = { red = "r", green = "g" } }\n'
    )
    message = refusal(scenes=scenes)

    assert 'indices.names = "ndvi": needs the bands red, nir' in message or (
        'indices.names = "ndvi": needs the bands nir, red' in message
    )
    assert "sensor 'cam' has no nir (it has red, green)" in message
    assert "add nir to scenes.sensor.bands" in message


def test_an_unknown_sensor_is_refused_with_those_that_are_known(refusal: Refusal) -> None:
    message = refusal(scenes='[scenes]\ncatalog = "s"\nsensor = "sentinel-3"\n')

    assert 'scenes.sensor = "sentinel-3"' in message
    assert "landsat-c2-l2 or sentinel-2-l2a, or describe it in a table [scenes.sensor]" in message


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('class_band = "scl"', "scenes.sensor.class_band"),
        ('class_band = "q"\nclear_classes = [1]\ncloud_bits = [1]', "scenes.sensor.class_band"),
        ("clear_classes = [4]", "scenes.sensor.clear_classes"),
        ('class_band = "q"\ncloud_bits = [16]', "scenes.sensor.cloud_bits.0 = 16"),
        ("scale = 0.0", "scenes.sensor.scale = 0.0"),
        ("clouds = [9]", "scenes.sensor.clouds"),
        ('class_band = "q"\nclear_classes = [4]\nshadows = [4]', "scenes.sensor.shadows"),
        ('class_band = "q"\ncloud_bits = [3]\nclouds = [4]', "scenes.sensor.clouds"),
    ],
)
def test_a_sensor_of_ones_own_must_make_sense(refusal: Refusal, table: str, key: str) -> None:
    bands = 'bands = { red = "r", nir = "n" }'
    scenes = f'[scenes]\ncatalog = "s"\n[scenes.sensor]\n{bands}\n{table}\n'

    assert key in refusal(scenes=scenes)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param('"120"', 'scenes.cloud_buffer = "120": is not a distance', id="no-unit"),
        pytest.param('"2 km"', 'write metres on the ground, for example "120 m"', id="kilometres"),
        pytest.param('"-5 m"', "is not a distance", id="negative"),
        pytest.param('"20000 m"', "is more than 10,000 m", id="too-wide"),
        pytest.param(
            '{ cloud = "120 m", shadow = "x" }', 'cloud_buffer.shadow = "x"', id="one-of-a-table"
        ),
        pytest.param('{ cirrus = "120 m" }', "cloud_buffer.cirrus", id="another-class"),
    ],
)
def test_a_margin_that_is_no_distance_is_refused(
    refusal: Refusal, value: str, message: str
) -> None:
    assert message in refusal(scenes=f"{SCENES}cloud_buffer = {value}\n")


def test_a_margin_round_clouds_that_the_sensor_does_not_name_is_refused(refusal: Refusal) -> None:
    table = (
        'bands = { red = "r", nir = "n" }\nclass_band = "q"\nclear_classes = [4]\nclouds = [9]\n'
    )
    scenes = f'[scenes]\ncatalog = "s"\ncloud_buffer = "120 m"\n[scenes.sensor]\n{table}'

    message = refusal(scenes=scenes)

    assert "scenes.cloud_buffer = \"120 m\": sensor 'own' has no classes of shadows" in message
    assert 'name shadows in [scenes.sensor], or write "0 m"' in message


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("2023-08", "not a day or time: '2023-08'"),
        ("2023-08-31/2023-08-01", "ends before it begins"),
        ("../..", "has two open ends"),
        ("august", "not a day or time: 'august'"),
    ],
)
def test_a_datetime_that_is_no_interval_is_refused(refusal: Refusal, text: str, wrong: str) -> None:
    message = refusal(scenes=f'{SCENES}datetime = "{text}"\n')

    assert f'scenes.datetime = "{text}": {wrong}; write a day or a range' in message


def test_an_endpoint_that_is_no_url_is_refused(refusal: Refusal) -> None:
    message = refusal("[scenes.source]\nendpoint = 'minio:9000'\n")

    assert 'scenes.source.endpoint = "minio:9000"' in message
    assert "https://" in message


@pytest.mark.parametrize(
    "name",
    [
        *("ndvi", "raw_tile", "reprojected_raster"),
        *DECLARED.metadata.tables,
        *DECLARED.views,
        *("spatial_ref_sys", "geometry_columns"),
    ],
)
def test_boundaries_may_not_take_the_name_of_something_else(refusal: Refusal, name: str) -> None:
    message = refusal(BOUNDARIES.replace("regions", name))

    assert f'boundaries.0.name = "{name}": would create a second asset or table: {name}' in message


@pytest.mark.parametrize("name", ["pg_class", "sqlite_master", "duckdb_tables"])
def test_boundaries_may_not_hide_behind_a_system_table(refusal: Refusal, name: str) -> None:
    message = refusal(BOUNDARIES.replace("regions", name))

    assert f'boundaries.0.name = "{name}": begins like a table of the database system' in message


def test_two_sets_of_boundaries_have_two_names(refusal: Refusal) -> None:
    message = refusal(BOUNDARIES * 2)

    assert (
        'boundaries.1.name = "regions": would create a second asset or table: raw_regions, regions'
        in message
    )


def test_a_time_axis_that_ends_before_it_starts_is_refused(refusal: Refusal) -> None:
    message = refusal("[time]\nstart = 2023-05-01\nend = 2023-04-01\n")

    assert "time.end = 2023-04-01" in message


def test_scenes_before_the_time_axis_are_refused(refusal: Refusal) -> None:
    scenes = f'{SCENES}datetime = "2023-08-01/2023-08-31"\n'
    message = refusal("[time]\nstart = 2023-09-10\n", scenes=scenes)

    assert "time.start = 2023-09-10: scenes.datetime begins before it, on 2023-08-01" in message


@pytest.mark.parametrize("url", ["gs://bucket/x", "https://host/x", "s3://"])
def test_a_storage_of_another_kind_is_refused(refusal: Refusal, url: str) -> None:
    message = refusal(f"[storage]\nurl = '{url}'\n")

    assert f'storage.url = "{url}"' in message
    assert 'give a folder or "s3://bucket/prefix"' in message


@pytest.mark.parametrize("url", ["mysql://host/db", "data.duckdb", "duckdb:///"])
def test_a_database_of_another_kind_is_refused(refusal: Refusal, url: str) -> None:
    message = refusal(f"[database]\nurl = '{url}'\n")

    assert f'database.url = "{url}"' in message
    assert "duckdb:///data/spatial.duckdb" in message


def test_a_url_from_the_environment_is_refused_in_the_name_of_its_variable(
    refusal: Refusal,
) -> None:
    message = refusal(env={"SPATIAL_ASSETS_STORAGE_URL": "gs://bucket"})

    assert message.startswith('$SPATIAL_ASSETS_STORAGE_URL: storage.url = "gs://bucket"')


def test_all_problems_are_listed_at_once_a_line_each(refusal: Refusal) -> None:
    message = refusal("[grid]\nchunk = 'x'\n[compute]\nworkers = 0\n")

    assert len(message.splitlines()) == 2


def test_a_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "project.toml"
    file.write_text('[area]\nbbox = [1, 2\n[scenes]\ncatalog = "x"\n', encoding="utf-8")

    with pytest.raises(SettingsError, match=rf"^{file}: line 3, column \d+: not TOML: .*; correct"):
        load_project(tmp_path, {})


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = '"])
def test_a_file_that_is_no_toml_at_all_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "project.toml").write_bytes(content)

    with pytest.raises(SettingsError, match=r"project.toml: .*; "):
        load_project(tmp_path, {})


def test_a_folder_without_a_project_is_refused_with_the_command_that_makes_one(
    tmp_path: Path,
) -> None:
    env = {"SPATIAL_ASSETS_PROJECT": str(tmp_path / "nowhere")}

    with pytest.raises(SettingsError, match=r"nowhere/project.toml: there is no such file") as lost:
        load_project(env=env)

    assert "(from $SPATIAL_ASSETS_PROJECT)" in str(lost.value)
    assert "spatial-assets init DIR" in str(lost.value)
