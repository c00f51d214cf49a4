"""The set-up is locked, explained, and independent of the machine it was written on."""

from __future__ import annotations

import re
import subprocess

import pytest

from spatial_assets_tests.servers.process import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text()
PHONY = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()
SOURCES = ("spatial_assets", "spatial_assets_tests", "deploy", "docs", "benchmarks", ".ci")
TEXTS = {".py", ".toml", ".yaml", ".yml", ".md", ".sh", ".sql", ".lock", ""}
MADE_HERE = {"data", "__pycache__"}


def test_the_locks_name_no_host() -> None:
    for lock in REPOSITORY.glob("requirements*.lock"):
        assert not re.search(r"://|--index|--find-links", lock.read_text()), lock


def test_every_locked_package_has_a_hash() -> None:
    for lock in REPOSITORY.glob("requirements*.lock"):
        pinned = re.findall(r"^\S+==\S+.*\\\n    --hash=sha256:", lock.read_text(), re.MULTILINE)

        assert len(pinned) == len(re.findall(r"^[a-z]", lock.read_text(), re.MULTILINE)), lock


def test_the_development_lock_holds_all_of_the_runtime_lock() -> None:
    runtime, development = (
        set(re.findall(r"^\S+==\S+", (REPOSITORY / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    )

    assert runtime < development


@pytest.mark.parametrize("target", PHONY)
def test_make_help_explains_every_target(target: str) -> None:
    done = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, check=True)

    assert re.search(rf"^  make {target} +\w+", done.stdout.decode(), re.MULTILINE)


def test_only_the_ci_script_knows_where_the_team_keeps_its_samples() -> None:
    place = "../" + "shared"
    files = [path for path in REPOSITORY.iterdir() if path.is_file()]
    files += [path for name in SOURCES for path in (REPOSITORY / name).rglob("*")]
    texts = [
        path
        for path in files
        if path.is_file() and path.suffix in TEXTS and not MADE_HERE & set(path.parts)
    ]

    naming = [path for path in texts if place in path.read_text(errors="replace")]

    assert [path.relative_to(REPOSITORY).as_posix() for path in naming] == [".ci/run"]
