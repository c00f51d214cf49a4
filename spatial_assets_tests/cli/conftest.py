"""Small local projects, and the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spatial_assets.cli import main
from spatial_assets.project import load_project
from spatial_assets_tests.cli.fake_dagster_webserver import FakeWebserver
from spatial_assets_tests.fixtures import two_zone_project
from spatial_assets_tests.fixtures.web_server import WebServer, serving

PROJECT = """
[area]
bbox = [15.0, 45.06, 16.44, 46.95]
[grid]
pixel_zoom = 10
shard = 1024
level = 8
[scenes]
catalog = "scenes"
sensor = "sentinel-2-l2a"
[time]
start = 2023-01-01
"""

ITEM = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "id": "scene-1",
    "collection": "sentinel-2-l2a",
    "geometry": {
        "type": "Polygon",
        "coordinates": [[[15.0, 45.0], [16.0, 45.0], [16.0, 46.0], [15.0, 46.0], [15.0, 45.0]]],
    },
    "bbox": [15.0, 45.0, 16.0, 46.0],
    "properties": {"datetime": "2023-08-10T10:00:00Z", "platform": "sentinel-2a"},
    "links": [],
    "assets": {},
}

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project folder whose catalogue has one item."""
    root = tmp_path / "project"
    (root / "scenes").mkdir(parents=True)
    (root / "scenes" / "scene-1.json").write_text(json.dumps(ITEM), encoding="utf-8")
    (root / "project.toml").write_text(PROJECT, encoding="utf-8")
    return root


REGIONS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"id": key, "name": key.title()},
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [
                        [left, 46.0],
                        [left + 0.2, 46.0],
                        [left + 0.2, 46.3],
                        [left, 46.3],
                        [left, 46.0],
                    ]
                ],
            },
        }
        for key, left in (("west", 11.75), ("east", 12.05))
    ],
}


@pytest.fixture(scope="session")
def two_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of two scenes: of the four tiles two are reached by the western one alone."""
    east = replace(two_zone_project.EAST, left=272_000.0)
    return two_zone_project.write_catalog(
        tmp_path_factory.mktemp("two-scenes"), (two_zone_project.WEST, east)
    )


@pytest.fixture
def four_tile_project(tmp_path: Path, two_scenes: Path) -> Path:
    """A project folder of four tiles with scenes and boundaries, nothing materialized yet."""
    folder = tmp_path / "country"
    shutil.copytree(two_scenes, folder / "scenes")
    (folder / "regions.geojson").write_text(json.dumps(REGIONS), encoding="utf-8")
    boundaries = {"name": "regions", "source": "regions.geojson", "key": "id", "columns": ["name"]}
    two_zone_project.write_project(folder, folder / "scenes", boundaries=boundaries)
    with (folder / "project.toml").open("a", encoding="utf-8") as file:
        file.write('\n[freshness]\nraw_tile = { warn = "5 days", fail = "10 days" }\n')
    return folder


@pytest.fixture
def run() -> Run:
    """Run the command line with arguments, in a wide terminal and with the variables given."""

    def run(*arguments: object, **env: str | None) -> Result:
        clean = {
            "SPATIAL_ASSETS_PROJECT": None,
            "SPATIAL_ASSETS_STORAGE_URL": None,
            "SPATIAL_ASSETS_DATABASE_URL": None,
            "SPATIAL_ASSETS_DASK": None,
            "COLUMNS": "2000",
        }
        return CliRunner().invoke(main, [str(part) for part in arguments], env={**clean, **env})

    return run


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """A web server of nothing."""
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def dagster(web: WebServer, four_tile_project: Path) -> FakeWebserver:
    """A webserver that serves the project."""
    assets = ("raw_tile", "reprojected_raster", "ndvi", "ndvi_by_boundary", "tile_index")
    sets = ("raw_regions", "validated_regions", "regions")
    answers = FakeWebserver(load_project(four_tile_project, {}).partitioning.keys, (*assets, *sets))
    web.routes["/graphql"] = answers
    return answers
