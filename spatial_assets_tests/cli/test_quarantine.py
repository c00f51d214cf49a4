"""`quarantine` lists quarantined scenes and tiles, shows the reasons, and releases them."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from spatial_assets.cli import main
from spatial_assets_tests.cli.conftest import REGIONS
from spatial_assets_tests.fixtures import two_zone_project

Run = Callable[..., Result]

BEYOND_THE_POLE = [[12.05, 95.0], [12.25, 95.0], [12.25, 96.0], [12.05, 95.0]]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory, two_scenes: Path) -> Path:
    """Made with the western scene no raster, and a boundary that lies nowhere."""
    folder = tmp_path_factory.mktemp("bad") / "country"
    shutil.copytree(two_scenes, folder / "scenes")
    (folder / "scenes" / two_zone_project.WEST.id / "B08.tif").write_bytes(b"<html>503</html>")
    regions: Any = copy.deepcopy(REGIONS)
    regions["features"][1]["geometry"]["coordinates"] = [BEYOND_THE_POLE]
    (folder / "regions.geojson").write_text(json.dumps(regions))
    boundaries = {"name": "regions", "source": "regions.geojson", "key": "id"}
    two_zone_project.write_project(folder, folder / "scenes", boundaries=boundaries)
    arguments = ["--project", str(folder), "materialize", "--workers", "0"]
    assert CliRunner().invoke(main, arguments).exit_code == 1
    return folder


@pytest.fixture
def bad(made_once: Path, tmp_path: Path) -> Path:
    """A copy of it for this test; its scenes are those of all."""
    return Path(shutil.copytree(made_once, tmp_path / "country"))


def listed(run: Run, folder: Path, *options: str) -> list[dict[str, object]]:
    result = run("--project", folder, "quarantine", "list", "--json", *options)
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_nothing_is_in_quarantine_before_anything_was_made(
    run: Run, four_tile_project: Path
) -> None:
    result = run("--project", four_tile_project, "quarantine", "list")

    assert result.exit_code == 0
    assert result.output == "Nothing in quarantine.\n"
    assert not (four_tile_project / "data").exists()


def test_the_list_names_kind_subject_reason_times_and_place(run: Run, bad: Path) -> None:
    output = run("--project", bad, "quarantine", "list").output

    lines = [[cell.strip() for cell in line.split("│")] for line in output.splitlines()]
    rows = {cells[2]: cells for cells in lines if len(cells) > 6}
    scene = rows[two_zone_project.WEST.id]
    assert (scene[1], scene[3]) == ("scene", "not_a_raster")
    assert scene[4].startswith("20")
    assert scene[6].endswith(f"{two_zone_project.WEST.id}.json")
    assert rows["regions/east"][3]
    assert sum(cells[1] == "tile" for cells in rows.values()) == 2


def test_filters_choose_by_kind_and_reason(run: Run, bad: Path) -> None:
    everything = listed(run, bad)

    assert {row["kind"] for row in everything} == {"scene", "tile", "feature"}
    assert [row["kind"] for row in listed(run, bad, "--kind", "feature")] == ["feature"]
    by_reason = listed(run, bad, "--reason", "no_usable_scene", "--reason", "not_a_raster")
    assert {row["kind"] for row in by_reason} == {"scene", "tile"}
    assert listed(run, bad, "--kind", "feature", "--reason", "not_a_raster") == []


def test_show_prints_a_scene_and_the_tiles_it_touches(run: Run, bad: Path) -> None:
    result = run("--project", bad, "quarantine", "show", two_zone_project.WEST.id, "--json")

    (told,) = json.loads(result.stdout)
    tiles = {str(row["subject"]) for row in listed(run, bad, "--kind", "tile")}
    assert tiles <= set(told["tiles"])
    assert len(told["checksum"]) == 64
    assert told["code_version"]
    assert told["stored"]["reason"] == told["reason"] == "not_a_raster"
    assert "<html>" in told["message"]
    shown = run("--project", bad, "quarantine", "show", two_zone_project.WEST.id).output
    assert all(f"\n{name} " in f"\n{shown}" for name in told)


def test_show_of_a_feature_has_what_the_store_kept_of_it(run: Run, bad: Path) -> None:
    result = run("--project", bad, "quarantine", "show", "regions/east", "--json")

    (told,) = json.loads(result.stdout)
    assert told["stored"]["key"] == "east"
    assert told["stored"]["wkb"]
    assert len(told["checksum"]) == 64


def test_a_released_tile_is_made_again_with_the_scenes_it_was_refused_for(
    run: Run, bad: Path
) -> None:
    tile = str(listed(run, bad, "--kind", "tile")[0]["subject"])

    result = run("--project", bad, "quarantine", "release", tile)

    assert result.exit_code == 0, result.output
    assert f"1 tile released: {tile}." in result.output
    assert f"1 scene released: {two_zone_project.WEST.id}." in result.output
    assert f"spatial-assets materialize --tiles {tile}" in result.output
    left = {str(row["subject"]) for row in listed(run, bad)}
    assert tile not in left
    again = run("--project", bad, "materialize", "--workers", "0", "--tiles", tile)
    assert again.exit_code == 1  # newly quarantined, not standing
    assert {tile, two_zone_project.WEST.id} <= {str(row["subject"]) for row in listed(run, bad)}


def test_a_reason_releases_all_that_is_there_for_it(run: Run, bad: Path) -> None:
    result = run("--project", bad, "quarantine", "release", "--reason", "no_usable_scene")

    assert "2 tiles released" in result.output
    assert [row["kind"] for row in listed(run, bad)] == ["feature"]


def test_a_released_feature_is_validated_again_and_comes_back(run: Run, bad: Path) -> None:
    result = run("--project", bad, "quarantine", "release", "regions/east")

    assert "materialize --select validated_regions" in result.output
    assert listed(run, bad, "--kind", "feature") == []
    run("--project", bad, "materialize", "--select", "validated_regions")
    assert [row["subject"] for row in listed(run, bad, "--kind", "feature")] == ["regions/east"]


def test_a_repaired_feature_needs_no_release(run: Run, bad: Path) -> None:
    regions: Any = json.loads((bad / "regions.geojson").read_text())
    regions["features"].pop()
    (bad / "regions.geojson").write_text(json.dumps(regions))

    run("--project", bad, "materialize", "--select", "raw_regions,validated_regions")

    assert listed(run, bad, "--kind", "feature") == []


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        pytest.param(["nobody"], 1, "nothing in quarantine matches: nobody", id="unknown"),
        pytest.param(["--reason", "sunspots"], 1, "nothing in quarantine matches", id="reason"),
        pytest.param([], 2, "name what to release", id="nothing-named"),
    ],
)
def test_releasing_what_is_not_there_is_an_error(
    run: Run, bad: Path, arguments: list[str], code: int, told: str
) -> None:
    before = listed(run, bad)

    result = run("--project", bad, "quarantine", "release", *arguments)

    assert result.exit_code == code
    assert told in result.output
    assert listed(run, bad) == before


def test_showing_what_is_not_there_is_an_error(run: Run, four_tile_project: Path) -> None:
    result = run("--project", four_tile_project, "quarantine", "show", "nobody")

    assert result.exit_code == 1
    assert "nothing in quarantine matches: nobody" in result.output
