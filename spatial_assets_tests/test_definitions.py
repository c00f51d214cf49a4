"""Definitions of a project: a table over all of its assets, jobs and resources."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.definitions import build_definitions
from spatial_assets.instance.dagster_internals import TimeWindowFreshnessPolicy
from spatial_assets.pipeline.boundaries import BOUNDARIES_CODE_VERSION
from spatial_assets.project import Project, load_project
from spatial_assets.resources import StoreResource

PROJECT = """
[area]
bbox = [15.0, 45.06, 16.44, 46.95]
[grid]
pixel_zoom = 10
level = 8
shard = 1024
[scenes]
catalog = "scenes"
sensor = "sentinel-2-l2a"
[time]
start = 2023-01-01
[indices]
names = ["ndvi", "evi"]
[freshness]
raw_tile = { warn = "5 days", fail = "10 days" }
boundaries = { warn = "30 days", fail = "60 days" }
[[boundaries]]
name = "boundaries"
source = "regions.gpkg"
key = "region_id"
columns = ["name"]
[[boundaries]]
name = "parks"
source = "parks.fgb"
key = "park_id"
"""
TABLES = {"boundaries", "parks", "ndvi_by_boundary", "evi_by_boundary", "tile_index"}
TILES = {"raw_tile", "reprojected_raster", "ndvi", "evi"} | {
    "ndvi_by_boundary",
    "evi_by_boundary",
    "tile_index",
}
ASSETS = TILES | {
    f"{step}{name}" for name in ("boundaries", "parks") for step in ("raw_", "validated_", "")
}
UPSTREAM = {
    "raw_tile": set(),
    "reprojected_raster": {"raw_tile"},
    "ndvi": {"reprojected_raster"},
    "ndvi_by_boundary": {"ndvi", "validated_boundaries", "validated_parks"},
    "tile_index": {"ndvi", "evi"},
    "raw_parks": set(),
    "validated_parks": {"raw_parks"},
    "parks": {"validated_parks"},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return written(tmp_path_factory.mktemp("project"), PROJECT)


@pytest.fixture(scope="module")
def defs(project: Project) -> dg.Definitions:
    return build_definitions(project)


def written(folder: Path, text: str) -> Project:
    (folder / "project.toml").write_text(text)
    return load_project(folder, {})


def spec_of(defs: dg.Definitions, asset: str) -> dg.AssetSpec:
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    return specs[asset]


def test_the_assets_are_those_that_the_project_file_names(
    defs: dg.Definitions, project: Project
) -> None:
    listed = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()}

    assert listed == ASSETS == set(project.asset_names)


@pytest.mark.parametrize("asset", sorted(ASSETS))
def test_an_asset_defines_all_that_the_ui_shows_of_it(defs: dg.Definitions, asset: str) -> None:
    spec = spec_of(defs, asset)

    assert len(spec.description or "") > 40
    assert spec.group_name == ("tiles" if asset in TILES else "boundaries")
    assert list(spec.owners) == ["team:spatial-data"]
    assert spec.kinds
    assert ("table" in spec.kinds) == (asset in TABLES)
    assert (spec.code_version or "").isdigit()
    assert (spec.partitions_def is not None) == (asset in TILES)


@pytest.mark.parametrize("asset", sorted(TABLES))
def test_a_table_shows_every_column_with_its_meaning(defs: dg.Definitions, asset: str) -> None:
    schema = spec_of(defs, asset).metadata["dagster/column_schema"]

    assert isinstance(schema, dg.TableSchema)
    assert len(schema.columns) >= 6
    assert all(column.type and column.description for column in schema.columns)
    assert spec_of(defs, asset).metadata["dagster/table_name"] == asset


@pytest.mark.parametrize(("asset", "upstream"), UPSTREAM.items(), ids=UPSTREAM)
def test_an_asset_depends_on_what_it_is_made_from(
    defs: dg.Definitions, asset: str, upstream: set[str]
) -> None:
    assert {dep.asset_key.to_user_string() for dep in spec_of(defs, asset).deps} == upstream


def test_every_asset_has_a_check(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    checked = {key.asset_key.to_user_string() for key in graph.asset_check_keys}
    of_tiles = {
        key.name for key in graph.asset_check_keys if graph.get(key).partitions_def is not None
    }

    assert checked == ASSETS
    assert of_tiles == {"source_intact", "pixel_alignment", "index_range"}
    assert not any(graph.get(key).blocking for key in graph.asset_check_keys)


def policies(defs: dg.Definitions) -> dict[str, TimeWindowFreshnessPolicy]:
    found = {
        spec.key.to_user_string(): spec.freshness_policy for spec in defs.resolve_all_asset_specs()
    }
    assert all(
        policy is None or isinstance(policy, TimeWindowFreshnessPolicy) for policy in found.values()
    )
    return {key: each for key, each in found.items() if isinstance(each, TimeWindowFreshnessPolicy)}


def test_every_asset_has_a_freshness_policy_where_tiles_have_a_window(defs: dg.Definitions) -> None:
    fails = {
        asset: policy.fail_window.to_timedelta().days for asset, policy in policies(defs).items()
    }

    own = {"boundaries": 60}
    assert fails == {**dict.fromkeys(ASSETS, 7), **dict.fromkeys(TILES, 10), **own}


def test_the_alarm_of_a_stage_waits_for_the_tiles_that_may_wait_longest(tmp_path: Path) -> None:
    text = PROJECT.replace(
        "[freshness]",
        "[regions]\ncoast = { tiles = ['1*'] }\ndesert = { tiles = ['*'] }\n[freshness]\n"
        "regions = { coast = { warn = '1 day' }, desert = { warn = '30 days' } }\n"
        "tile_index = { warn = '1 day', fail = '3 days' }",
    )

    found = policies(build_definitions(written(tmp_path, text)))

    windows = {stage: (found[stage].warn_window, found[stage].fail_window) for stage in TILES}
    days = {
        stage: tuple(window.to_timedelta().days for window in both if window)
        for stage, both in windows.items()
    }
    assert days == {**dict.fromkeys(TILES, (30, 60)), "tile_index": (1, 3)}


def test_a_project_used_by_hand_has_no_alarm_and_nothing_runs(tmp_path: Path) -> None:
    text = PROJECT.replace("raw_tile = ", "validated_parks = ")

    defs = build_definitions(written(tmp_path, text))

    assert set(policies(defs)) == {"validated_parks", "boundaries"}
    schedule = defs.get_repository_def().get_schedule_def("boundaries_daily")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert not defs.get_repository_def().sensor_defs


def test_partitions_are_the_tiles_in_the_order_of_the_curve(
    defs: dg.Definitions, project: Project
) -> None:
    partitions = spec_of(defs, "ndvi").partitions_def

    assert partitions is not None
    assert tuple(partitions.get_partition_keys()) == project.partitioning.keys


def test_nothing_runs_by_itself_except_for_a_freshness_window(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()

    assert {job.name for job in repository.get_all_jobs()} >= {"tiles", "boundaries"}
    tiles = {
        key.to_user_string() for key in repository.get_job("tiles").asset_layer.selected_asset_keys
    }
    assert tiles == TILES
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}
    assert schedules.keys() == {"boundaries_daily", "prune_events_daily"}
    assert schedules["boundaries_daily"].default_status is dg.DefaultScheduleStatus.RUNNING
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "tile_automation",
        "backlog_hourly",
    }
    statuses = {sensor.default_status for sensor in repository.sensor_defs}
    assert statuses == {dg.DefaultSensorStatus.RUNNING}


def test_resources_are_listed_and_can_be_replaced(project: Project, tmp_path: Path) -> None:
    ours = build_definitions(project)
    other = build_definitions(project, store=StoreResource(url=str(tmp_path)))

    assert ours.resources is not None
    assert set(ours.resources) == {"store", "database", "catalog", "engine", "tile_io_manager"}
    assert other.resources is not None
    assert other.resources["store"].url == str(tmp_path)


def test_a_password_is_in_no_resource_and_still_reaches_the_database(tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_text(PROJECT)
    secret = "postgresql+psycopg://somebody:hunter2@127.0.0.1:9/gis"  # noqa: S105 - made up
    project = load_project(tmp_path, {"SPATIAL_ASSETS_DATABASE_URL": secret})

    defs = build_definitions(project)

    assert defs.resources is not None
    assert "hunter2" not in repr(defs.resources)
    assert "somebody" not in defs.resources["database"].url
    assert spec_of(defs, "tile_index").kinds == {"table", "postgres"}


def test_a_project_without_boundaries_has_none_of_their_assets(tmp_path: Path) -> None:
    project = written(tmp_path, PROJECT.partition("[freshness]")[0])

    defs = build_definitions(project)

    listed = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()}
    assert listed == {"raw_tile", "reprojected_raster", "ndvi", "evi", "tile_index"}
    assert [schedule.name for schedule in defs.schedules or ()] == ["prune_events_daily"]


def test_code_versions_are_those_that_fingerprints_hash(defs: dg.Definitions) -> None:
    assert spec_of(defs, "validated_parks").code_version == BOUNDARIES_CODE_VERSION
