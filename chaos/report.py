"""Results of a campaign, as a table and as JSON."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from chaos.rounds import Result
from chaos.scenarios import SCENARIOS

RESULTS = Path(__file__).parent / "results" / "chaos.json"
ONLY_S3 = {each.name for each in SCENARIOS if each.s3 and each.must_complete and each.drivers == 1}
"""Scenarios whose first run completes, so that its requests can be compared with the reference."""

FIGURES = ("lost", "duplicated", "half_written", "wrong", "left_over")


@dataclass
class Progress:
    """Progress of a campaign: the result of each round and the time left."""

    total: int
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    def record(self, result: Result) -> None:
        """Print the result of a round."""
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
    """Summarize all rounds."""
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
    """Write the summary as JSON."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def table(document: dict[str, object], results: Sequence[Result]) -> str:
    """Format the summary as a table."""
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
    for scenario in SCENARIOS:
        mine = [result for result in results if result.kind == scenario.name]
        if not mine:
            continue
        free = sum(result.fault_free_requests for result in mine)
        figures = {name: sum(r.findings.counts()[name] for r in mine) for name in FIGURES}
        rows.append(
            {
                "kind": scenario.name,
                "rounds": len(mine),
                "faults": sum(sum(result.faults.values()) for result in mine),
                **figures,
                "unfinished": sum(len(result.unfinished) for result in mine),
                "requests": round(sum(r.requests for r in mine) / free, 2) if free else 0.0,
            }
        )
    return rows
