"""A process that runs cases: a line in for each, a line out. Its death is a finding.

Run as `python -m spatial_assets_tests.fuzz.worker GOOD WORK`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path

from spatial_assets.errors import SpatialAssetsError
from spatial_assets_tests.fuzz.targets import CANARY, play

MEMORY = 6 << 30
"""Bytes of address space: an input that wants more is a bomb that went off."""

SHOWN = 1500  # characters of a traceback


def main() -> None:
    """Run the requested cases until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    good, work = Path(sys.argv[1]), Path(sys.argv[2])
    outside = work / "outside"
    outside.mkdir(parents=True, exist_ok=True)
    (outside / "canary.txt").write_text(CANARY)
    os.chdir(work)
    for line in sys.stdin:
        kind, seed = json.loads(line)
        sys.stdout.write(json.dumps(played(kind, seed, good=good, work=work)) + "\n")
        sys.stdout.flush()


def played(kind: str, seed: str, *, good: Path, work: Path) -> dict[str, object]:
    """Run one case; report its outcome, and whether it touched files outside its folder."""
    before, started = beside(work), time.perf_counter()
    finding = ""
    try:
        answer = play(kind, seed, good=good, case=work / "case" / "project")
    except SpatialAssetsError as error:
        answer = f"refused: {type(error).__name__}"
        if CANARY in str(error):
            finding = f"printed a file from outside of the project: {error}"
    except Exception as error:  # noqa: BLE001 - every other kind is what is looked for
        answer, finding = type(error).__name__, traceback.format_exc()[-SHOWN:]
    if not finding and beside(work) != before:
        finding = f"touched files beside its folder: {beside(work) ^ before}"
    seconds = round(time.perf_counter() - started, 3)
    return {"answer": answer, "finding": finding, "seconds": seconds}


def beside(work: Path) -> set[tuple[str, int, int]]:
    """Names, sizes and times of everything around the working folder that is of no case."""
    case = work / "case"
    found = (path for path in work.parent.rglob("*") if path != work)
    return {
        (str(path), facts.st_size, facts.st_mtime_ns)
        for path in found
        if path != case and case not in path.parents and (facts := path.stat())
    }


if __name__ == "__main__":
    main()
