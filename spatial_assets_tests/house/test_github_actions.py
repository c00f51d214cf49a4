"""The sample workflow makes its tile: its commands are run, in order, as a runner would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import AssetKey, DagsterInstance

from spatial_assets_tests.servers.process import REPOSITORY

WORKFLOW = REPOSITORY / "deploy" / "github-actions.yml"
INSTALL = "make setup PYTHON=python"
ACTIONS = ["actions/checkout", "actions/setup-python", "actions/upload-artifact"]
EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")
PATIENCE = 240.0  # 30 s on an idle machine


@cache
def workflow() -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load(WORKFLOW.read_text())


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflow()["jobs"]["tile"]["steps"]
    return found


def environment(workspace: Path) -> dict[str, str]:
    """Variables of the workflow if the user names no tile."""

    def value(expression: re.Match[str]) -> str:
        if expression[1] == "github.workspace":
            return str(workspace)
        default = re.fullmatch(r"inputs\.tile \|\| '(\d+)'", expression[1])
        assert default, f"this test knows no {expression[1]}"
        return default[1]

    return {name: EXPRESSION.sub(value, text) for name, text in workflow()["env"].items()}


@dataclass(frozen=True)
class Done:
    """Files that the workflow left."""

    workspace: Path
    environment: dict[str, str]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Each step that runs commands, run where a checkout and its installation are."""
    workspace = tmp_path_factory.mktemp("workspace")
    shutil.copy(REPOSITORY / "dagster.yaml", workspace)
    (workspace / ".venv").symlink_to(sys.prefix)
    told = environment(workspace)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPATIAL_ASSETS", "DAGSTER"))}
    for step in steps():
        if "run" in step and step["run"] != INSTALL:
            ended = subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=workspace,
                env={**kept, **told},
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
            )
            assert ended.returncode == 0, f"{step['name']}: {ended.stdout}{ended.stderr}"[-3000:]
    return Done(workspace, told)


@pytest.mark.timeout(500)
def test_the_one_tile_is_materialized_in_dagster_and_no_other(done: Done) -> None:
    with DagsterInstance.from_config(done.environment["DAGSTER_HOME"]) as instance:
        made = {
            stage: instance.get_materialized_partitions(AssetKey(stage))
            for stage in ("raw_tile", "ndvi", "ndvi_by_boundary", "tile_index")
        }

    assert made == {stage: {done.environment["TILE"]} for stage in made}


@pytest.mark.timeout(500)
def test_what_is_uploaded_is_there_and_shows_the_tile(done: Done) -> None:
    (upload,) = [step for step in steps() if "upload-artifact" in step.get("uses", "")]
    files = upload["with"]["path"].split()

    assert all((done.workspace / name).stat().st_size > 1000 for name in files)
    status = json.loads((done.workspace / "status.geojson").read_text())
    states = {
        feature["properties"]["tile"]: feature["properties"]["state"]
        for feature in status["features"]
    }
    assert states.pop(done.environment["TILE"]) == "materialized"
    assert set(states.values()) == {"missing"}


def test_it_uses_pinned_actions_and_a_python_that_the_locks_are_for() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    (setup,) = [step for step in steps() if "setup-python" in step.get("uses", "")]

    assert [name.partition("@")[0] for name in used] == ACTIONS
    assert all(re.fullmatch(r"\S+@v\d+", name) for name in used)
    assert setup["with"]["python-version"] in {"3.11", "3.12", "3.13"}
    assert [step["run"] for step in steps() if step.get("name") == "Install from the lock"] == [
        INSTALL
    ]


def test_it_requests_no_more_rights_than_it_needs() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    assert "secrets." not in WORKFLOW.read_text()
