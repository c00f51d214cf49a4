"""Every command of docs/operations.md runs here, in another test, or is named there as not run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets_tests.servers.process import REPOSITORY

Run = Callable[..., Result]

PAGE = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
NOT_RUN_HEADING = "## Commands that no test runs"

HERE = (
    "spatial-assets check",
    "spatial-assets plan --changed",
    "spatial-assets accept",
    "spatial-assets accept --stage ndvi --yes",
    "spatial-assets accept --stage ndvi --revoke --yes",
    "spatial-assets regrid --dry-run",
    "spatial-assets regrid",
    "spatial-assets regrid --clean",
    "spatial-assets prune",
    "spatial-assets prune --yes",
    "spatial-assets prune --events 90d",
    "spatial-assets prune --events 90d --yes",
    "spatial-assets prune --events 90d --yes --vacuum",
    "spatial-assets rebuild --database",
    "spatial-assets rebuild --database --yes",
    "spatial-assets rebuild --events --yes",
    "spatial-assets status --verify",
    "spatial-assets status --json",
    "spatial-assets quarantine list --json",
)
"""Commands that the test below runs, in this order, in a product that has just been made."""

ELSEWHERE = {
    "spatial-assets materialize --launch": ("stories/dagster/test_materialize_launch.py", "launch"),
    "dagster job": ("stories/field/test_region_job.py", '["job", "backfill", "-m", '),
    "spatial-assets code-server": (
        "stories/dagster/dying_services.py",
        '("spatial-assets", "code-server", ',
    ),
    "sqlite3": ("cli/test_backup.py", "sqlite3"),
    "pg_dump": ("cli/test_backup.py", "pg_dump"),
    "pg_restore": ("cli/test_backup.py", "pg_restore"),
    "cp": ("cli/test_backup.py", "cp "),
}
"""Command, or what a longer one begins with -> the file that calls it for a test, and the call."""


def commands() -> list[str]:
    """The commands of the page, from top to bottom."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def not_run() -> set[str]:
    """The commands that the page names as run by no test."""
    _, _, table = PAGE.partition(NOT_RUN_HEADING)
    return set(re.findall(r"^\| `([^`]+)` \| \S", table, flags=re.MULTILINE))


def test_every_command_is_run_by_a_test_or_named_as_not_run() -> None:
    named = {*HERE, *ELSEWHERE, *not_run()}

    missing = [line for line in commands() if not {line, *beginnings(line)} & named]

    assert not missing
    assert not_run() <= set(commands()), "a command that the page does not have"
    assert set(HERE) <= set(commands())


def beginnings(line: str) -> set[str]:
    """Program of a command, program and subcommand; or the module that a line of Python imports."""
    imported = re.search(r"-c \"import (\w+)", line)
    words = shlex.split(line)
    return {imported.group(1)} if imported else {words[0], " ".join(words[:2])}


@pytest.mark.parametrize(("file", "call"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_another_file_has_the_call(file: str, call: str) -> None:
    assert call in (REPOSITORY / "spatial_assets_tests" / file).read_text(encoding="utf-8")


def test_the_commands_run_in_a_product_that_has_just_been_made(
    run: Run, four_tile_project: Path, dagster_instance_home: Path
) -> None:
    env = {
        "SPATIAL_ASSETS_PROJECT": str(four_tile_project),
        "DAGSTER_HOME": str(dagster_instance_home),
    }
    made = run("materialize", "--workers", "0", **env)
    assert made.exit_code == 0, made.output

    for command in HERE:
        done = run(*shlex.split(command)[1:], **env)

        assert done.exit_code == 0, f"{command}: {done.output}"
        assert done.output.strip(), f"{command} said nothing"
