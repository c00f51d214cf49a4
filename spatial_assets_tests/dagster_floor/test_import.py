"""`import spatial_assets.definitions`: anywhere, quickly, without anything it does not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from spatial_assets_tests.servers.process import REPOSITORY

UNWANTED = (
    *("geopandas", "pandas", "xarray", "rasterio", "zarr", "duckdb", "psycopg", "pyarrow"),
    *("dagster_aws", "boto3", "obstore", "pystac", "httpx", "exactextract", "spatial_assets.cli"),
    *("sqlalchemy", "geoalchemy2", "h3", "s2cell", "numba", "spatial_assets.catalog"),
)
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


def test_the_import_costs_little_more_than_dagster_itself(bare: tuple[set[str], float]) -> None:
    # CPU seconds of one of several tries: other work on the machine must not fail a test
    ours = min(bare[1], *(imported("spatial_assets.definitions", {})[1] for _ in range(2)))
    alone = min(imported("dagster", {})[1] for _ in range(2))
    print(f"definitions {ours:.2f} CPU s, dagster alone {alone:.2f} CPU s, x {ours / alone:.2f}")  # noqa: T201

    assert ours < MAX_SECONDS


def test_tile_asset_is_at_hand_and_the_package_itself_loads_nothing() -> None:
    modules, _ = imported("spatial_assets", {})

    assert "dagster" not in modules


def test_a_project_on_s3_brings_the_s3_resource(tmp_path: Path) -> None:
    (tmp_path / "project.toml").write_text(
        "[area]\nbbox = [15.0, 45.0, 15.1, 45.1]\n"
        '[scenes]\ncatalog = "scenes"\nsensor = "sentinel-2-l2a"\n'
        '[storage]\nurl = "s3://bucket/prefix"\n'
    )
    environment = {**os.environ, "SPATIAL_ASSETS_PROJECT": str(tmp_path)}

    modules, _ = imported("spatial_assets.definitions", environment)

    assert "dagster_aws.s3" in modules
