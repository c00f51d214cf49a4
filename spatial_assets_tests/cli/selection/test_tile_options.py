"""--region NAME means the tiles of that part of [regions]."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets.project import Project, load_project

Run = Callable[..., Result]

WEST_BOX = "11.75,46.0,11.9,46.3"
REGIONS = """
[regions.west]
bbox = [11.75, 46.0, 11.9, 46.3]
[regions.corner]
bbox = [12.27, 46.29, 12.28, 46.3]
"""


@pytest.fixture
def project(four_tile_project: Path) -> Project:
    """The project with two regions."""
    file = four_tile_project / "project.toml"
    file.write_text(file.read_text() + REGIONS)
    return load_project(four_tile_project, {})


def planned(run: Run, project: Project, *options: str) -> list[str]:
    result = run("--project", project.root, "plan", "--json", *options)
    assert result.exit_code == 0, result.output
    keys: list[str] = json.loads(result.stdout)["keys"]
    return keys


def test_a_region_is_the_place_that_it_names(run: Run, project: Project) -> None:
    west = planned(run, project, "--region", "west")

    assert west == list(project.region_tiles("west"))
    assert west == planned(run, project, "--bbox", WEST_BOX)
    assert len(west) == 2


def test_regions_and_other_places_add_up(run: Run, project: Project) -> None:
    west, corner = project.region_tiles("west"), project.region_tiles("corner")
    other = next(key for key in project.partitioning.keys if key not in {*west, *corner})

    assert set(planned(run, project, "--region", "west", "--region", "corner")) == {*west, *corner}
    assert set(planned(run, project, "--region", "corner", "--tiles", other)) == {*corner, other}


def test_states_choose_within_a_region(run: Run, project: Project) -> None:
    (first, second) = project.region_tiles("west")
    run("--project", project.root, "materialize", "--tiles", first, "--workers", "0")

    assert planned(run, project, "--region", "west", "--missing") == [second]


@pytest.mark.parametrize("command", ["plan", "materialize"])
def test_a_region_that_is_not_there_is_refused(run: Run, project: Project, command: str) -> None:
    result = run("--project", project.root, command, "--region", "wset")

    assert result.exit_code == 2
    assert "wset: not in [regions] of" in result.stderr
    assert "which has west, corner" in result.stderr
