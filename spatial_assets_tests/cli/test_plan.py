"""`plan` describes a run, and changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spatial_assets.cli import main
from spatial_assets.pipeline.key_ranges import key_ranges
from spatial_assets.project import load_project

Run = Callable[..., Result]

WEST_SIDE = "11.75,46.0,11.9,46.3"


def test_tiles_scenes_memory_and_runs_are_printed(run: Run, four_tile_project: Path) -> None:
    result = run("--project", four_tile_project, "plan")

    assert result.exit_code == 0, result.output
    assert "4 tiles, 0.3 million pixels: 4 missing" in result.output
    assert "2 scenes may overlap them, in 1 period (2023-08)" in result.output
    assert re.search(r"MB for the process .* 65,536 pixels .* MB of 2,048 MB", result.output)
    assert "1 run in Dagster" in result.output


def test_nothing_is_written(run: Run, four_tile_project: Path) -> None:
    before = sorted(four_tile_project.rglob("*"))

    run("--project", four_tile_project, "plan")
    run("--project", four_tile_project, "plan", "--missing")

    assert sorted(four_tile_project.rglob("*")) == before


def test_each_range_of_neighbours_is_a_run_as_dagster_takes_it(
    run: Run, four_tile_project: Path
) -> None:
    keys = load_project(four_tile_project, {}).partitioning.keys

    result = run(
        "--project", four_tile_project, "plan", "--tiles", f"{keys[0]},{keys[2]},{keys[3]}"
    )

    assert "2 runs in Dagster" in result.output
    assert f"--partition {keys[0]}  (1 tile)" in result.output
    assert f"--partition-range {keys[2]}...{keys[3]}  (2 tiles)" in result.output


def test_states_choose_among_the_places(run: Run, four_tile_project: Path) -> None:
    run("--project", four_tile_project, "materialize", "--bbox", WEST_SIDE, "--workers", "0")

    assert "2 tiles," in run("--project", four_tile_project, "plan", "--missing").output
    assert (
        "nothing to do"
        in run("--project", four_tile_project, "plan", "--missing", "--bbox", WEST_SIDE).output
    )
    assert "4 tiles, 0.3 million pixels: 2 materialized, 2 missing" in sorted_states(
        run("--project", four_tile_project, "plan").output
    )


def sorted_states(text: str) -> str:
    """The first line, its states in alphabetical order."""
    told, _, states = text.partition("\n")[0].partition(": ")
    return f"{told}: {', '.join(sorted(states.split(', '), key=lambda state: state.split()[1]))}"


def test_a_tile_that_cannot_fit_is_predicted(run: Run, four_tile_project: Path) -> None:
    file = four_tile_project / "project.toml"
    file.write_text(file.read_text().replace("workers = 2", "workers = 2\nmemory_mb = 100"))

    result = run("--project", four_tile_project, "plan")

    assert "of 100 MB" in result.output
    assert "too much: the run rejects such tiles" in result.output


def test_keys_of_standard_input_are_taken(four_tile_project: Path) -> None:
    runner, project = CliRunner(), ["--project", str(four_tile_project)]
    keys = runner.invoke(main, [*project, "tiles", "--bbox", WEST_SIDE]).output

    result = runner.invoke(main, [*project, "plan", "--tiles", "-"], input=keys)

    assert "2 tiles," in result.output


@pytest.mark.parametrize(
    ("chosen", "longest", "expected"),
    [
        pytest.param("", 9, [], id="none"),
        pytest.param("abcdef", 9, ["a-f"], id="all"),
        pytest.param("abef", 9, ["a-b", "e-f"], id="two"),
        pytest.param("fba", 9, ["a-b", "f-f"], id="in-any-order"),
        pytest.param("abcdef", 4, ["a-d", "e-f"], id="cut-where-too-long"),
    ],
)
def test_ranges_are_contiguous_and_hold_exactly_the_chosen(
    chosen: str, longest: int, expected: list[str]
) -> None:
    ranges = key_ranges("abcdef", chosen, longest=longest)

    assert [f"{each.first}-{each.last}" for each in ranges] == expected
    assert sum(each.count for each in ranges) == len(chosen)
