"""A worker keeps a dozen files open, however many scenes it reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from spatial_assets.catalog.rasters import gdal_datasets
from spatial_assets_tests.fixtures.ten_village_project import ten_villages
from spatial_assets_tests.servers.process import REPOSITORY

ENOUGH = 40
"""Maximum of open files; Python, GDAL, DuckDB and the store use some fifteen. 24 are too few."""


def run(folder: Path, limit: int) -> dict[str, str]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "spatial_assets_tests.stories.pipeline.limited_open_files",
            folder,
            str(limit),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_more_files_than_may_be_open_are_read_all_the_same(tmp_path: Path) -> None:
    project = ten_villages(tmp_path / "project", tmp_path / "catalog", scenes={"keep_snow": True})
    scenes = list((tmp_path / "catalog").glob("*/*.tif"))

    states = run(project.root, ENOUGH)

    assert len(scenes) > 2 * gdal_datasets.MAX_OPEN_DATASETS
    assert set(states) == set(project.partitioning.keys)
    assert set(states.values()) <= {"materialized", "empty"}
