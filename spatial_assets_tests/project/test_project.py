"""Defaults, overrides and derived values of a project file."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from spatial_assets.errors import SettingsError
from spatial_assets.geo.clear_sky import CloudBuffer
from spatial_assets.geo.sensor_profile import AssetBand
from spatial_assets.project import Project, load_project
from spatial_assets.sensor_profiles import SENSOR_PROFILES

Load = Callable[..., Project]

AREA = "[area]\nbbox = [15.0, 45.06, 16.44, 46.95]\n"
SCENES = '[scenes]\ncatalog = "scenes"\nsensor = "sentinel-2-l2a"\n'
DESIGN = """
[area]
bbox = [15.0, 45.06, 16.44, 46.95]
[grid]
tile_matrix_set = "WebMercatorQuad"
pixel_zoom = 10
chunk = 512
shard = 1024
partitions = "tiles"
level = 8
[scenes]
catalog = "scenes"
collections = ["sentinel-2-l2a"]
datetime = "2023-08-01/2023-08-31"
max_cloud_cover = 90
sensor = "sentinel-2-l2a"
access = "stream"
[scenes.source]
endpoint = ""
[time]
start = 2023-01-01
period = "month"
composite = "median"
[indices]
names = ["ndvi"]
[[boundaries]]
name = "boundaries"
source = "boundaries/regions.gpkg"
key = "region_id"
columns = ["name"]
on_invalid = "repair"
[freshness]
raw_tile = { warn = "5 days", fail = "10 days" }
[retention]
raw_tile = "keep"
[storage]
url = "data"
[database]
url = "duckdb:///data/spatial.duckdb"
pool_size = 4
[compute]
workers = 2
gdal_cache_mb = 256
memory_mb = 2048
[compute.profiles.dense_cloud]
tiles = ["12022*"]
memory_mb = 6144
"""


def test_the_file_of_the_design_is_read_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_text(DESIGN, encoding="utf-8")

    project = load_project(tmp_path, {})

    assert project.root == tmp_path
    assert project.grid.pixel_zoom == 10
    assert project.scenes.collections == ("sentinel-2-l2a",)
    assert project.scenes.max_cloud_cover == 90
    assert project.time.start == dt.date(2023, 1, 1)
    assert project.boundaries[0].columns == ("name",)
    assert project.freshness.windows["raw_tile"].warn == dt.timedelta(days=5)
    assert project.retention.raw_tile is None
    assert project.compute.for_tile("1202213").memory_mb == 6144
    assert project.compute.for_tile("1202213").profile == "dense_cloud"
    assert project.compute.for_tile("1202113").memory_mb == 2048
    assert project.asset_names == (
        "raw_tile",
        "reprojected_raster",
        "ndvi",
        "ndvi_by_boundary",
        "tile_index",
        "raw_boundaries",
        "validated_boundaries",
        "boundaries",
    )


def test_area_catalogue_and_sensor_are_enough(load: Load, tmp_path: Path) -> None:
    project = load()

    assert project.grid.pixel_zoom == 14
    assert (project.grid.chunk, project.grid.shard) == (512, 2048)
    assert project.indices.names == ("ndvi",)
    assert project.bands == ("red", "nir")
    assert project.boundaries == ()
    assert project.compute.max_tiles_per_run == 2000
    assert project.storage_url == str(tmp_path / "data")
    assert project.database_url == f"duckdb:///{tmp_path}/data/spatial.duckdb"
    assert project.catalog_url == str(tmp_path / "scenes")
    assert project.origins == {}


@pytest.mark.parametrize(
    ("grid", "level"),
    [
        ("", 11),
        ("pixel_zoom = 10\nshard = 1024\n", 8),
        ("pixel_zoom = 1\nshard = 2048\n", 0),
        ("level = 7\n", 7),
    ],
)
def test_the_level_that_is_not_given_is_one_shard_a_tile(load: Load, grid: str, level: int) -> None:
    assert load(f"[grid]\n{grid}").grid.level == level


def test_the_grid_id_depends_on_the_resolved_grid_only(load: Load) -> None:
    plain = load()
    spelled_out = load(
        "[grid]\nlevel = 11\npixel_zoom = 14\n", area="[area]\nbbox = [1, 1, 2, 2]\n"
    )
    other = load("[grid]\nlevel = 10\n")

    assert len(plain.grid_id) == 12
    assert int(plain.grid_id, 16) >= 0
    assert plain.grid_id == spelled_out.grid_id != other.grid_id


def test_the_environment_wins_and_is_named_as_the_origin(load: Load, tmp_path: Path) -> None:
    project = load(
        "[storage]\nurl = 'here'\n",
        env={
            "SPATIAL_ASSETS_STORAGE_URL": "s3://bucket/prefix/",
            "SPATIAL_ASSETS_DATABASE_URL": "duckdb:///other.duckdb",
        },
    )

    assert project.storage_url == "s3://bucket/prefix"
    assert project.database_url == f"duckdb:///{tmp_path}/other.duckdb"
    assert project.origins == {
        "storage.url": "$SPATIAL_ASSETS_STORAGE_URL",
        "database.url": "$SPATIAL_ASSETS_DATABASE_URL",
    }


def test_an_empty_variable_overrides_nothing(load: Load, tmp_path: Path) -> None:
    project = load(env={"SPATIAL_ASSETS_STORAGE_URL": ""})

    assert project.storage_url == str(tmp_path / "data")


def test_the_folder_comes_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_text(DESIGN, encoding="utf-8")

    assert load_project(env={"SPATIAL_ASSETS_PROJECT": str(tmp_path)}).root == tmp_path


def test_a_project_survives_pickling_without_what_was_derived(load: Load) -> None:
    project = load("[grid]\npixel_zoom = 10\nshard = 1024\n[time]\nstart = 2023-01-01\n")
    keys = project.partitioning.keys
    pickled = pickle.dumps(project)

    copy = pickle.loads(pickled)  # noqa: S301

    assert len(pickled) < 5000
    assert copy == project
    assert copy.partitioning.keys == keys
    assert copy.sensor == project.sensor


def test_a_project_is_frozen(load: Load) -> None:
    project = load()

    with pytest.raises(ValidationError):
        project.grid.pixel_zoom = 3


def test_importing_and_loading_a_project_loads_no_framework(tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_text(DESIGN, encoding="utf-8")
    code = (
        "import sys, json; from pathlib import Path;"
        "from spatial_assets.project import load_project;"
        f"load_project(Path({str(tmp_path)!r}), {{}});"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={}
    )

    heavy = {"geopandas", "pandas", "xarray", "rasterio", "pyogrio", "dagster", "sqlalchemy"}
    assert not heavy & set(json.loads(loaded.stdout))


def test_the_time_axis_starts_where_the_scenes_do_and_ends_with_the_last_of_them(
    load: Load,
) -> None:
    today = dt.date(2026, 11, 22)
    scenes = f'{SCENES}datetime = "2023-08-10/2023-08-31"\n'

    said = load("[time]\nstart = 2022-05-05\n").periods(today, latest=dt.date(2022, 7, 2))
    from_scenes = load(scenes=scenes).periods(today)
    from_items = load().periods(today, dt.date(2020, 2, 2), latest=dt.date(2020, 3, 1))

    assert (said.start, said.end) == (dt.date(2022, 5, 5), dt.date(2022, 7, 2))
    assert (from_scenes.start, from_scenes.end) == (dt.date(2023, 8, 10), dt.date(2023, 8, 10))
    assert (from_items.start, from_items.count) == (dt.date(2020, 2, 2), 2)
    with pytest.raises(SettingsError, match=r"time.start: .*; add start = 2023-01-01"):
        load().periods(today)


def test_an_end_that_is_past_closes_the_axis_and_a_later_one_waits_for_data(load: Load) -> None:
    project = load("[time]\nstart = 2022-05-05\nend = 2024-01-31\n")
    latest = dt.date(2022, 6, 30)

    assert project.periods(dt.date(2024, 1, 30), latest=latest).end == latest
    assert project.periods(dt.date(2024, 1, 31), latest=latest).end == dt.date(2024, 1, 31)
    assert project.periods(dt.date(2024, 1, 31), latest=dt.date(2024, 3, 1)).count == 23


def test_a_start_after_all_data_makes_an_axis_of_one_period(load: Load) -> None:
    project = load("[time]\nstart = 2030-05-05\n")

    assert project.periods(dt.date(2026, 11, 22), latest=dt.date(2026, 11, 1)).count == 1


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2023-08-01", "2023-08-01T00:00:00+00:00", "2023-08-01T23:59:59+00:00"),
        ("2023-08-01/2023-08-31", "2023-08-01T00:00:00+00:00", "2023-08-31T23:59:59+00:00"),
        ("../2023-08-31T12:00:00Z", "None", "2023-08-31T12:00:00+00:00"),
        ("2023-08-01T02:00:00+02:00/..", "2023-08-01T00:00:00+00:00", "None"),
    ],
)
def test_a_datetime_means_an_interval(load: Load, text: str, start: str, end: str) -> None:
    interval = load(scenes=f'{SCENES}datetime = "{text}"\n').scenes.interval

    shown = [str(moment and moment.isoformat()) for moment in (interval.start, interval.end)]
    assert shown == [start, end]


def test_snow_is_dropped_unless_kept_by_the_project(load: Load) -> None:
    plain = f'{SCENES}cloud_buffer = "0 m"\n'
    dropped = load(scenes=plain).sensor
    kept = load(scenes=f"{plain}keep_snow = true\n").sensor

    assert dropped == SENSOR_PROFILES["sentinel-2-l2a"]
    assert kept.clear == SENSOR_PROFILES["sentinel-2-l2a"].clear_with_snow != dropped.clear


def test_the_default_margin_is_the_measured_one(load: Load) -> None:
    clear = load().sensor.clear

    assert clear is not None
    assert clear.clouds.buffer == CloudBuffer(cloud=240, shadow=0)


@pytest.mark.parametrize(
    ("setting", "buffer"),
    [
        ('"0 m"', CloudBuffer()),
        ('"120 m"', CloudBuffer(120, 120)),
        ('{ cloud = "97.5m", shadow = "60 m" }', CloudBuffer(97.5, 60)),
        ('{ cloud = "120 m" }', CloudBuffer(cloud=120)),
    ],
)
def test_the_margin_round_clouds_is_part_of_the_rule_of_clear_sky(
    load: Load, setting: str, buffer: CloudBuffer
) -> None:
    for snow in ("true", "false"):
        scenes = f"{SCENES}keep_snow = {snow}\ncloud_buffer = {setting}\n"

        clear = load(scenes=scenes).sensor.clear

        assert clear is not None
        assert clear.clouds.buffer == buffer
        assert clear.clouds.cloud == {8, 9, 10}
        assert clear.clouds.shadow == {3}


def test_a_sensor_of_ones_own_becomes_a_profile(load: Load) -> None:
    sensor = load(
        scenes="""
