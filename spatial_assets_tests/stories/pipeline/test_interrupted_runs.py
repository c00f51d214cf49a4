"""Runs that are interrupted or terminated: prompt, without a lease left, and continued at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spatial_assets.project import Project
from spatial_assets.stores.objects.json import from_json
from spatial_assets_tests.fixtures.ten_village_project import ten_villages

INTERRUPTIBLE = """
import signal
import time
from spatial_assets.cli import main
from spatial_assets.pipeline.run import commit

def slowly(*arguments, put=commit.commit_manifest, **options):
    time.sleep(0.3)  # or all tiles are made before a busy machine has sent the signal
    return put(*arguments, **options)

commit.commit_manifest = slowly
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run with nohup
main()
"""


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """A run of all tiles as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "materialize", *arguments],
        env={**os.environ, "SPATIAL_ASSETS_PROJECT": str(project.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def manifests(project: Project) -> int:
    """Number of tiles that are committed."""
    return len(list(Path(project.storage_url).glob("manifests/*.json")))


def lease_holders(project: Project) -> list[str]:
    """Owners of the leases that are not released."""
    leases = Path(project.storage_url, "leases")
    newest = [
        from_json(max(folder.glob("*.json")).read_bytes())
        for folder in {path.parent for path in leases.rglob("*.json")}
    ]
    return [str(record["owner"]) for record in newest if record["until"] is not None]


@pytest.mark.parametrize(
    ("number", "exit_code", "workers"),
    [(signal.SIGINT, 1, "0"), (signal.SIGTERM, 128 + signal.SIGTERM, "2")],
)
def test_an_interrupted_run_releases_its_leases_and_the_next_one_goes_on(
    tmp_path: Path, number: signal.Signals, exit_code: int, workers: str
) -> None:
    project = ten_villages(tmp_path / "project", tmp_path / "scenes")
    run = start(project, "--workers", workers)
    while manifests(project) < 2 and run.poll() is None:
        time.sleep(0.01)
    assert run.poll() is None, run.communicate()[0]

    run.send_signal(number)
    said, _ = run.communicate(timeout=60)

    assert run.returncode == exit_code, said
    assert lease_holders(project) == []
    made = manifests(project)
    again = start(project, "--workers", "0")
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert made < manifests(project) == len(project.partitioning.keys)
