"""Real Sentinel-2 scenes through `dagster asset materialize`, against GDAL and numpy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform_bounds

from spatial_assets.geo.grid.geobox import Window
from spatial_assets.project import Project
from spatial_assets_tests.fixtures import gdal_reference
from spatial_assets_tests.fixtures.dagster_runs import BOUNDARIES, CHAIN
from spatial_assets_tests.fixtures.pipeline_runs import read_cube, rows
from spatial_assets_tests.fixtures.two_zone_project import write_project
from spatial_assets_tests.servers.dagster import make_home
from spatial_assets_tests.stories.dagster.asset_materialize_command import DagsterProject

pytestmark = [pytest.mark.samples, pytest.mark.servers]

LAST_DAY = {"33TWM": "S2A_33TWM_20230818_0_L2A", "33TWL": "S2A_33TWL_20230818_0_L2A"}
ZOOM = 10
FILL = gdal_reference.FILL


@pytest.fixture(scope="module")
def site(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> DagsterProject:
    folder = tmp_path_factory.mktemp("slovenia")
    project = write_project(
        folder / "project",
        samples / "scenes" / "sentinel-2-l2a",
        area={"bbox": [15.0, 45.06, 16.44, 46.95]},
        grid={"pixel_zoom": ZOOM, "chunk": 512, "shard": 1024, "level": 8},
        time={"start": "2023-08-10", "end": "2023-08-18", "period": "day"},
        boundaries={
            "name": "boundaries",
            "source": str(samples / "boundaries" / "si_statistical_regions.gpkg"),
            "key": "region_id",
        },
    )
    return DagsterProject(project, make_home(folder / "dagster_home"))


@pytest.fixture(scope="module")
def made(site: DagsterProject) -> DagsterProject:
    """The chain for one key, then for the whole range."""
    keys = site.project.partitioning.keys
    for done in (
        site.materialize(BOUNDARIES),
        site.materialize(CHAIN, keys[0]),
        site.materialize(CHAIN, keys[0], keys[-1]),
    ):
        assert done.code == 0, done.output
    return site


def reach(folder: Path, project: Project) -> Window:
    """The pixels of the product that a scene may reach, from the bounds of its file."""
    with rasterio.open(folder / "B04.tif") as file:
        left, bottom, right, top = transform_bounds(file.crs, "EPSG:3857", *file.bounds)
    size = 2 * gdal_reference.HALF_WORLD / (256 * 2**ZOOM)
    column, row = (int((each + gdal_reference.HALF_WORLD) / size) - 2 for each in (left, -top))
    width, height = int((right - left) / size) + 4, int((top - bottom) / size) + 4
    window = Window(column, row, width, height).intersection(project.partitioning.extent)
    assert window is not None
    return window


def test_what_dagster_made_is_the_ndvi_that_gdal_makes(made: DagsterProject, samples: Path) -> None:
    extent = made.project.partitioning.extent
    wanted = np.full(extent.shape, FILL, dtype=np.int16)
    for name in LAST_DAY.values():  # both of zone 33: the first by id stays on top
        folder = samples / "scenes" / "sentinel-2-l2a" / name
        window = reach(folder, made.project)
        layer = gdal_reference.ndvi(
            gdal_reference.sentinel(folder),
            zoom=ZOOM,
            column=window.column,
            row=window.row,
            shape=window.shape,
        )
        place = window.slices_in(extent)
        wanted[place] = np.where(layer != FILL, layer, wanted[place])

    values, _ = read_cube(made.project, period=8)

    mine, theirs = values != FILL, wanted != FILL
    same = np.mean(values[mine & theirs] == wanted[mine & theirs])
    alike = (mine & theirs).sum() / (mine | theirs).sum()
    median = np.median(values[mine]) / 1e4
    print(f"equal {same:.4%}, valid alike {alike:.4%}, median {median:.4f}")  # noqa: T201
    assert same >= 0.999
    assert alike >= 0.995
    assert 0.75 <= median <= 0.90


def test_the_index_alone_is_the_index_of_the_chain(made: DagsterProject) -> None:
    keys, before = made.project.partitioning.keys, made.pixels()
    for path in before:
        Path(path).unlink()

    done = made.materialize(["ndvi"], keys[0], keys[-1])

    assert done.code == 0, done.output
    assert before
    assert made.pixels() == before


def test_every_region_under_the_scenes_has_statistics(made: DagsterProject) -> None:
    merged = rows(made.project, "ndvi_by_boundary_merged")

    seen = [row for row in merged if row["mean"] is not None]
    assert len({row["boundary_key"] for row in seen}) >= 6
    assert all(0.0 < float(str(row["mean"])) < 1.0 for row in seen)
