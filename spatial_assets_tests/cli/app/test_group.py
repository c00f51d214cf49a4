"""The command line as a whole: names, help and error messages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from spatial_assets.cli import main

Run = Callable[..., Result]

COMMANDS = main.list_commands(click.Context(main))


def test_the_commands_of_this_part_are_there() -> None:
    assert {"check", "env", "init", "tiles"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_module_has_a_command_of_its_name_with_help(run: Run, name: str) -> None:
    result = run(name, "--help")

    assert result.exit_code == 0
    assert f"Usage: main {name}" in result.output


def test_help_lists_every_command_without_importing_one() -> None:
    code = (
        "import sys, json\n"
        "from spatial_assets.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={}
    )

    *listed, modules = done.stdout.splitlines()
    loaded = {name for name in json.loads(modules) if name.startswith("spatial_assets.cli.")}
    for name in COMMANDS:
        assert any(line.strip().startswith(f"{name} ") for line in listed)
        assert f"spatial_assets.cli.{name.replace('-', '_')}" not in loaded
    assert not {"rasterio", "dagster", "rich", "zarr", "pyogrio"} & set(json.loads(modules))


def test_an_error_of_ours_is_one_line_and_exit_code_1(run: Run, folder: Path) -> None:
    with (folder / "project.toml").open("a", encoding="utf-8") as file:
        file.write("[compute]\nworker = 3\n")

    result = run("--project", folder, "tiles")

    assert result.exit_code == 1
    assert result.output == (
        f"Error: {folder}/project.toml: compute.worker = 3: unknown key; did you mean 'workers'?\n"
    )


@pytest.mark.parametrize("arguments", [["no-such-command"], ["tiles", "--no-such-option"]])
def test_a_usage_error_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_the_version_is_printed(run: Run) -> None:
    assert "version" in run("--version").output
