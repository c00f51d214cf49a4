"""`init` writes a project that loads, and overwrites nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets.project import load_project

Run = Callable[..., Result]


def test_what_init_writes_is_a_project_for_a_public_catalogue(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "new"

    result = run("init", target)

    assert result.exit_code == 0
    assert f"export SPATIAL_ASSETS_PROJECT={target}" in result.output
    project = load_project(target, {})
    assert project.catalog_url == "https://earth-search.aws.element84.com/v1"
    assert project.scenes.collections == ("sentinel-2-l2a",)
    assert 1 <= len(project.partitioning.keys) <= 10
    assert (target / "boundaries" / "README.md").is_file()


def test_every_commented_setting_of_the_starter_is_one_that_loads(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path / "new")
    file = tmp_path / "new" / "project.toml"
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        setting = line.removeprefix("# ")
        is_setting = setting.startswith("[") or " = " in setting
        lines.append(setting if line.startswith("# ") and is_setting else line)
    everything = "\n".join(line for line in lines if not line.startswith("file ="))
    file.write_text(everything, encoding="utf-8")

    project = load_project(tmp_path / "new", {})

    assert project.boundaries[0].name == "regions"
    assert "raw_tile" in project.freshness.windows
    assert "dense_cloud" in project.compute.profiles
    assert project.scenes.source.region == "us-west-2"


def test_the_example_area_is_the_box_of_the_starter(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path / "new")
    box = load_project(tmp_path / "new", {})
    file = tmp_path / "new" / "project.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("\nbbox =", "\n# bbox =").replace('# file = "area', 'file = "area'),
        encoding="utf-8",
    )

    assert load_project(tmp_path / "new", {}).area_geometry.equals(box.area_geometry)


def test_init_into_an_empty_folder_is_fine(run: Run, tmp_path: Path) -> None:
    assert run("init", tmp_path).exit_code == 0


@pytest.mark.parametrize("occupied", ["folder", "file"])
def test_init_overwrites_nothing(run: Run, tmp_path: Path, occupied: str) -> None:
    target = tmp_path / "there"
    kept = target if occupied == "file" else target / "kept.txt"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine", encoding="utf-8")

    result = run("init", target)

    assert result.exit_code == 1
    assert f"Error: {target} is not an empty folder; name a new one" in result.output
    assert kept.read_text(encoding="utf-8") == "mine"
