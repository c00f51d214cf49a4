"""A webserver and a daemon over the villages, and queries of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from spatial_assets.project import Project
from spatial_assets_tests.servers.dagster import DagsterDev

Found = TypeVar("Found")

USER_DEFINITIONS = Path(__file__).with_name("user_definitions.py")
TIMEOUT = 200.0
"""Seconds for a backfill: the daemon needs three iterations, one every 30 s."""

BACKFILL = """
mutation Backfill($tiles: [String!]!, $assets: [AssetKeyInput!]!) {
  launchPartitionBackfill(backfillParams: {partitionNames: $tiles, assetSelection: $assets}) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
REEXECUTE = """
mutation Again($run: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: FROM_FAILURE}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
STATUS = """
query Status($asset: AssetKeyInput!, $tile: String!) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode {
      staleStatus(partition: $tile)
      assetChecksOrError {
        ... on AssetChecks {
          checks {
            name
            partitionStatuses {
              ... on AssetCheckDefaultPartitionStatuses {
                succeededPartitions failedPartitions skippedPartitions executionFailedPartitions
              }
            }
          }
        }
      }
    }
  }
}
"""


@dataclass(frozen=True)
class RunningDagster:
    """A project that Dagster's services run on."""

    project: Project
    server: DagsterDev
    instance: dg.DagsterInstance

    def backfill(self, assets: Sequence[str], tiles: Sequence[str]) -> str:
        """Launch a backfill as the UI does."""
        keys = [{"path": [asset]} for asset in assets]
        answer = self.server.graphql(BACKFILL, {"tiles": list(tiles), "assets": keys})
        launched = answer["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def reexecute(self, run_id: str) -> str:
        """Re-execute a run from failure, as the button on its page does."""
        launched = self.server.graphql(REEXECUTE, {"run": run_id})["launchRunReexecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def status(self, asset: str, tile: str) -> dict[str, Any]:
        """Status of an asset and one of its tiles in the UI."""
        found = self.server.graphql(STATUS, {"asset": {"path": [asset]}, "tile": tile})
        node: dict[str, Any] = found["assetNodeOrError"]
        return node

    def ended(self, run_id: str) -> dg.DagsterRun:
        """The run, once it has ended."""
        return wait_for(lambda: self._finished(run_id), f"run {run_id}")

    def completed(self, backfill_id: str) -> str:
        """The status of a backfill, once it has one that is final."""
        return wait_for(lambda: self._completed(backfill_id), f"backfill {backfill_id}")

    def runs_of(self, backfill_id: str) -> list[dg.DagsterRun]:
        """The runs of a backfill, oldest first."""
        filters = dg.RunsFilter(tags={"dagster/backfill": backfill_id})
        return list(reversed(self.instance.get_runs(filters)))

    def _finished(self, run_id: str) -> dg.DagsterRun | None:
        run = self.instance.get_run_by_id(run_id)
        return run if run is not None and run.is_finished else None

    def _completed(self, backfill_id: str) -> str | None:
        backfill = self.instance.get_backfill(backfill_id)
        status = backfill.status.value if backfill else ""
        return status if status.startswith("COMPLETED") or status == "FAILED" else None


def wait_for(look: Callable[[], Found | None], what: str) -> Found:
    """Call `poll` until it returns something."""
    deadline = time.monotonic() + TIMEOUT
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"{what} is not there after {TIMEOUT:.0f} s"
        time.sleep(0.5)
    return found
