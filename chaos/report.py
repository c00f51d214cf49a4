"""What a campaign found, as a table for people and as JSON."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from chaos.kinds import KINDS
from chaos.rounds import Result

RESULTS = Path(__file__).parent / "results" / "chaos.json"
ONLY_S3 = {kind.name for kind in KINDS if kind.s3 and kind.must_complete and kind.drivers == 1}
"""Kinds whose one run completes: what it asked for can be compared with a run without faults."""

FIGURES = ("lost", "duplicated", "half_written", "wrong", "left_over")


@dataclass
class Progress:
    """Says after each round how it went, and how long the rest will take."""

    total: int
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    def count(self, result: Result) -> None:
        """Note a round."""
        self.done += 1
        spent = time.monotonic() - self.started
        left = spent / self.done * (self.total - self.done)
        verdict = "good" if result.good else "BAD"
        faults = sum(result.faults.values())
        print(
            f"[{self.done}/{self.total}] round {result.number:3} {result.kind:20} {verdict:4} "
            f"{faults:4} faults, {result.runs} runs, {result.seconds:4.1f} s; "
            f"{left / 60:.0f} min left; {result.ended[:160]}",
            flush=True,
        )
        for line in [*result.findings.lines(), *(f"unfinished: {u}" for u in result.unfinished)]:
            print(f"      {line[:400]}", flush=True)


def summary(results: Sequence[Result], *, seed: int, seconds: float) -> dict[str, object]:
    """All rounds in a few figures."""
    faults: Counter[str] = Counter()
    for result in results:
        faults.update(result.faults)
    ratios = [r.requests / r.fault_free_requests for r in results if r.kind in ONLY_S3]
    found = {name: sum(r.findings.counts()[name] for r in results) for name in FIGURES}
    return {
        "rounds": len(results),
        "seed": seed,
        "seconds": round(seconds),
        "faults": dict(faults.most_common()),
        **found,
        "unfinished": sum(len(r.unfinished) for r in results),
        "requests_against_fault_free": {
            "mean": round(statistics.mean(ratios), 3) if ratios else None,
            "most": round(max(ratios), 3) if ratios else None,
        },
        "kinds": _by_kind(results),
        "bad_rounds": [asdict(r) for r in results if not r.good],
    }


def write(document: dict[str, object], path: Path = RESULTS) -> None:
    """Keep it as JSON."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def table(document: dict[str, object], results: Sequence[Result]) -> str:
    """It as a person reads it."""
    head = f"{'':20} rounds faults  lost dupl. half wrong left unfin. requests"
    lines = [head]
    for row in _by_kind(results):
        figures = " ".join(f"{row[name]:>5}" for name in (*FIGURES, "unfinished"))
        lines.append(
            f"{row['kind']:20} {row['rounds']:>6} {row['faults']:>6} {figures} "
            f"{row['requests']:>7.2f}x"
        )
    total = " ".join(f"{document[name]:>5}" for name in (*FIGURES, "unfinished"))
    count = sum(sum(result.faults.values()) for result in results)
    lines.append(f"{'all':20} {len(results):>6} {count:>6} {total}")
    return "\n".join(lines)


def _by_kind(results: Sequence[Result]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for kind in KINDS:
        mine = [result for result in results if result.kind == kind.name]
        if not mine:
            continue
        free = sum(result.fault_free_requests for result in mine)
        figures = {name: sum(r.findings.counts()[name] for r in mine) for name in FIGURES}
        rows.append(
            {
                "kind": kind.name,
                "rounds": len(mine),
                "faults": sum(sum(result.faults.values()) for result in mine),
                **figures,
                "unfinished": sum(len(result.unfinished) for result in mine),
                "requests": round(sum(r.requests for r in mine) / free, 2) if free else 0.0,
            }
        )
    return rows
