"""A campaign: cases run in worker processes, ten seconds each, and their findings."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spatial_assets_tests.fuzz.inputs import make_item, make_rasters, make_vectors
from spatial_assets_tests.fuzz.targets import TARGETS
from spatial_assets_tests.servers.process import REPOSITORY

LONGEST = 10.0
"""Seconds that a case may take."""

WORKER = ["-m", "spatial_assets_tests.fuzz.worker"]

STARTING = 60.0
"""Seconds that a worker may take for its first answer: it imports GDAL and all."""


@dataclass(frozen=True)
class Case:
    """One damaged input."""

    kind: str
    seed: str


@dataclass(frozen=True)
class Played:
    """Outcome of the case."""

    case: Case
    answer: str
    finding: str
    """Empty: nothing is wrong."""

    seconds: float


@dataclass
class Player:
    """A worker process, begun again when it dies or hangs."""

    good: Path
    work: Path
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _is_fresh: bool = field(default=True, init=False)

    def play(self, case: Case) -> Played:
        """Hand a case over and wait for the answer."""
        process, started = self._running(), time.monotonic()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([case.kind, case.seed]) + "\n")
        process.stdin.flush()
        patience = STARTING if self._is_fresh else LONGEST
        ready, _, _ = select.select([process.stdout], [], [], patience)
        line = process.stdout.readline() if ready else ""
        if line:
            self._is_fresh = False
            told = json.loads(line)
            slow = told["seconds"] > LONGEST
            finding = told["finding"] or (f"took {told['seconds']} s" if slow else "")
            return Played(case, told["answer"], finding, told["seconds"])
        seconds = time.monotonic() - started
        if ready:
            code = process.wait(timeout=LONGEST)
            return self._lost(case, f"the process died (exit code {code})", seconds)
        return self._lost(case, f"no answer in {patience:g} s", seconds)

    def close(self) -> None:
        """End the worker."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None

    def _lost(self, case: Case, finding: str, seconds: float) -> Played:
        self.close()
        return Played(case, "crash" if "died" in finding else "hang", finding, seconds)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self.work.mkdir(parents=True, exist_ok=True)
            self._is_fresh = True
            self._process = subprocess.Popen(
                [sys.executable, *WORKER, self.good, self.work],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": "ignore"},
            )
        return self._process


def cases(count: int, seed: int) -> Iterator[Case]:
    """Cases of all kinds in turn."""
    kinds = sorted(TARGETS)
    for number in range(count):
        yield Case(kinds[number % len(kinds)], f"{seed}:{number}")


def play_all(wanted: Iterable[Case]) -> Iterator[Played]:
    """Run cases one after the other."""
    with tempfile.TemporaryDirectory(prefix="spatial-assets-fuzz-") as folder:
        good = Path(folder) / "good"
        make_rasters(good / "rasters")
        make_item(good / "items")
        make_vectors(good / "vectors")
        player = Player(good, Path(folder) / "work")
        try:
            for case in wanted:
                yield player.play(case)
        finally:
            player.close()


def summary(results: Iterable[Played], seed: int) -> dict[str, object]:
    """The figures of a campaign, JSON-able; each finding with the seed that makes it again."""
    played = list(results)
    kinds = {
        kind: dict(Counter(each.answer for each in played if each.case.kind == kind))
        for kind in sorted(TARGETS)
    }
    slowest = max((each.seconds for each in played), default=0.0)
    return {
        "seed": seed,
        "cases": len(played),
        "by_kind": {kind: sum(found.values()) for kind, found in kinds.items()},
        "answers": kinds,
        "slowest_seconds": slowest,
        "findings": [
            {"kind": each.case.kind, "seed": each.case.seed, "finding": each.finding}
            for each in played
            if each.finding
        ],
    }
