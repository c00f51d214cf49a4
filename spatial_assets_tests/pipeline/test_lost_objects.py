"""What is in the store is believed only as far as it is what was committed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets_tests.pipeline.runs import cube, made, pixels, states, store_of, walk
from spatial_assets_tests.pipeline.world import LATER, TWO_TILES, write_project


@pytest.fixture
def project(country: Path, tmp_path: Path) -> Project:
    """Two tiles, computed once."""
    project = write_project(tmp_path / "project", country, area={"bbox": TWO_TILES})
    walk(project)
    return project


@pytest.mark.parametrize("stage", ["raw_tile", "reprojected_raster", "ndvi"])
@pytest.mark.parametrize("harm", ["deleted", "damaged"])
def test_an_object_that_is_not_what_was_committed_is_made_again(
    stage: str, harm: str, project: Project
) -> None:
    before = pixels(project)
    folder = "ndvi.zarr/ndvi/c" if stage == "ndvi" else stage
    victim = store_of(project).list(folder)[0].path
    path = Path(project.storage_url) / victim
    if harm == "deleted":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 255]) + data[1:])

    outcomes = walk(project)

    assert pixels(project) == before
    # the tile's own, and only that stage: what follows from the same bytes stands
    assert list(made(outcomes).values()) == [{stage}]


def test_a_copied_store_is_believed_by_its_bytes(project: Project) -> None:
    root = Path(project.storage_url)
    for path in [path for path in root.rglob("*.tif") if path.is_file()]:
        copy = path.with_suffix(".copy")
        shutil.copyfile(path, copy)
        os.replace(copy, path)  # noqa: PTH105 - a new inode, so a new etag

    assert states(walk(project)) == {State.UNCHANGED}


def test_a_lost_input_fails_a_stage_run_alone_rather_than_thin_its_result(
    project: Project,
) -> None:
    before = cube(project)
    victim = next(
        info.path for info in store_of(project).list("reprojected_raster") if LATER.id in info.path
    )
    store_of(project).delete(victim)
    tile = victim.split("/")[1]

    outcomes = walk(project, stages=["ndvi", "tile_index"])

    assert outcomes[tile].state is State.FAILED
    trouble = outcomes[tile].trouble
    assert trouble is not None
    assert trouble.reason == "missing_input"
    assert LATER.id in trouble.message
    assert {outcomes[key].state for key in outcomes if key != tile} == {State.UNCHANGED}
    assert np.array_equal(cube(project)[0], before[0])
