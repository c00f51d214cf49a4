"""`plan`, `check` and a run say that a regrid is needed; the command does it, and says what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets.project import Project, load_project
from spatial_assets.stores.cube.cube import stored_cube
from spatial_assets.stores.objects.regrid_journal import RegridJournal, begin_regrid
from spatial_assets.stores.objects.store import open_store
from spatial_assets_tests.fixtures.pipeline_runs import rows

Run = Callable[..., Result]


@pytest.fixture
def grown(run: Run, four_tile_project: Path) -> Project:
    """A project of which the eastern half was made before its area grew and its time began."""
    file = four_tile_project / "project.toml"
    whole = file.read_text()
    west = "11.72,"
    assert west in whole
    file.write_text(whole.replace(west, "11.97,", 1))
    result = run("--project", four_tile_project, "materialize", "--workers", "0")
    assert result.exit_code == 0, result.output
    file.write_text(whole)
    return load_project(four_tile_project, {})


def test_plan_check_and_a_run_name_the_command_and_what_it_moves(run: Run, grown: Project) -> None:
    why = "the area starts 256 pixels further west than what is stored"
    moved = "4 objects"

    planned = run("--project", grown.root, "plan")
    as_json = run("--project", grown.root, "plan", "--json")
    checked = run("--project", grown.root, "check")
    refused = run("--project", grown.root, "materialize", "--workers", "0")

    for said in (planned.stdout, json.loads(as_json.stdout)["refusal"]):
        assert why in said
        assert moved in said
        assert "spatial-assets regrid" in said
    assert checked.exit_code == 1
    assert "stored product" in checked.output
    assert refused.exit_code == 1
    assert why in refused.output
    assert "spatial-assets regrid" in refused.output


def test_the_command_says_what_it_does_and_leaves_nothing_to_do(run: Run, grown: Project) -> None:
    dry = run("--project", grown.root, "regrid", "--dry-run")
    before = stored_cube(open_store(grown.storage_url), "ndvi")

    done = run("--project", grown.root, "regrid")

    assert "4 objects" in dry.stdout
    assert "Nothing was written" in dry.stdout
    assert before is not None
    assert before.chunk_keys == "default"
    assert done.exit_code == 0, done.output
    assert "nothing is computed again" in done.stdout
    again = run("--project", grown.root, "regrid")
    assert "Nothing to move" in again.stdout
    cleaned = run("--project", grown.root, "regrid", "--clean")
    assert "7 objects" in cleaned.stdout
    made = run("--project", grown.root, "materialize", "--workers", "0")
    assert "2 materialized" in made.stdout
    assert "2 unchanged" in made.stdout
    pruned = run("--project", grown.root, "prune")
    assert "Nothing to prune" in pruned.stdout


def test_periods_before_a_later_start_are_lost_only_with_yes(run: Run, grown: Project) -> None:
    file = grown.root / "project.toml"
    file.write_text(file.read_text().replace("start = 2023-08-01", "start = 2023-09-01", 1))

    refused = run("--project", grown.root, "regrid")
    done = run("--project", grown.root, "regrid", "--yes")

    assert refused.exit_code == 2
    assert "1 periods before [time] start are given up: 2023-08 to 2023-08" in refused.output
    assert "--yes" in refused.output
    assert done.exit_code == 0, done.output


def test_commands_refuse_while_a_regrid_is_interrupted(run: Run, grown: Project) -> None:
    journal = RegridJournal(owner="a host", started_at="noon", why="the area grew", phase="copying")
    begin_regrid(open_store(grown.storage_url), journal)

    for command in (["plan"], ["check"], ["materialize"], ["prune"], ["status"]):
        result = run("--project", grown.root, *command)
        assert result.exit_code == 1, result.output
        said = " ".join(result.output.replace("│", " ").split())
        assert "regrid" in said, said


def test_another_level_takes_over_tiles_with_their_statistics(
    run: Run, four_tile_project: Path
) -> None:
    file = four_tile_project / "project.toml"
    assert run("--project", four_tile_project, "materialize", "--workers", "0").exit_code == 0
    before = merged(load_project(four_tile_project, {}))
    text = file.read_text()
    assert "level = 10" in text
    file.write_text(
        text.replace("level = 10", "level = 9", 1).replace("workers = 2", "workers = 1")
    )
    planned = run("--project", four_tile_project, "plan")

    done = run("--project", four_tile_project, "regrid")

    assert "[grid] level is 9, that of the stored tiles 10" in planned.stdout
    assert done.exit_code == 0, done.output
    after = merged(load_project(four_tile_project, {}))
    assert after.keys() == before.keys()
    assert len(before) > 0
    for key, mean in before.items():
        assert after[key] == pytest.approx(mean, rel=1e-9), key
    changed = run("--project", four_tile_project, "plan", "--changed")
    assert "nothing to do" in changed.stdout
    missing = run("--project", four_tile_project, "plan", "--missing")
    assert "nothing to do" in missing.stdout


def merged(project: Project) -> dict[tuple[object, object], object]:
    """Mean NDVI by boundary and period."""
    return {
        (row["boundary_key"], row["period"]): row["mean"]
        for row in rows(project, "ndvi_by_boundary_merged")
    }
