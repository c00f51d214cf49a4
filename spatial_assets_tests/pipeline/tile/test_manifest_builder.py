"""Stored objects are trusted only if they are the committed ones."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.tile.manifest_builder import lost_units
from spatial_assets.project import Project
from spatial_assets.stores.objects.location import locate
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore
from spatial_assets_tests.fixtures.pipeline_runs import (
    computed_stages,
    pixels,
    read_cube,
    run_tiles,
    states,
    store_of,
)
from spatial_assets_tests.fixtures.two_zone_project import LATER, TWO_TILES, write_project


@pytest.fixture
def project(shared_catalog: Path, tmp_path: Path) -> Project:
    """Two tiles, computed once."""
    project = write_project(tmp_path / "project", shared_catalog, area={"bbox": TWO_TILES})
    run_tiles(project)
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

    outcomes = run_tiles(project)

    assert pixels(project) == before
    # the tile's own, and only that stage: what follows from the same bytes stands
    assert list(computed_stages(outcomes).values()) == [{stage}]


def test_a_copied_store_is_believed_by_its_bytes(project: Project) -> None:
    root = Path(project.storage_url)
    for path in [path for path in root.rglob("*.tif") if path.is_file()]:
        copy = path.with_suffix(".copy")
        shutil.copyfile(path, copy)
        os.replace(copy, path)  # noqa: PTH105 - a new inode, so a new etag

    assert states(run_tiles(project)) == {State.UNCHANGED}


def test_a_lost_input_fails_a_stage_run_alone_rather_than_thin_its_result(
    project: Project,
) -> None:
    before = read_cube(project)
    victim = next(
        info.path for info in store_of(project).list("reprojected_raster") if LATER.id in info.path
    )
    store_of(project).delete(victim)
    tile = victim.split("/")[1]

    outcomes = run_tiles(project, stages=["ndvi", "tile_index"])

    assert outcomes[tile].state is State.FAILED
    trouble = outcomes[tile].bad_stage
    assert trouble is not None
    assert trouble.reason == "missing_input"
    assert LATER.id in trouble.message
    assert {outcomes[key].state for key in outcomes if key != tile} == {State.UNCHANGED}
    assert np.array_equal(read_cube(project)[0], before[0])


class CountingStore(ObjectStore):
    """A store that counts its requests."""

    def __init__(self, url: str) -> None:
        super().__init__(locate(url), {})
        self.asked: Counter[str] = Counter()

    def head(self, path: str) -> ObjectInfo | None:
        self.asked["head"] += 1
        return super().head(path)

    def list(self, prefix: str = "") -> tuple[ObjectInfo, ...]:
        self.asked["list"] += 1
        return super().list(prefix)


def test_what_is_lost_is_found_in_few_requests(project: Project) -> None:
    store = CountingStore(project.storage_url)
    key = project.partitioning.keys[0]
    manifest = read_manifest(store, key)
    assert manifest is not None
    store.asked.clear()

    assert lost_units(store, manifest) == ()

    inputs = [path for path in pixels(project) if f"/{key}/" in path]
    assert len(inputs) > 10
    # one list each for raw_tile and reprojected_raster, one look-up a shard of the cube
    assert store.asked == {"list": 2, "head": 2}


def test_only_the_units_that_are_lost_are_named(project: Project) -> None:
    store = store_of(project)
    key = project.partitioning.keys[0]
    manifest = read_manifest(store, key)
    assert manifest is not None
    victim = next(path for path in pixels(project) if f"raw_tile/{key}/{LATER.id}" in path)
    store.put(victim, b"other bytes")

    assert lost_units(store, manifest) == (("raw_tile", LATER.id),)
