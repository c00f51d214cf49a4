"""One round: a run under faults, the runs that complete what is missing, and the audit."""

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
from chaos.blows import alive, descendants, kill_a_worker, kill_any
from chaos.disk import Disk
from chaos.ground import Ground
from chaos.kinds import Kind
from chaos.reference import Reference
from chaos.step import Ended, Order, Step, told
from chaos.storm import CALM, Pulse, Storm
from chaos.world import WORKERS, World, places
from spatial_assets.project import Project, load_project

TIMEOUT = 2.0
"""Seconds without an answer after which the product asks again."""

LATER = timedelta(minutes=10)
"""Between a run and the next: leases of the dead have expired."""

MOST_RUNS = 4
"""After the first; whatever is not complete then is lost."""

BLOWS = {
    "worker": "worker_killed",
    "driver": "driver_killed",
    "s3": "s3_server_killed",
    "postgis": "postgis_killed",
    "disk": "disk_full",
    "any process": "process_killed",
}
"""What is struck -> its name among the faults."""

GRACE = 10.0
"""Seconds that the workers of a driver that was killed may take to notice."""


class AnyStep(Protocol):
    """A run under way."""

    @property
    def pid(self) -> int:
        """Of its process."""

    def kill(self) -> None:
        """End it without a warning."""

    def wait(self) -> Ended:
        """How it ended."""


@dataclass(kw_only=True)
class Result:
    """What became of a round."""

    number: int
    kind: str
    faults: dict[str, int] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    unfinished: list[str] = field(default_factory=list)
    """Tiles that a run did not bring home though nothing killed it."""

    ended: str = ""
    runs: int = 1
    requests: int = 0
    fault_free_requests: int = 0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self.findings and not self.unfinished


