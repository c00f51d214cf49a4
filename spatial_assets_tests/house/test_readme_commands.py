"""The commands of the README do what it says, from top to bottom, in the project that it shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio

from spatial_assets_tests.servers.process import REPOSITORY

PROGRAMS = Path(sys.executable).parent
AREA = {"type": "Polygon", "coordinates": [[[15, 46], [15.5, 46], [15.5, 46.4], [15, 46]]]}


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The calls of our programs in the README's part on commands."""
    _, _, part = (REPOSITORY / "README.md").read_text().partition("## Commands")
    lines = [shlex.split(line) for block in blocks("sh", part) for line in block.splitlines()]
    return [[str(PROGRAMS / Path(line[0]).name), *line[1:]] for line in lines]


@pytest.fixture
def project(tmp_path: Path, samples: Path) -> Path:
    """The README's project, with real scenes and regions where it says that they are."""
    (block,) = blocks("toml", (REPOSITORY / "README.md").read_text())
    (tmp_path / "project.toml").write_text(block)
    (tmp_path / "scenes").symlink_to(samples / "scenes" / "sentinel-2-l2a")
    (tmp_path / "boundaries").mkdir()
    regions = samples / "boundaries" / "si_statistical_regions.gpkg"
    shutil.copy(regions, tmp_path / "boundaries" / "regions.gpkg")
    (tmp_path / "area.geojson").write_text(json.dumps(AREA))
    (tmp_path / "home").mkdir()
    return tmp_path


@pytest.mark.samples
@pytest.mark.timeout(600)
def test_every_command_of_the_readme_runs(project: Path) -> None:
    environment = {
        **os.environ,
        "SPATIAL_ASSETS_PROJECT": str(project),
        "DAGSTER_HOME": str(project / "home"),
    }
    said = {}

    for command in commands():
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
        said[" ".join(command[1:3])] = done.stdout

    assert "1 tile, 4.2 million pixels" in said["plan --bbox"]
    assert "nothing to do" in said["plan --changed"]
    assert "materialized" in said["materialize --missing"]
    assert "nothing to do" in said["materialize --failed"]
    assert "nothing to do" in said["materialize --stale"]
    assert "materialized" in said["status --geojson"]
    assert len(json.loads((project / "tiles.geojson").read_text())["features"]) == 2
    assert "<svg" in (project / "map.html").read_text()
    with rasterio.open(project / "ndvi.tif") as exported:
        assert exported.scales == (1e-4,)
