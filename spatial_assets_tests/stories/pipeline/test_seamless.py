"""The pixels do not depend on how the area is cut, nor on the engine or the order of work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from spatial_assets.geo.grid.geobox import Window
from spatial_assets.pipeline.engines.engine import ProcessEngine
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.pipeline_runs import (
    PIXELS,
    pixels,
    read_cube,
    run_tiles,
    store_of,
)
from spatial_assets_tests.fixtures.two_zone_project import write_project

FILL = -32768
BUFFER = "250 m"
"""Three pixels of the scenes round each cloud, across the edges of tiles."""
Cut = dict[str, object]

WHOLE: Cut = {"chunk": 512, "shard": 512, "level": 8}
"""The area in tiles of 1024 pixels: as few seams as it can have."""

CUTS: dict[str, Cut] = {
    "tiles of one shard": {"chunk": 128, "shard": 256, "level": 10},
    "small chunks, tiles of four shards": {"chunk": 64, "shard": 128, "level": 10},
    "large chunks, tiles of one shard": {"chunk": 512, "shard": 512, "level": 9},
    "h3, cells that share windows": {
        "chunk": 64,
        "shard": 128,
        "partitions": "h3",
        "level": 4,
    },
    "s2": {"chunk": 128, "shard": 128, "partitions": "s2", "level": 8},
}


def computed(folder: Path, catalog: Path, cut: Cut, *, zoom: int = 10) -> Project:
    project = write_project(
        folder, catalog, grid={"pixel_zoom": zoom, **cut}, scenes={"cloud_buffer": BUFFER}
    )
    run_tiles(project, stages=PIXELS)
    return project


def common_window(*projects: Project) -> Window:
    window = projects[0].partitioning.extent
    for project in projects[1:]:
        shared = window.intersection(project.partitioning.extent)
        assert shared is not None
        window = shared
    return window


def assert_same_pixels(mine: Project, other: Project) -> None:
    window = common_window(mine, other)
    for one, another in zip(
        read_cube(mine, window=window), read_cube(other, window=window), strict=True
    ):
        assert np.array_equal(one, another)


@pytest.fixture(scope="module")
def uncut(damaged_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return computed(tmp_path_factory.mktemp("uncut"), damaged_catalog, WHOLE)


def test_the_country_tests_what_it_should(
    uncut: Project, shared_catalog: Path, tmp_path: Path
) -> None:
    """Two zones, overlaps and a lost block are all in sight, or the tests below say nothing."""
    values, observations = read_cube(uncut)
    sound = computed(tmp_path, shared_catalog, WHOLE)
    sound_values, sound_observations = read_cube(sound)
    lost: NDArray[np.bool_] = sound_observations > observations

    assert np.count_nonzero(values != FILL) > 150_000
    assert set(np.unique(observations)) == {0, 1, 2}
    assert 10_000 < np.count_nonzero(lost) < observations.size / 2
    assert np.array_equal(values[~lost] != FILL, sound_values[~lost] != FILL)
    zones = [name for name in ("west_0810", "east_0810") if name in stored_scenes(uncut)]
    assert zones == ["west_0810", "east_0810"]


def stored_scenes(project: Project) -> set[str]:
    paths = (info.path for info in store_of(project).list("reprojected_raster"))
    return {path.rsplit("/", 1)[-1].removesuffix(".tif") for path in paths}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
def test_pixels_are_the_same_bits_however_the_area_is_cut(
    cut: Cut, uncut: Project, damaged_catalog: Path, tmp_path: Path
) -> None:
    project = computed(tmp_path, damaged_catalog, cut)

    assert len(project.partitioning.keys) > 1
    assert_same_pixels(project, uncut)


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param({"chunk": 64, "shard": 64, "level": 9}, id="tiles"),
        pytest.param({"chunk": 64, "shard": 64, "partitions": "h3", "level": 4}, id="h3"),
    ],
)
def test_averaged_pixels_are_the_same_bits_however_the_area_is_cut(
    cut: Cut, damaged_catalog: Path, tmp_path: Path
) -> None:
    one = computed(tmp_path / "one", damaged_catalog, {**WHOLE, "level": 7}, zoom=9)
    other = computed(tmp_path / "other", damaged_catalog, cut, zoom=9)

    assert len(other.partitioning.keys) > 1
    assert b"average" in store_of(one).get("scenes/east_0810.json")
    assert_same_pixels(one, other)


def test_tiles_walked_one_by_one_and_backwards_come_out_the_same(
    uncut: Project, damaged_catalog: Path, tmp_path: Path
) -> None:
    project = write_project(tmp_path, damaged_catalog, scenes={"cloud_buffer": BUFFER})
    for key in reversed(project.partitioning.keys):
        run_tiles(project, stages=PIXELS, keys=[key])

    assert_same_pixels(project, uncut)


@pytest.mark.parametrize("workers", [1, 3])
def test_pixels_do_not_depend_on_the_number_of_workers(
    workers: int, uncut: Project, damaged_catalog: Path, tmp_path: Path
) -> None:
    project = write_project(tmp_path, damaged_catalog, scenes={"cloud_buffer": BUFFER})
    run_tiles(project, stages=PIXELS, engine=ProcessEngine(workers=workers, gdal_cache_mb=64))

    assert_same_pixels(project, uncut)


def test_stages_run_alone_from_stored_inputs_equal_the_chain_bit_for_bit(
    damaged_catalog: Path, tmp_path: Path
) -> None:
    chain = write_project(tmp_path / "chain", damaged_catalog, scenes={"cloud_buffer": BUFFER})
    run_tiles(chain)
    alone = write_project(tmp_path / "alone", damaged_catalog, scenes={"cloud_buffer": BUFFER})
    for stage in (*PIXELS, "tile_index"):
        run_tiles(alone, stages=[stage])

    assert pixels(chain) == pixels(alone)
