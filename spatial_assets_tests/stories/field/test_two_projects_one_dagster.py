"""Two projects of the field on one Dagster instance: each knows its own tiles."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.assets.asset_keys import asset_key, project_tags
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.dagster_runs import definitions, materialize
from spatial_assets_tests.fixtures.field_cases import field_case, project_of

pytestmark = pytest.mark.samples

CHAIN = ("raw_tile", "reprojected_raster", "ndvi", "tile_index")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance for both projects."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def copies(tmp_path: Path, *, prefixed: bool = False) -> list[Project]:
    """The case's project in two folders, A and B."""
    case = field_case("two-projects-one-dagster", tmp_path)
    folders = [Path(shutil.copytree(case / "p", tmp_path / name)) for name in ("A", "B")]
    for folder in folders if prefixed else ():
        file = folder / "project.toml"
        prefix = f'[project]\nasset_prefix = "{folder.name.lower()}"\n'
        file.write_text(prefix + file.read_text(encoding="utf-8"), encoding="utf-8")
    return [project_of(folder) for folder in folders]


def asked_for(project: Project, instance: dg.DagsterInstance) -> set[str | None]:
    """The tiles whose `raw_tile` automation requests now, as another process would."""
    everything = dg.AssetSelection.all()  # the default also has sources, which warns of being beta
    answer = dg.evaluate_automation_conditions(
        definitions(project), instance=instance, asset_selection=everything
    )
    return set(answer.get_requested_partitions(asset_key(project, "raw_tile")))


def make(project: Project, instance: dg.DagsterInstance) -> None:
    """Materialize all tiles in one run."""
    select = [asset_key(project, stage).to_user_string() for stage in CHAIN]
    done = materialize(definitions(project), instance, select, tiles=project.tile_keys)
    assert done.success


def test_tiles_of_one_project_are_asked_for_after_the_other_made_its_own(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    a, b = copies(tmp_path)
    tiles: set[str | None] = set(b.tile_keys)
    assert asked_for(b, instance) == tiles

    make(a, instance)

    assert asked_for(a, instance) == set()
    assert asked_for(b, instance) == tiles


def test_two_projects_do_not_ask_for_each_others_tiles_in_turn(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    a, b = copies(tmp_path)
    for project in (a, b, a):
        make(project, instance)

    assert asked_for(a, instance) == asked_for(b, instance) == set()


def test_keys_with_a_prefix_keep_two_projects_apart(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    a, b = copies(tmp_path, prefixed=True)

    make(a, instance)

    assert asked_for(a, instance) == set()
    assert asked_for(b, instance) == set(b.tile_keys)
    made = {key.to_user_string() for key in instance.all_asset_keys()}
    assert made >= {f"a/{stage}" for stage in CHAIN}
    assert not [key for key in made if not key.startswith("a/")]


@pytest.mark.parametrize("tiles", [1, 2])
def test_events_name_their_project(
    tmp_path: Path, instance: dg.DagsterInstance, tiles: int
) -> None:
    project, _ = copies(tmp_path, prefixed=True)
    select = [asset_key(project, stage).to_user_string() for stage in CHAIN]

    materialize(definitions(project), instance, select, tiles=project.tile_keys[:tiles])

    for stage in CHAIN:
        found = instance.fetch_materializations(asset_key(project, stage), limit=9).records
        tags = [dict(event.tags or {}) for each in found if (event := each.asset_materialization)]
        assert len(tags) == tiles
        assert all(project_tags(project).items() <= each.items() for each in tags)
