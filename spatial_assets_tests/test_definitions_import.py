"""`import spatial_assets.definitions`: anywhere, quickly, without anything it does not need."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest
import shapely
from dagster_aws.s3 import S3Resource

from spatial_assets.definitions import build_definitions
from spatial_assets.partitions import tile_partitions
from spatial_assets.project import load_project
from spatial_assets_tests.servers.process import REPOSITORY

UNWANTED = (
    *("geopandas", "pandas", "xarray", "rasterio", "zarr", "duckdb", "psycopg", "pyarrow"),
    *("dagster_aws", "boto3", "obstore", "pystac", "httpx", "exactextract", "spatial_assets.cli"),
    *("sqlalchemy", "geoalchemy2", "h3", "s2cell", "numba", "spatial_assets.catalog"),
    *("numpy", "shapely", "pyproj", "morecantile", "spatial_assets.geo.grid.pixel_grid"),
    "spatial_assets.pipeline.run.driver",
    *("distributed", "dask"),
)
LIGHT = {
    *("click", "cronsim", "pydantic", "pydantic_core", "annotated_types"),
    *("typing_extensions", "typing_inspection"),
}
"""Third-party packages that the definitions and the command line may load; the definitions may
also load whatever Dagster itself loads."""
LIGHT_FOLDERS = (
    "",
    "assets",
    "automation",
    "project",
    "project/sections",
    "geo",
    "stores",
    "pipeline",
)
HEAVY_FILES = {
    "spatial_assets.automation.read_records",  # imported by the first tick
    "spatial_assets.pipeline.boundaries",  # imported when a boundary set is materialized
    "spatial_assets.pipeline.ownership",  # imported where a store is opened
    "spatial_assets.pipeline.quarantine",  # imported by the driver
    "spatial_assets.project.polygons",  # imported when tiles are computed from an area
}
STREETS = re.compile(r"spatial_assets\.(geo|catalog|stores|pipeline)\.\w+\.\w+")
MAX_SECONDS = 3.0
REPORT = """
import json, resource, sys
import {module}
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([sorted(sys.modules), used.ru_utime + used.ru_stime]))
"""


def imported(module: str, environment: Mapping[str, str]) -> tuple[set[str], float]:
    """Modules that are loaded after an import in a new process, and the CPU seconds it took."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REPORT.format(module=module)],
        env=dict(environment),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    modules, seconds = json.loads(done.stdout)
    return set(modules), seconds


def third_parties(modules: set[str]) -> set[str]:
    """Installed packages among the modules that are loaded, but for those of Python's start."""
    at_start, _ = imported("sys", {})
    installed = {*importlib.metadata.packages_distributions()} - {"spatial_assets"}
    return {module.split(".")[0] for module in modules - at_start} & installed


@pytest.fixture(scope="module")
def command_line() -> set[str]:
    """Modules that the command line loads before it knows the command."""
    modules, _ = imported("spatial_assets.cli", {})
    return modules


@pytest.fixture(scope="module")
def bare() -> tuple[set[str], float]:
    """The import of the demo's definitions with an empty environment."""
    return imported("spatial_assets.definitions", {})


def test_an_empty_environment_is_enough(bare: tuple[set[str], float]) -> None:
    modules, _ = bare

    assert "spatial_assets.definitions" in modules


@pytest.mark.parametrize("module", UNWANTED)
def test_a_heavy_library_waits_until_a_step_needs_it(
    bare: tuple[set[str], float], module: str
) -> None:
    modules, _ = bare

    assert module not in modules


def test_the_definitions_load_no_library_but_dagster_and_those_of_the_settings(
    bare: tuple[set[str], float],
) -> None:
    of_dagster, _ = imported("dagster", {})

    assert third_parties(bare[0]) - third_parties(of_dagster) <= LIGHT


def test_the_command_line_loads_no_library_but_those_of_options_and_settings(
    command_line: set[str],
) -> None:
    assert third_parties(command_line) <= LIGHT


def test_neither_loads_a_street(bare: tuple[set[str], float], command_line: set[str]) -> None:
    assert not [module for module in bare[0] | command_line if STREETS.match(module)]


def test_all_other_files_of_light_folders_are_light(bare: tuple[set[str], float]) -> None:
    folders = [REPOSITORY / "spatial_assets" / folder for folder in LIGHT_FOLDERS]
    files = [file for folder in folders for file in folder.glob("*.py") if file.stem != "__init__"]
    names = {".".join(file.relative_to(REPOSITORY).with_suffix("").parts) for file in files}
    assert names > HEAVY_FILES

    modules, _ = imported(", ".join(sorted(names - HEAVY_FILES)), {})

    assert third_parties(modules) - third_parties(bare[0]) == set()
    assert not [module for module in modules if STREETS.match(module)]


def test_the_import_costs_little_more_than_dagster_itself(bare: tuple[set[str], float]) -> None:
    # CPU seconds of one of several tries: other work on the machine must not fail a test
    ours = min(bare[1], *(imported("spatial_assets.definitions", {})[1] for _ in range(2)))
    alone = min(imported("dagster", {})[1] for _ in range(2))
    print(f"definitions {ours:.2f} CPU s, dagster alone {alone:.2f} CPU s, x {ours / alone:.2f}")  # noqa: T201

    assert ours < MAX_SECONDS


def test_tile_asset_is_at_hand_and_the_package_itself_loads_nothing() -> None:
    modules, _ = imported("spatial_assets", {})

    assert "dagster" not in modules


ON_S3 = """
[area]
bbox = [15.0, 45.0, 15.1, 45.1]
[scenes]
catalog = "scenes"
sensor = "sentinel-2-l2a"
[storage]
url = "s3://bucket/prefix"
"""


def test_a_project_on_s3_brings_the_s3_resource(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project.toml").write_text(ON_S3)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")

    project = load_project(tmp_path, env={})
    resource = build_definitions(project).resources["s3"]  # type: ignore[index]

    with dg.build_resources({"s3": resource}) as made:
        link = made.s3.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "key"})

    assert "/key?" in link


def test_a_project_on_s3_loads_its_library_when_a_step_needs_it(tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_text(ON_S3)
    environment = {**os.environ, "SPATIAL_ASSETS_PROJECT": str(tmp_path)}

    modules, _ = imported("spatial_assets.definitions", environment)

    assert not modules & {"dagster_aws", "boto3", "obstore"}


def test_an_asset_takes_the_s3_resource_by_its_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project.toml").write_text(ON_S3)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    project = load_project(tmp_path, env={})
    seen = []

    @dg.asset
    def shared(s3: S3Resource) -> None:
        seen.append(s3.region_name)

    done = dg.materialize([shared], resources=build_definitions(project).resources)

    assert done.success
    assert seen == ["eu-central-1"]


@pytest.mark.parametrize("area", ["file = 'area.geojson'", "bbox = [179.9, -18.0, -179.9, -17.0]"])
def test_the_tiles_that_dagster_lists_are_those_of_the_area_in_any_form(
    tmp_path: Path, area: str
) -> None:
    (tmp_path / "project.toml").write_text(ON_S3.replace("bbox = [15.0, 45.0, 15.1, 45.1]", area))
    shape = shapely.Polygon([(15, 45), (15.6, 45), (15, 45.6)])
    (tmp_path / "area.geojson").write_text(shapely.to_geojson(shape))
    project = load_project(tmp_path, env={})

    assert tuple(tile_partitions(project).get_partition_keys()) == project.partitioning.keys
    assert len(project.partitioning.keys) > 1
