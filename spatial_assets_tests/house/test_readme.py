"""The README is correct: its commands exist, its project file loads, its links lead to files."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from spatial_assets.project import load_project
from spatial_assets_tests.servers.process import REPOSITORY

DOCS = tuple(f"docs/{name}.md" for name in ("architecture", "benchmarks", "projects", "scale"))
PAGES = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "deploy/README.md", *DOCS)]
README = PAGES[0].read_text()
FIRST_SCREEN_LINES = 30
PROGRAMS = Path(sys.executable).parent


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """The arguments of each call of `program` in the README's blocks."""
    lines = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    return [line[1:] for line in lines if Path(line[0]).name == program]


@cache
def help_of(*command: str) -> str:
    program = PROGRAMS / command[0]
    done = subprocess.run(
        [program, *command[1:], "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr[-1000:]}"
    return done.stdout


def options(arguments: list[str]) -> list[str]:
    return [argument for argument in arguments if argument.startswith("-")]


def test_the_readme_has_no_other_commands_than_those_tested_here() -> None:
    lines = [line.split()[0] for block in blocks("sh") for line in block.splitlines()]

    assert {Path(word).name for word in lines} == {"make", "export", "spatial-assets", "dagster"}


@pytest.mark.parametrize("target", sorted({words[0] for words in commands("make")}))
def test_a_make_target_of_the_readme_exists_and_is_explained(target: str) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()

    assert re.search(rf"^{target}:.*## \w+", makefile, flags=re.MULTILINE)


def test_make_would_run_every_target_of_the_readme() -> None:
    targets = sorted({words[0] for words in commands("make")} | {"setup", "check", "bench"})

    subprocess.run(["make", "--dry-run", *targets], cwd=REPOSITORY, check=True, capture_output=True)


@pytest.mark.parametrize("arguments", commands("spatial-assets"), ids=" ".join)
def test_a_spatial_assets_command_of_the_readme_exists(arguments: list[str]) -> None:
    text = help_of("spatial-assets", arguments[0])

    assert [option for option in options(arguments) if option not in text] == []


@pytest.mark.parametrize("arguments", commands("dagster"), ids=" ".join)
def test_a_dagster_command_of_the_readme_exists(arguments: list[str]) -> None:
    text = help_of("dagster", *arguments[:2])

    assert [option for option in options(arguments) if option not in text] == []


def test_the_project_file_of_the_readme_loads(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    (tmp_path / "project.toml").write_text(block)

    project = load_project(tmp_path, {})

    assert project.root == tmp_path
    assert project.partitioning.keys


def test_the_partitions_of_the_readme_are_tiles_of_its_project(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    (tmp_path / "project.toml").write_text(block)
    named = re.findall(r"--partition(?:-range)? (\S+)", README)

    keys = load_project(tmp_path, {}).partitioning.keys

    assert {key for value in named for key in value.split("...")} <= set(keys)


def test_every_promise_is_proved_by_a_command_that_exists() -> None:
    _, _, part = README.partition("## Promises")
    proofs = [row.split("|")[2].strip(" `") for row in part.splitlines() if row.startswith("| ")]

    makefile = (REPOSITORY / "Makefile").read_text()
    assert len(proofs) > 10
    for proof in proofs[1:]:
        if proof.startswith("make "):
            assert f"\n{proof.removeprefix('make ')}: " in makefile
        else:
            assert (REPOSITORY / "spatial_assets_tests" / proof).is_file(), proof


def test_the_first_screen_shows_the_picture_and_the_two_commands() -> None:
    screen = "\n".join(README.splitlines()[:FIRST_SCREEN_LINES])

    assert "![" in screen
    assert "make demo" in screen
    assert "make test" in screen


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_to_files_that_exist(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    local = [target for target in targets if "://" not in target]

    assert [target for target in local if not (page.parent / target).exists()] == []
