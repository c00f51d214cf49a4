from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import in_a_process, main
from benchmarks.contestants import warped_vrt
from benchmarks.contestants.task import Task
from benchmarks.processes import PeakWatch
from benchmarks.runner import Runner

EATER = "import time; data = bytearray(300 << 20); print('full', flush=True); time.sleep(20)"


def test_the_peak_of_a_child_is_seen_and_our_own_is_not() -> None:
    with (
        PeakWatch(os.getpid(), itself=False) as watch,
        subprocess.Popen([sys.executable, "-c", EATER], stdout=subprocess.PIPE) as child,
    ):
        assert child.stdout is not None
        child.stdout.readline()
        deadline = time.monotonic() + 20
        while watch.peak_mb == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        child.kill()

    assert 300 <= watch.peak_mb < 400


def test_a_contestant_runs_in_a_separate_process_and_its_cost_is_measured(
    tmp_path: Path,
) -> None:
    task = Task(scenes=(), tiles=(), project=tmp_path, folder=tmp_path / "new")
    runner = Runner(warped_vrt.CONTESTANT)
    try:
        cost = runner.make(warped_vrt.work, task)
    finally:
        runner.end()

    assert (tmp_path / "new").is_dir()
    assert 0 < cost.cpu < 60
    assert 20 < cost.peak_mb < 2000


def test_a_contestant_that_fails_is_named(tmp_path: Path) -> None:
    task = Task(scenes=(tmp_path,), tiles=(), project=tmp_path, folder=tmp_path)
    runner = Runner(replace(warped_vrt.CONTESTANT, name="the clumsy one"))
    try:
        with pytest.raises(RuntimeError, match="the clumsy one failed"):
            runner.make(len, task)  # type: ignore[arg-type]
    finally:
        runner.end()


def test_a_part_that_fails_is_reported_as_failed(tmp_path: Path) -> None:
    assert not in_a_process(["trial", "no such part", str(tmp_path)], 5)


def test_unknown_arguments_print_the_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fast"]) == 2
    assert "usage: python -m benchmarks" in capsys.readouterr().err
