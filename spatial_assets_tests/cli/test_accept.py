"""An upgrade says which code changed, and results of former code can be accepted as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets.pipeline.stages import CODE_VERSIONS
from spatial_assets.project import load_project
from spatial_assets_tests.fixtures.pipeline_runs import pixels

Run = Callable[..., Result]

HERE = ("--workers", "0")


@pytest.fixture
def upgraded(run: Run, four_tile_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that was made by code whose version of the indices was lower."""
    result = run("--project", four_tile_project, "materialize", *HERE)
    assert "4 materialized" in result.stdout, result.output
    monkeypatch.setitem(CODE_VERSIONS, "index", str(int(CODE_VERSIONS["index"]) + 1))
    return four_tile_project


def changed(run: Run, project: Path) -> set[str]:
    """Causes for which the plan would compute tiles again."""
    found = json.loads(run("--project", project, "plan", "--changed", "--json").stdout)
    return {cause for causes in found.get("changed", {}).values() for cause in causes}


def test_the_plan_says_which_code_changed_and_what_a_run_reads(run: Run, upgraded: Path) -> None:
    text = run("--project", upgraded, "plan", "--changed").stdout

    assert "code: ndvi of 4 tiles" in text
    assert "settings" not in text
    assert "nothing to read" in text  # its inputs are stored


def test_other_code_of_raw_tile_reads_every_scene_again(
    run: Run, upgraded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CODE_VERSIONS, "raw_tile", str(int(CODE_VERSIONS["raw_tile"]) + 1))

    text = run("--project", upgraded, "plan", "--changed").stdout

    assert "code: ndvi of 4 tiles, code: raw_tile of 4 tiles" in text
    (volume,) = [line for line in text.splitlines() if "to read" in line]
    assert volume.endswith("to read from 2 scenes")


def test_accepted_results_are_neither_changed_nor_computed_again(run: Run, upgraded: Path) -> None:
    before = pixels(load_project(upgraded, {}))

    dry = run("--project", upgraded, "accept", "--stage", "ndvi").stdout
    assert "ndvi: code version 1 made 4 tiles" in dry
    assert "Nothing was written" in dry
    assert changed(run, upgraded) != set()
    accepted = run("--project", upgraded, "accept", "--stage", "ndvi", "--yes").stdout
    assert "results of ndvi by code version 1 (now 2), all tiles; by " in accepted

    assert changed(run, upgraded) == set()
    result = run("--project", upgraded, "materialize", *HERE)
    assert "4 unchanged" in result.stdout, result.output
    assert pixels(load_project(upgraded, {})) == before
    assert "accepted as they are: results of ndvi" in run("--project", upgraded, "status").stdout


def test_without_it_they_are_computed_again(run: Run, upgraded: Path) -> None:
    result = run("--project", upgraded, "materialize", *HERE)

    assert "4 materialized" in result.stdout, result.output
    assert changed(run, upgraded) == set()


def test_a_changed_setting_is_followed_all_the_same(run: Run, upgraded: Path) -> None:
    run("--project", upgraded, "accept", "--stage", "ndvi", "--yes")
    file = upgraded / "project.toml"
    file.write_text(file.read_text().replace("[time]", '[time]\ncomposite = "max"', 1))
    assert changed(run, upgraded) == {"settings"}
    assert "Nothing to accept" in run("--project", upgraded, "accept", "--stage", "ndvi").stdout

    result = run("--project", upgraded, "materialize", *HERE)
    assert "4 materialized" in result.stdout, result.output


def test_one_tile_alone_is_accepted_and_revoked(run: Run, upgraded: Path) -> None:
    tile, *others = load_project(upgraded, {}).partitioning.keys
    run("--project", upgraded, "accept", "--stage", "ndvi", "--tile", tile, "--yes")

    planned = json.loads(run("--project", upgraded, "plan", "--changed", "--json").stdout)
    assert planned["keys"] == others
    revoked = run("--project", upgraded, "accept", "--revoke", "--yes").stdout
    assert ", 1 tile; by" in revoked
    planned = json.loads(run("--project", upgraded, "plan", "--changed", "--json").stdout)
    assert planned["keys"] == [tile, *others]


def test_a_stage_that_is_not_there_is_refused_with_those_that_are(run: Run, upgraded: Path) -> None:
    result = run("--project", upgraded, "accept", "--stage", "evi", "--yes")

    assert result.exit_code != 0
    assert "choose from raw_tile, reprojected_raster, ndvi" in result.output
