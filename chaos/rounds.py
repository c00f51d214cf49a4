"""One round: a run under faults, further runs that complete it, and the audit."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from chaos import audit, postgres_relay, s3_relay
from chaos.audit import Findings
from chaos.disk import LimitedDisk
from chaos.fault_injection import NO_FAULTS, EventTrigger, FaultInjector
from chaos.inputs import WORKERS, RoundInputs, location_variables
from chaos.process_kills import alive, descendants, kill_a_worker, kill_any
from chaos.reference import Reference
from chaos.run_process import RunProcess, RunResult, RunSettings, describe
from chaos.scenarios import Scenario
from chaos.servers import ChaosServers
from spatial_assets.project import Project, load_project

TIMEOUT = 2.0
"""Timeout of the product's requests in seconds."""

RUN_INTERVAL = timedelta(minutes=10)
"""Clock offset between a run and the next, after which leases of dead drivers have expired."""

MAX_EXTRA_RUNS = 4
"""Maximum number of runs after the first; tiles incomplete after them count as lost."""

FAULT_NAMES = {
    "worker": "worker_killed",
    "driver": "driver_killed",
    "s3": "s3_server_killed",
    "postgis": "postgis_killed",
    "disk": "disk_full",
    "any process": "process_killed",
}
"""Target of a scenario -> name of the fault."""

GRACE = 10.0
"""Seconds within which the workers of a killed driver must end."""


class AnyRunProcess(Protocol):
    """A run in progress."""

    @property
    def pid(self) -> int:
        """Process id."""

    def kill(self) -> None:
        """Kill the process."""

    def wait(self) -> RunResult:
        """Wait for the result."""


@dataclass(kw_only=True)
class Result:
    """Result of a round."""

    number: int
    kind: str
    faults: dict[str, int] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    unfinished: list[str] = field(default_factory=list)
    """Tiles that a run did not complete although nothing killed it."""

    ended: str = ""
    runs: int = 1
    requests: int = 0
    fault_free_requests: int = 0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """True if the audit found nothing."""
        return not self.findings and not self.unfinished


