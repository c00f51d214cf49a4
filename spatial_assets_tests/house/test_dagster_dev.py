"""`dagster dev` as the tests start it: a run goes through the queue, the daemon, a worker."""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets_tests.servers.dagster import DagsterDev, StartDagster
from spatial_assets_tests.servers.process import ServerError

pytestmark = pytest.mark.servers

DEFINITIONS = """
import os
import dagster as dg

@dg.asset
def where() -> str:
    return os.environ["SPATIAL_ASSETS_PROJECT"]

definitions = dg.Definitions(
    assets=[where], jobs=[dg.define_asset_job("everything", selection="*")]
)
"""
LAUNCH = """
mutation Launch($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
RUN_SECONDS = 120.0


def workspace(folder: Path, definitions: str) -> Path:
    (folder / "somebody.py").write_text(definitions)
    path = folder / "workspace.yaml"
    path.write_text("load_from: [{python_file: somebody.py}]")
    return path


def launch(server: DagsterDev, job: str) -> str:
    selector = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "somebody.py",
        "pipelineName": job,
    }
    answer = server.graphql(LAUNCH, {"selector": selector})["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def wait_for(run_id: str, home: Path) -> dg.DagsterRun:
    deadline = time.monotonic() + RUN_SECONDS
    with dg.DagsterInstance.from_config(str(home)) as instance:
        while (run := instance.get_run_by_id(run_id)) is None or not run.is_finished:
            assert time.monotonic() < deadline, f"still {run and run.status}"
            time.sleep(0.5)
        return run


def test_a_launched_run_goes_through_the_daemon(dagster_dev: StartDagster, tmp_path: Path) -> None:
    server = dagster_dev(tmp_path, workspace=workspace(tmp_path, DEFINITIONS))

    run = wait_for(launch(server, "everything"), server.home)

    assert run.status == dg.DagsterRunStatus.SUCCESS


def test_definitions_that_do_not_load_are_an_error_at_once(
    dagster_dev: StartDagster, tmp_path: Path
) -> None:
    broken = workspace(tmp_path, "raise RuntimeError('no such project')")

    with pytest.raises(ServerError, match="no such project"):
        dagster_dev(tmp_path, workspace=broken)
