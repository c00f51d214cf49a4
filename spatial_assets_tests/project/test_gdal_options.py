"""Variables of GDAL that would decide about files are removed before GDAL sees them, and named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spatial_assets.demo.districts import write_districts
from spatial_assets.project.gdal_options import (
    ignore_gdal_variables,
    ignored_gdal_variables,
    is_ignored,
)
from spatial_assets_tests.fixtures.scene_factory import clear_vegetation, write_raster

DECIDING = (
    *("GDAL_SKIP", "GDAL_DRIVER_PATH", "GDAL_DISABLE_READDIR_ON_OPEN", "GDAL_MAX_BAND_COUNT"),
    *("CPL_VSIL_CURL_ALLOWED_EXTENSIONS", "CPL_VSIL_CURL_ALLOWED_FILENAME", "OGR_SKIP"),
    *("GTIFF_POINT_GEO_IGNORE", "GTIFF_IGNORE_READ_ERRORS", "GDAL_GEOREF_SOURCES"),
    *("SHAPE_ENCODING", "OGR_GEOJSON_MAX_OBJ_SIZE", "GML_FIELDTYPES", "GDAL_PAM_ENABLED"),
)
OF_THE_MACHINE = (
    *("GDAL_DATA", "PROJ_DATA", "PROJ_LIB", "GDAL_CACHEMAX", "AWS_REGION", "AWS_ACCESS_KEY_ID"),
    *("HTTPS_PROXY", "SSL_CERT_FILE", "CPL_DEBUG", "CPL_TMPDIR"),
)


@pytest.mark.parametrize("name", DECIDING)
def test_a_variable_that_decides_about_files_is_removed_and_remembered(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "planted")
    assert ignored_gdal_variables()[name] == "planted"

    ignore_gdal_variables()

    assert name not in os.environ
    assert ignored_gdal_variables()[name] == "planted"


@pytest.mark.parametrize("name", OF_THE_MACHINE)
def test_a_variable_that_describes_the_machine_stays(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "planted")

    ignore_gdal_variables()

    assert os.environ[name] == "planted"
    assert not is_ignored(name)


PROGRAM = """
import sys
from pathlib import Path
from spatial_assets.catalog.rasters.gdal_datasets import gdal_settings, open_dataset
from spatial_assets.stores.vectors.read import read_features
from spatial_assets_tests.fixtures.scene_factory import quick_access, source_of

folder = Path(sys.argv[1])
access = quick_access(folder / "cache")
with gdal_settings(access):
    print(open_dataset(source_of(folder / "red.tif"), access).driver)
boundaries = read_features(str(folder / "districts.gpkg"), columns=[sys.argv[2]])
print(len(list(boundaries.features)))
"""


def test_a_driver_that_the_environment_skips_is_there(tmp_path: Path) -> None:
    """In a new process, where the variable is set before any library is loaded."""
    write_raster(tmp_path / "red.tif", clear_vegetation()["red"])
    write_districts(tmp_path / "districts.gpkg")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), "region_id"]
    environment = {**os.environ, "GDAL_SKIP": "GTiff GPKG", "OGR_SKIP": "GPKG"}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    driver, count = done.stdout.split()
    assert driver == "GTiff"
    assert int(count) > 0