[scenes]
catalog = "s"
[scenes.sensor]
name = "camera"
bands = { red = "R", nir = ["N", "nir"] }
class_band = "mask"
clear_classes = [1, 2]
scale = 0.0001
offset = 0
nodata = 0
"""
    ).sensor

    assert sensor.name == "camera"
    assert sensor.bands == {"red": ("R",), "nir": ("N", "nir")}
    assert sensor.class_assets == ("mask",)
    assert sensor.radiometry.name == "declared"
    assert (sensor.scale, sensor.offset, sensor.nodata) == (0.0001, 0, 0)


OWN_SENSOR = """
[scenes]
catalog = "scenes"
[scenes.sensor]
scale = 0.0001
offset = 0
"""


def test_a_band_of_a_file_is_named_by_number(load: Load) -> None:
    bands = 'bands = { red = { asset = "a", band = 1 }, nir = ["nir", { asset = "a", band = 4 }] }'

    sensor = load(scenes=f"{OWN_SENSOR}{bands}\n").sensor

    assert sensor.bands == {"red": (AssetBand("a", 1),), "nir": ("nir", AssetBand("a", 4))}


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        pytest.param(
            'red = { asset = "a", band = 1 }, nir = { asset = "a", band = 1 }',
            "scenes.sensor.bands.nir: is read from band 1 of a, and so is red",
            id="one-band-for-two",
        ),
        pytest.param('red = { asset = "a", band = 0 }', "greater than or equal to 1", id="zero"),
        pytest.param('red = { asset = "a" }', "is required and missing", id="no-number"),
        pytest.param('red = { asset = "a", bnd = 1, band = 1 }', "did you mean", id="misspelt"),
    ],
)
def test_a_band_of_a_file_that_cannot_be_meant_is_refused(
    refusal: Callable[..., str], bands: str, message: str
) -> None:
    assert message in refusal(scenes=f"{OWN_SENSOR}bands = {{ {bands} }}\n")


def test_every_sensor_has_the_bands_of_ndvi_and_a_rule_for_clear_sky() -> None:
    for name, sensor in SENSOR_PROFILES.items():
        assert sensor.name == name
        assert {"red", "nir"} <= set(sensor.bands)
        assert sensor.clear is not None