@dataclass(kw_only=True)
class Round:
    """One round under way."""

    ground: Ground
    world: World
    kind: Kind
    number: int
    seed: int
    scratch: Path
    workers: int = WORKERS
    references: Mapping[bool, Reference]
    """By whether the scenes are remote."""

    disk: Disk | None = None
    steps: list[AnyStep] = field(default_factory=list)
    blows: int = 0
    bereaved: list[int] = field(default_factory=list)
    """Processes of drivers that were killed."""

    @property
    def name(self) -> str:
        """Of its database and its prefix."""
        return f"round-{self.number}"

    def play(self) -> Result:
        """Play it."""
        started = time.monotonic()
        result = Result(number=self.number, kind=self.kind.name)
        dice = random.Random(f"{self.seed} {self.number}")
        with self.places(dice):
            self._strike(result, dice)
            self._complete(result)
            self.audit(result)
        result.seconds = time.monotonic() - started
        return result

    @contextmanager
    def places(self, dice: random.Random) -> Iterator[None]:
        """A database, and a disk if it takes one, for the block."""
        self.ground.make_database(self.name)
        self.world.forget_scenes()
        if self.kind.blow == "disk":
            self.disk = Disk(self.scratch / self.name)
            self.disk.shrink(dice.randint(40, 700))
        try:
            yield
        finally:
            self.ground.settle()
            self.ground.drop_database(self.name)
            if self.disk is not None:
                self.disk.remove()

    def _strike(self, result: Result, dice: random.Random) -> None:
        """The run that the faults meet."""
        seed = f"{self.seed} {self.number}"
        storm = Storm(seed=seed, share=self.kind.s3, kinds=s3_relay.FAULTS)
        other = Storm(seed=seed, share=self.kind.database, kinds=postgres_relay.FAULTS)
        moment = dice.randint(1, self.references[self.kind.remote].pulses)
        pulse = Pulse(at=moment, act=lambda: self._blow(dice)) if self.kind.blow else Pulse()
        if self.disk is not None:
            pulse, self.blows = Pulse(), 1
        self.ground.weather(storm, other, pulse)
        for _ in range(self.kind.drivers):
            self.steps.append(self.start(0, workers=self.workers))
        endings = [step.wait() for step in self.steps]
        self.ground.settle()
        if self.disk is not None:
            self.disk.grow()
        result.requests = self.ground.s3.requests.total()
        result.fault_free_requests = self.references[self.kind.remote].requests
        result.faults = dict(storm.struck + other.struck)
        if self.blows:
            result.faults[BLOWS[self.kind.blow]] = self.blows
        self._judge_endings(result, endings)

    def _judge_endings(self, result: Result, endings: list[Ended]) -> None:
        """Note what can be said before anything is put right."""
        result.ended = "; ".join(told(each) for each in endings)
        if any(each.hung for each in endings):
            result.findings.left_over.append(f"a run hung: {result.ended}")
        if self.kind.must_complete:
            result.unfinished = [told(each) for each in endings if not each.good]
        most_connections = self.kind.drivers * WORKERS
        if self.ground.postgis.peak > most_connections:
            found = f"{self.ground.postgis.peak} connections at once, {most_connections} allowed"
            result.findings.left_over.append(found)
        project, environment = self.direct()
        audit.half_written(project, environment, result.findings)

    def _blow(self, dice: random.Random) -> None:
        """Strike; called while a request waits."""
        step, blow = dice.choice(self.steps), self.kind.blow
        if blow in {"s3", "postgis"}:
            self.ground.outage(blow, dice.uniform(0.0, 2.0))
        elif blow == "worker":
            self.blows += kill_a_worker(step.pid, dice)
            return
        else:
            self.bereaved += descendants(step.pid)
            if blow == "driver":
                step.kill()
            else:
                kill_any(step.pid, dice)
        self.blows += 1

    def _complete(self, result: Result) -> None:
        """Run again, in calm weather, until nothing is missing."""
        ended = ""
        for attempt in range(1, MOST_RUNS + 1):
            self.ground.weather(CALM, CALM, Pulse())
            end = self.start(attempt, workers=0).wait()
            result.runs += 1
            ended = told(end)
            if end.good:
                return
        result.findings.lost.append(f"tiles, still after {MOST_RUNS} more runs: {ended}")

    def audit(self, result: Result) -> None:
        """Look at what is left."""
        project, environment = self.direct()
        found = result.findings
        audit.compare(
            audit.snapshot(project, environment), self.references[self.kind.remote].snapshot, found
        )
        audit.half_written(project, environment, found)
        audit.leases(project, environment, found, ahead=result.runs * LATER)
        if self.disk is not None:
            audit.stray_files(project, found)
        deadline = time.monotonic() + GRACE
        while any(alive(pid) for pid in self.bereaved) and time.monotonic() < deadline:
            time.sleep(0.05)
        found.left_over += [f"process {pid}" for pid in self.bereaved if alive(pid)]

    def start(self, attempt: int, *, workers: int) -> AnyStep:
        """Begin a run; each attempt's clock is ahead of the one before."""
        return Step(self.order(attempt, workers=workers))

    def order(self, attempt: int, *, workers: int) -> Order:
        """What a run is told."""
        return Order(
            folder=self.world.project_folder(remote=self.kind.remote),
            environment={**self._environment(direct=False), "SPATIAL_ASSETS_TIMEOUT": str(TIMEOUT)},
            workers=workers,
            ahead=attempt * LATER,
            most_bytes=self.disk.most_bytes if self.disk is not None and attempt == 0 else 0,
        )

    def _environment(self, *, direct: bool) -> dict[str, str]:
        found = places(self.ground, name=self.name, direct=direct)
        if self.disk is not None:
            found["SPATIAL_ASSETS_STORAGE_URL"] = str(self.disk.folder)
        return found

    def direct(self) -> tuple[Project, dict[str, str]]:
        """The project, and the variables, of somebody who meets no faults."""
        environment = self._environment(direct=True)
        folder = self.world.project_folder(remote=self.kind.remote)
        return load_project(folder, environment), environment
