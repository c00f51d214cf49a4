"""Tests that need the sample scenes are deselected and listed if there are none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spatial_assets_tests.conftest import SAMPLES_VARIABLE
from spatial_assets_tests.servers.process import REPOSITORY

TESTS = """
import pytest

@pytest.mark.samples
def test_ndvi_of_a_real_scene(samples):
    assert (samples / "scenes").is_dir()

def test_without_scenes():
    pass

def test_that_forgot_the_mark(request):
    if "ask" in request.config.option.keyword:
        request.getfixturevalue("samples")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = samples\n")
    (tmp_path / "conftest.py").write_text("from spatial_assets_tests.conftest import *\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "data" / "scenes").mkdir(parents=True)
    return tmp_path


def run(project: Path, *arguments: str, samples: Path | None) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop(SAMPLES_VARIABLE, None)
    if samples is not None:
        environment[SAMPLES_VARIABLE] = str(samples)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_without_samples_the_run_passes_and_names_what_it_left_out(project: Path) -> None:
    code, output = run(project, samples=None)

    assert code == 0
    assert "2 passed, 1 deselected" in output
    assert "1 test left out" in output
    assert "test_it.py::test_ndvi_of_a_real_scene" in output
    assert f"set {SAMPLES_VARIABLE}" in output


def test_several_processes_name_once_what_they_left_out(project: Path) -> None:
    code, output = run(project, "-n", "2", samples=None)

    assert code == 0
    assert "2 passed" in output
    assert "1 test left out" in output
    assert output.count("test_it.py::test_ndvi_of_a_real_scene") == 1


def test_with_samples_nothing_is_left_out(project: Path) -> None:
    code, output = run(project, samples=project / "data")

    assert code == 0
    assert "3 passed" in output
    assert "left out" not in output


def test_a_folder_without_scenes_is_refused_rather_than_skipped(project: Path) -> None:
    code, output = run(project, samples=project / "data" / "scenes")

    assert code != 0
    assert "no folder `scenes`" in output


def test_using_the_samples_without_the_mark_is_an_error(project: Path) -> None:
    code, output = run(project, "-k", "mark or ask", samples=None)

    assert code != 0
    assert "without @pytest.mark.samples" in output
