"""A product of the version before manifests were split goes on, and nothing is computed again."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets.catalog import Catalogue, find_scenes
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.stages import CODE_VERSIONS
from spatial_assets.project import Project, load_project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets_tests.fixtures.pipeline_runs import (
    changed_objects,
    run_tiles,
    states,
    store_of,
    stored_objects,
    tables,
    top_folders,
)

Run = Callable[..., Result]

AFTER_RAW = "reprojected_raster,ndvi,tile_index"
BEFORE = Path(__file__).with_name("made_by_schema_1.tar.xz")
"""Two scenes over one tile in two months, with the store and the DuckDB file that they made."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    with tarfile.open(BEFORE) as archive:
        archive.extractall(tmp_path, filter="data")
    return load_project(tmp_path / "p", {})


def found_as_then(project: Project) -> Callable[[Project], Catalogue]:
    """Return a search that finds the files as unchanged, although they were moved to a test."""
    (tile,) = project.partitioning.keys
    manifest = read_manifest(store_of(project), tile)
    assert manifest is not None
    then = {name: scene.fingerprint for name, scene in manifest.scenes("raw_tile").items()}

    def find(project: Project) -> Catalogue:
        found = find_scenes(project)
        scenes = (replace(scene, fingerprint=then[scene.id]) for scene in found.scenes)
        return replace(found, scenes=tuple(scenes))

    return find


def test_an_upgrade_splits_the_manifest_and_computes_nothing(project: Project) -> None:
    (tile,) = project.partitioning.keys
    before, objects = read_manifest(store_of(project), tile), stored_objects(project)
    assert before is not None
    document = from_json(store_of(project).get(layout.manifest(tile)))
    assert document["schema"] == 1
    find = found_as_then(project)

    assert states(run_tiles(project, find=find)) == {State.UNCHANGED}

    written = top_folders(changed_objects(objects, project))
    assert {"manifests", "manifest_parts"} <= written
    assert written.isdisjoint({"raw_tile", "reprojected_raster", "ndvi.zarr"})
    after = read_manifest(store_of(project), tile)
    assert after is not None
    assert sorted(after.parts) == sorted(after.settled) == ["2023-08", "2023-09"]
    for stage, units in before.stages.items():
        for unit, entry in units.items():
            if (stage, unit) != ("tile_index", "rows"):  # its hash is of months now
                assert after.entry(stage, unit) == entry
    objects, rows = stored_objects(project), tables(project)
    assert states(run_tiles(project, find=find, verified_months=0)) == {State.UNCHANGED}
    assert changed_objects(objects, project) == set()
    assert tables(project) == rows


def test_commands_go_on_with_what_the_version_before_made(run: Run, project: Project) -> None:
    planned = run("--project", project.root, "plan", "--select", AFTER_RAW).stdout
    assert "1 materialized" in planned
    options = ("--select", AFTER_RAW, "--workers", "0")
    made = run("--project", project.root, "materialize", *options)

    assert "1 unchanged" in made.stdout, made.output


def test_the_operations_page_has_a_row_for_each_code_version() -> None:
    page = Path(__file__).parents[2] / "docs" / "operations.md"
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", page.read_text(), flags=re.MULTILINE)

    assert dict(rows) == CODE_VERSIONS
