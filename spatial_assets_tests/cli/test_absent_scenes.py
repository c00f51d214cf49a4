"""Scenes that a catalogue does not list: counted by `plan` and `status`, released by `prune`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets.project import load_project
from spatial_assets.stores import layout
from spatial_assets_tests.fixtures.answering_catalogue import (
    Answer,
    AnsweringCatalogue,
    project_of_one_tile,
)
from spatial_assets_tests.fixtures.pipeline_runs import pixels, store_of

Run = Callable[..., Result]

NOT_ASKED = "scenes no longer asked for by [scenes] and [area]: 5; what was made of them stays"


@pytest.fixture
def catalogue(tmp_path: Path) -> AnsweringCatalogue:
    """A catalogue that lists five scenes."""
    catalogue = AnsweringCatalogue(tmp_path)
    catalogue.lay_out(Answer())
    return catalogue


@pytest.fixture
def made(run: Run, catalogue: AnsweringCatalogue) -> Path:
    """The project with its five scenes, its only tile materialized."""
    folder = project_of_one_tile(catalogue.folder.parent).root
    result = run("--project", folder, "materialize", "--workers", "0")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def narrow(made: Path) -> Path:
    """The project after it was told to take scenes with less than 1 % of clouds."""
    file = made / "project.toml"
    file.write_text(file.read_text().replace("[scenes]", "[scenes]\nmax_cloud_cover = 1"))
    return made


def names_of(folder: Path) -> set[str]:
    return set(pixels(load_project(folder, {})))


def test_plan_and_status_say_what_is_no_longer_asked_for(run: Run, narrow: Path) -> None:
    plan, status = (run("--project", narrow, command) for command in ("plan", "status"))

    assert NOT_ASKED in " ".join(plan.output.split())
    assert NOT_ASKED in " ".join(status.output.split())
    assert "the run would stop" not in plan.output
    planned = json.loads(run("--project", narrow, "plan", "--json").stdout)
    assert len(planned["absent_scenes"]["not_asked_for"]) == 5
    assert planned["refusal"] is None
    document = json.loads(run("--project", narrow, "status", "--json").stdout)
    assert len(document["scenes_not_asked_for"]) == 5


def test_plan_says_that_the_run_would_stop(
    run: Run, made: Path, catalogue: AnsweringCatalogue
) -> None:
    catalogue.lay_out(Answer(listed={}))

    result = run("--project", made, "plan")

    assert "the run would stop" in result.output
    assert "lacks 5 of the 5 scenes" in " ".join(result.output.split())
    stopped = run("--project", made, "materialize", "--workers", "0")
    assert stopped.exit_code == 1
    assert "prune --scenes --yes" in " ".join(stopped.output.split())


def test_prune_removes_scenes_only_on_demand_and_at_the_next_run(run: Run, narrow: Path) -> None:
    before = names_of(narrow)
    run("--project", narrow, "prune", "--yes")
    listed = run("--project", narrow, "prune", "--scenes")
    assert "5 scenes no longer asked for" in listed.output
    assert "Nothing was released" in listed.output
    run("--project", narrow, "materialize", "--workers", "0")
    assert names_of(narrow) == before

    released = run("--project", narrow, "prune", "--scenes", "--yes")
    again = run("--project", narrow, "materialize", "--workers", "0")

    assert "5 scenes released" in released.output
    assert again.exit_code == 0, again.output
    assert not any(
        path.startswith(("raw_tile/", "reprojected_raster/")) for path in names_of(narrow)
    )
    assert "Nothing to prune" in run("--project", narrow, "prune", "--scenes").output


def test_prune_releases_scenes_that_only_manifests_know(
    run: Run, made: Path, catalogue: AnsweringCatalogue
) -> None:
    """A store that an earlier version made."""
    store_of(load_project(made, {})).delete(layout.scene_register())
    catalogue.lay_out(Answer(listed=dict.fromkeys("abcd", 1)))
    run("--project", made, "materialize", "--workers", "0")
    assert any("/e" in path for path in names_of(made))

    result = run("--project", made, "prune", "--scenes", "--yes")

    assert "1 scene released" in result.output
    run("--project", made, "materialize", "--workers", "0")
    assert not any("/e" in path for path in names_of(made))


def test_prune_leaves_the_objects_of_a_damaged_manifest(run: Run, made: Path) -> None:
    before = names_of(made)
    store = store_of(load_project(made, {}))
    for info in store.list("manifests"):
        store.put(info.path, b"{")

    run("--project", made, "prune", "--yes")

    assert names_of(made) == before