@dataclass(kw_only=True)
class Round:
    """One round in progress."""

    servers: ChaosServers
    inputs: RoundInputs
    scenario: Scenario
    number: int
    seed: int
    scratch: Path
    workers: int = WORKERS
    references: Mapping[bool, Reference]
    """Runs without faults, by whether the scenes are remote."""

    disk: LimitedDisk | None = None
    processes: list[AnyRunProcess] = field(default_factory=list)
    kills: int = 0
    orphans: list[int] = field(default_factory=list)
    """Child processes of drivers that were killed."""

    @property
    def name(self) -> str:
        """Name of the round's database and prefix."""
        return f"round-{self.number}"

    def run(self) -> Result:
        """Run the round."""
        started = time.monotonic()
        result = Result(number=self.number, kind=self.scenario.name)
        dice = random.Random(f"{self.seed} {self.number}")
        with self.resources(dice):
            self._run_under_faults(result, dice)
            self._run_to_completion(result)
            self.audit(result)
        result.seconds = time.monotonic() - started
        return result

    @contextmanager
    def resources(self, dice: random.Random) -> Iterator[None]:
        """Provide a database, and a disk if the scenario has one, during the block."""
        self.servers.make_database(self.name)
        self.inputs.clear_scene_cache()
        if self.scenario.target == "disk":
            self.disk = LimitedDisk(self.scratch / self.name)
            self.disk.limit(dice.randint(40, 700))
        try:
            yield
        finally:
            self.servers.wait_until_back()
            self.servers.drop_database(self.name)
            if self.disk is not None:
                self.disk.remove()

    def _run_under_faults(self, result: Result, dice: random.Random) -> None:
        """Start the drivers while faults are injected, and wait for them."""
        seed = f"{self.seed} {self.number}"
        injector = FaultInjector(seed=seed, share=self.scenario.s3, kinds=s3_relay.FAULTS)
        other = FaultInjector(seed=seed, share=self.scenario.database, kinds=postgres_relay.FAULTS)
        moment = dice.randint(1, self.references[self.scenario.remote].events)
        trigger = (
            EventTrigger(at=moment, action=lambda: self._inject_failure(dice))
            if self.scenario.target
            else EventTrigger()
        )
        if self.disk is not None:
            trigger, self.kills = EventTrigger(), 1
        self.servers.begin_round(injector, other, trigger)
        for _ in range(self.scenario.drivers):
            self.processes.append(self.start(0, workers=self.workers))
        results = [process.wait() for process in self.processes]
        self.servers.wait_until_back()
        if self.disk is not None:
            self.disk.lift_limit()
        result.requests = self.servers.s3.requests.total()
        result.fault_free_requests = self.references[self.scenario.remote].requests
        result.faults = dict(injector.injected + other.injected)
        if self.kills:
            result.faults[FAULT_NAMES[self.scenario.target]] = self.kills
        self._judge_results(result, results)

    def _judge_results(self, result: Result, results: list[RunResult]) -> None:
        """Record defects that are visible before the product is completed."""
        result.ended = "; ".join(describe(each) for each in results)
        if any(each.hung for each in results):
            result.findings.left_over.append(f"a run hung: {result.ended}")
        if self.scenario.must_complete:
            result.unfinished = [describe(each) for each in results if not each.good]
        most_connections = self.scenario.drivers * WORKERS
        if self.servers.postgis.peak > most_connections:
            found = f"{self.servers.postgis.peak} connections at once, {most_connections} allowed"
            result.findings.left_over.append(found)
        project, environment = self.direct()
        audit.find_half_written(project, environment, result.findings)

    def _inject_failure(self, dice: random.Random) -> None:
        """Kill the target; called while a request waits."""
        process, blow = dice.choice(self.processes), self.scenario.target
        if blow in {"s3", "postgis"}:
            self.servers.outage(blow, dice.uniform(0.0, 2.0))
        elif blow == "worker":
            self.kills += kill_a_worker(process.pid, dice)
            return
        else:
            self.orphans += descendants(process.pid)
            if blow == "driver":
                process.kill()
            else:
                kill_any(process.pid, dice)
        self.kills += 1

    def _run_to_completion(self, result: Result) -> None:
        """Run again without faults until every tile is complete."""
        ended = ""
        for attempt in range(1, MAX_EXTRA_RUNS + 1):
            self.servers.begin_round(NO_FAULTS, NO_FAULTS, EventTrigger())
            end = self.start(attempt, workers=0).wait()
            result.runs += 1
            ended = describe(end)
            if end.good:
                return
        result.findings.lost.append(f"tiles, still after {MAX_EXTRA_RUNS} more runs: {ended}")

    def audit(self, result: Result) -> None:
        """Audit the product after the last run."""
        project, environment = self.direct()
        found = result.findings
        audit.compare(
            audit.snapshot(project, environment),
            self.references[self.scenario.remote].snapshot,
            found,
        )
        audit.find_half_written(project, environment, found)
        audit.find_held_leases(project, environment, found, clock_offset=result.runs * RUN_INTERVAL)
        if self.disk is not None:
            audit.find_stray_files(project, found)
        deadline = time.monotonic() + GRACE
        while any(alive(pid) for pid in self.orphans) and time.monotonic() < deadline:
            time.sleep(0.05)
        found.left_over += [f"process {pid}" for pid in self.orphans if alive(pid)]

    def start(self, attempt: int, *, workers: int) -> AnyRunProcess:
        """Start a run; the clock of each attempt is ahead of the one before."""
        return RunProcess(self.settings(attempt, workers=workers))

    def settings(self, attempt: int, *, workers: int) -> RunSettings:
        """Settings of one run."""
        return RunSettings(
            folder=self.inputs.project_folder(remote=self.scenario.remote),
            environment={**self._environment(direct=False), "SPATIAL_ASSETS_TIMEOUT": str(TIMEOUT)},
            workers=workers,
            clock_offset=attempt * RUN_INTERVAL,
            max_file_bytes=self.disk.max_file_bytes
            if self.disk is not None and attempt == 0
            else 0,
        )

    def _environment(self, *, direct: bool) -> dict[str, str]:
        found = location_variables(self.servers, name=self.name, direct=direct)
        if self.disk is not None:
            found["SPATIAL_ASSETS_STORAGE_URL"] = str(self.disk.folder)
        return found

    def direct(self) -> tuple[Project, dict[str, str]]:
        """Return the project and the environment variables of a process that connects directly."""
        environment = self._environment(direct=True)
        folder = self.inputs.project_folder(remote=self.scenario.remote)
        return load_project(folder, environment), environment
