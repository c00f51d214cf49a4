"""Runs started by Dagster's command line, which may be killed, and the events that Dagster stored.

Imported only by rounds that need it: Dagster takes seconds to load.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import dagster as dg

from chaos.audit import Findings
from chaos.fault_injection import NO_FAULTS, EventTrigger
from chaos.rounds import Result, Round
from chaos.run_process import RunResult, RunSettings
from spatial_assets.pipeline.stages import Chain
from spatial_assets.project import load_project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.store import open_store
from spatial_assets_tests.servers.dagster import make_home

SECONDS = 240.0
BOUNDARY_ASSETS = ("raw_boundaries", "validated_boundaries", "boundaries")
DATA_VERSION = "dagster/data_version"

RecordedEvents = dict[str, str]
"""Asset or check, and tile -> its last event: a data version, or whether the check passed."""


@dataclass
class DagsterRunProcess:
    """A range run in progress."""

    settings: RunSettings
    home: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        project = load_project(self.settings.folder, self.settings.environment)
        keys = project.partitioning.keys
        chain = Chain(indices=tuple(project.indices.names), with_boundaries=True).stages
        command = [
            *(sys.executable, "-m", "dagster", "asset", "materialize"),
            *("-m", "spatial_assets.definitions", "--select", ",".join([*BOUNDARY_ASSETS, *chain])),
            *("--partition-range", f"{keys[0]}...{keys[-1]}"),
        ]
        make_home(self.home)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env={
                    **os.environ,
                    **self.settings.environment,
                    "DAGSTER_HOME": str(self.home),
                    "SPATIAL_ASSETS_PROJECT": str(self.settings.folder),
                },
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> Path:
        """Output of the command."""
        return self.home / "output.log"

    @property
    def pid(self) -> int:
        """Process id of the command."""
        return self.process.pid

    def kill(self) -> None:
        """Kill the command; the process of its step keeps running."""
        self.process.kill()

    def wait(self) -> RunResult:
        """Wait for the result; a run that hangs is killed."""
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return RunResult(tiles={}, error="the run hung", hung=True)
        if code:
            return RunResult(tiles={}, error=f"dagster exited with code {code}")
        return RunResult(tiles={"range": "materialized"})


def delete_leases(settings: RunSettings, direct: Mapping[str, str]) -> None:
    """Delete all leases as if they had expired, because Dagster's clock cannot be set forward."""
    store = open_store(load_project(settings.folder, direct).storage_url, direct)
    for info in store.list(layout.LEASES_FOLDER):
        store.delete(info.path)


def recorded_events(home: Path, findings: Findings) -> RecordedEvents:
    """Return the last event of each asset and check; record events that one run stored twice."""
    known: RecordedEvents = {}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for run in reversed(instance.get_runs()):
            counts: Counter[str] = Counter()
            for name, value in _events(instance, run.run_id):
                counts[name] += 1
                known[name] = value
            findings.duplicated += [f"event {name}" for name, count in counts.items() if count > 1]
    return known


def compare(found: RecordedEvents, wanted: RecordedEvents, findings: Findings) -> None:
    """Record events that differ from those of a run without faults."""
    findings.lost += [f"event {name}" for name in sorted(wanted.keys() - found.keys())]
    findings.duplicated += [f"event {name}" for name in sorted(found.keys() - wanted.keys())]
    findings.wrong += [
        f"event {name}: {found[name]} for {wanted[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if found[name] != wanted[name]
    ]


def _events(instance: dg.DagsterInstance, run: str) -> Iterator[tuple[str, str]]:
    for entry in instance.all_logs(run):
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_materialization:
            made = event.step_materialization_data.materialization
            version = (made.tags or {}).get(DATA_VERSION, "")
            yield f"{made.asset_key.to_user_string()} {made.partition}", version
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            name = f"{check.asset_key.to_user_string()}:{check.check_name} {check.partition}"
            yield name, str(check.passed)


@dataclass(kw_only=True)
class DagsterRound(Round):
    """A round whose runs are started by Dagster."""

    events: RecordedEvents
    """Events of a run without faults; empty: this round is that run."""

    def start(self, attempt: int, *, workers: int) -> DagsterRunProcess:
        """Start a range run; the project sets the number of workers."""
        settings = self.settings(attempt, workers=workers)
        if attempt:
            delete_leases(settings, self.direct()[1])
        return DagsterRunProcess(settings, self._home)

    def audit(self, result: Result) -> None:
        """Audit the product and the events."""
        super().audit(result)
        compare(recorded_events(self._home, result.findings), self.events, result.findings)

    @property
    def _home(self) -> Path:
        return self.scratch / f"{self.name}-dagster"


def reference_events(round_: DagsterRound) -> RecordedEvents:
    """Return the events of a run without faults.

    Raises:
        RuntimeError: the run failed.
    """
    without_faults = replace(
        round_, scenario=replace(round_.scenario, target=""), number=round_.number + 100_000
    )
    with without_faults.resources(random.Random(0)):
        without_faults.servers.begin_round(NO_FAULTS, NO_FAULTS, EventTrigger())
        process = without_faults.start(0, workers=0)
        ended = process.wait()
        if not ended.good:
            message = f"Dagster's run without faults failed: {process.log.read_text()[-2000:]}"
            raise RuntimeError(message)
        return recorded_events(process.home, Findings())
