"""Runs by Dagster's own command line, which may be killed, and what all of them told Dagster.

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
from chaos.rounds import Result, Round
from chaos.step import Ended, Order
from chaos.storm import CALM, Pulse
from spatial_assets.pipeline.stages import Chain
from spatial_assets.project import load_project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.store import open_store
from spatial_assets_tests.servers.dagster import make_home

SECONDS = 240.0
BOUNDARY_ASSETS = ("raw_boundaries", "validated_boundaries", "boundaries")
DATA_VERSION = "dagster/data_version"

Told = dict[str, str]
"""Asset or check, and tile -> what was told last: a data version, or whether it passed."""


@dataclass
class DagsterStep:
    """A range run under way."""

    order: Order
    home: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        project = load_project(self.order.folder, self.order.environment)
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
                    **self.order.environment,
                    "DAGSTER_HOME": str(self.home),
                    "SPATIAL_ASSETS_PROJECT": str(self.order.folder),
                },
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> Path:
        """What the command printed."""
        return self.home / "output.log"

    @property
    def pid(self) -> int:
        """Of the command."""
        return self.process.pid

    def kill(self) -> None:
        """End the command without a warning; its step is left to itself."""
        self.process.kill()

    def wait(self) -> Ended:
        """How it ended; one that hangs is killed."""
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return Ended(tiles={}, error="it hung", hung=True)
        if code:
            return Ended(tiles={}, error=f"dagster ended with code {code}")
        return Ended(tiles={"range": "materialized"})


def forget_leases(order: Order, direct: Mapping[str, str]) -> None:
    """Let the time of all leases have passed: Dagster's clock cannot be put forward."""
    store = open_store(load_project(order.folder, direct).storage_url, direct)
    for info in store.list(layout.LEASES_FOLDER):
        store.delete(info.path)


def told(home: Path, findings: Findings) -> Told:
    """What Dagster knows in the end; notes what one run told twice."""
    known: Told = {}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for run in reversed(instance.get_runs()):
            counts: Counter[str] = Counter()
            for name, value in _events(instance, run.run_id):
                counts[name] += 1
                known[name] = value
            findings.duplicated += [f"event {name}" for name, count in counts.items() if count > 1]
    return known


def compare(found: Told, wanted: Told, findings: Findings) -> None:
    """Note events that differ from those of a run without faults."""
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
    """A round whose runs are Dagster's."""

    events: Told
    """What Dagster is told where nothing goes wrong; empty: this is that round."""

    def start(self, attempt: int, *, workers: int) -> DagsterStep:
        """Begin a range run; the project says how many workers it has."""
        order = self.order(attempt, workers=workers)
        if attempt:
            forget_leases(order, self.direct()[1])
        return DagsterStep(order, self._home)

    def audit(self, result: Result) -> None:
        """Look at what is left, and at what was told."""
        super().audit(result)
        compare(told(self._home, result.findings), self.events, result.findings)

    @property
    def _home(self) -> Path:
        return self.scratch / f"{self.name}-dagster"


def reference_events(round_: DagsterRound) -> Told:
    """What Dagster is told by a run without faults.

    Raises:
        RuntimeError: it does not succeed even so.
    """
    calm = replace(round_, kind=replace(round_.kind, blow=""), number=round_.number + 100_000)
    with calm.places(random.Random(0)):
        calm.ground.weather(CALM, CALM, Pulse())
        step = calm.start(0, workers=0)
        ended = step.wait()
        if not ended.good:
            message = f"Dagster's run without faults failed: {step.log.read_text()[-2000:]}"
            raise RuntimeError(message)
        return told(step.home, Findings())
