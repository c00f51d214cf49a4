"""`tiles` prints keys, one a line, as input of other commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import shapely
from click.testing import Result

from spatial_assets.project import load_project

Run = Callable[..., Result]

CORNER = "15.0,46.9,15.1,46.95"


def test_all_keys_are_printed_in_order(run: Run, folder: Path) -> None:
    result = run("--project", folder, "tiles")

    assert tuple(result.output.split()) == load_project(folder, {}).partitioning.keys


def test_the_project_of_the_environment_is_taken(run: Run, folder: Path) -> None:
    assert run("tiles", SPATIAL_ASSETS_PROJECT=str(folder)).output.split()


def test_a_box_and_a_file_select_the_tiles_they_touch(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    area = tmp_path / "area.geojson"
    west, south, east, north = (float(edge) for edge in CORNER.split(","))
    polygon = shapely.box(west, south, east, north)
    area.write_text(json.dumps(polygon.__geo_interface__), encoding="utf-8")

    by_box = run("--project", folder, "tiles", "--bbox", CORNER)
    by_file = run("--project", folder, "tiles", "--area", area)

    assert by_box.output == by_file.output
    assert len(by_box.output.split()) == 1


def test_a_region_is_its_tiles_and_adds_up_with_others(run: Run, folder: Path) -> None:
    keys = load_project(folder, {}).partitioning.keys
    with (folder / "project.toml").open("a", encoding="utf-8") as file:
        file.write(f"[regions.one]\ntiles = ['{keys[3]}']\n[regions.two]\ntiles = ['{keys[1]}']\n")

    both = run("--project", folder, "tiles", "--region", "one", "--region", "two")

    assert tuple(both.output.split()) == (keys[1], keys[3])
    with_box = run("--project", folder, "tiles", "--region", "one", "--bbox", CORNER)
    assert len(with_box.output.split()) == 2


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--bbox", "1,2,3", "not four numbers"),
        ("--bbox", "a,b,c,d", "not four numbers"),
        ("--bbox", "10,50,11,40", "south must be below north"),
        ("--area", "nowhere.geojson", "there is no file"),
        ("--region", "coast", "which has none"),
    ],
)
def test_a_selection_that_is_none_is_a_usage_error(
    run: Run, folder: Path, option: str, value: str, told: str
) -> None:
    result = run("--project", folder, "tiles", option, value)

    assert result.exit_code == 2
    assert value in result.output
    assert told in result.output


def test_a_box_outside_of_the_area_is_an_error(run: Run, folder: Path) -> None:
    result = run("--project", folder, "tiles", "--bbox", "100,10,101,11")

    assert result.exit_code == 1
    assert "no tile of [area] is there" in result.output
