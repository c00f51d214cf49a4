"""--changed selects the tiles whose inputs changed, with the reason for each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shapely
from click.testing import Result

from spatial_assets.project import Project, load_project
from spatial_assets_tests.fixtures import two_zone_project

Run = Callable[..., Result]

HERE = ("--workers", "0")
STAGES = ("--select", "raw_tile,reprojected_raster,ndvi,tile_index")
WEST_SIDE = "11.75,46.0,11.9,46.3"
LATER = replace(
    two_zone_project.EAST, id="late_0820", day="2023-08-20", left=276_000.0, columns=150, rows=150
)
"""A small new scene in the north-east."""


@pytest.fixture
def made(run: Run, four_tile_project: Path) -> Project:
    """The project, all of it made."""
    result = run("--project", four_tile_project, "materialize", *HERE)
    assert "4 materialized" in result.stdout, result.output
    return load_project(four_tile_project, {})


def changed(run: Run, project: Project, *options: str) -> dict[str, list[str]]:
    """Tile -> why, as the plan has it."""
    result = run("--project", project.root, "plan", "--changed", "--json", *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    why: dict[str, list[str]] = found.get("changed", {})
    assert list(why) == found["keys"]
    return why


def under(project: Project, place: dict[str, object]) -> set[str]:
    """The tiles that touch a GeoJSON geometry."""
    shape = shapely.from_geojson(json.dumps(place))
    return {
        key
        for key in project.partitioning.keys
        if project.partitioning.tile(key).footprint(project.pixel_grid).intersects(shape)
    }


def set_key(project: Project, before: str, after: str) -> None:
    """Edit the project file."""
    file = project.root / "project.toml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def test_after_a_run_nothing_is_changed(run: Run, made: Project) -> None:
    assert changed(run, made) == {}
    result = run("--project", made.root, "materialize", "--changed", *HERE)
    assert "nothing to do" in result.stdout


def test_what_was_never_made_is_missing_and_not_changed(run: Run, four_tile_project: Path) -> None:
    assert changed(run, load_project(four_tile_project, {})) == {}


def test_a_new_scene_changes_exactly_the_tiles_under_it(run: Run, made: Project) -> None:
    two_zone_project.write_granule(made.root / "scenes", LATER)

    expected = under(made, LATER.footprint)
    assert 0 < len(expected) < 4
    assert changed(run, made) == {tile: ["scenes"] for tile in sorted(expected)}
    result = run("--project", made.root, "materialize", "--changed", *HERE)
    assert f"{len(expected)} tile" in result.stdout
    assert f"{len(expected)} materialized" in result.stdout
    assert changed(run, made) == {}


def test_a_withdrawn_scene_changes_the_tiles_it_was_over(run: Run, made: Project) -> None:
    shutil.rmtree(made.root / "scenes" / two_zone_project.WEST.id)

    assert set(changed(run, made)) == under(made, two_zone_project.WEST.footprint)


def test_places_narrow_what_changed(run: Run, made: Project) -> None:
    set_key(made, "[time]", '[time]\ncomposite = "max"')

    assert len(changed(run, made)) == 4
    assert len(changed(run, made, "--bbox", WEST_SIDE)) == 2


def test_a_setting_changes_the_stages_that_it_reaches(run: Run, made: Project) -> None:
    set_key(made, "[time]", '[time]\ncomposite = "max"')

    assert changed(run, made) == {tile: ["settings"] for tile in made.partitioning.keys}
    assert len(changed(run, made, "--select", "ndvi")) == 4
    assert changed(run, made, "--select", "raw_tile,reprojected_raster") == {}


def widen_the_west(project: Project) -> dict[str, object]:
    """Move an edge of the western region; its new geometry."""
    file = project.root / "regions.geojson"
    document = json.loads(file.read_text())
    west: dict[str, object] = document["features"][0]["geometry"]
    assert isinstance(west["coordinates"], list)
    for corner in west["coordinates"][0]:
        corner[1] = 46.25 if corner[1] == 46.3 else corner[1]
    file.write_text(json.dumps(document))
    return west


def test_a_changed_boundary_changes_the_tiles_that_it_touches(run: Run, made: Project) -> None:
    west = widen_the_west(made)
    expected = under(made, west)
    assert 0 < len(expected) < 4

    assert changed(run, made) == {}  # as validated last
    boundaries = "raw_regions,validated_regions"
    run("--project", made.root, "materialize", "--select", boundaries, *HERE)

    assert changed(run, made) == {tile: ["boundaries"] for tile in sorted(expected)}
    assert changed(run, made, *STAGES) == {}


def test_materialize_polls_the_boundaries_before_it_selects_tiles(run: Run, made: Project) -> None:
    expected = under(made, widen_the_west(made))

    result = run("--project", made.root, "materialize", "--changed", *HERE)

    assert f"{len(expected)} tiles in" in result.stdout, result.output
    assert f"{len(expected)} materialized" in result.stdout
    assert changed(run, made) == {}


def test_the_plan_counts_by_why_and_names_the_first(run: Run, made: Project) -> None:
    two_zone_project.write_granule(made.root / "scenes", LATER)
    set_key(made, "[time]", '[time]\ncomposite = "max"')
    seen = under(made, LATER.footprint)

    text = run("--project", made.root, "plan", "--changed").stdout

    assert "settings of 4 tiles" in text
    assert f"scenes of {len(seen)} tile" in text
    for tile in made.partitioning.keys:
        told = "scenes, settings" if tile in seen else "settings"
        assert f"  {tile}: {told}\n" in text
    assert "changed" not in run("--project", made.root, "plan").stdout


def test_changed_adds_to_the_other_states(run: Run, made: Project) -> None:
    two_zone_project.write_granule(made.root / "scenes", LATER)
    seen = under(made, LATER.footprint)
    lost = next(tile for tile in made.partitioning.keys if tile not in seen)
    (made.root / "data" / "manifests" / f"{lost}.json").unlink()

    result = run("--project", made.root, "plan", "--changed", "--missing", "--json")

    found = json.loads(result.stdout)
    assert set(found["keys"]) == seen | {lost}
    assert set(found["changed"]) == seen
