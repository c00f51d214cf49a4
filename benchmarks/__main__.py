"""`make bench` and `make bench-quick`: ratios of one run as a table, as JSON and as a page.

Absolute figures depend on the machine, ratios hold elsewhere. Every part runs in a separate
process: one that fails or hangs loses only its own rows and sets exit code 1; a missed target does
not.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts about a run that are known when it starts."""

    size: str
    started: str
    load: list[float]
    began: float

    def document(self, rows: list[dict[str, object]], failed: list[str]) -> dict[str, Any]:
        """Build the document of the rows measured so far."""
        from benchmarks import results  # noqa: PLC0415 - contestants import this module too

        return results.document(
            rows,
            size=self.size,
            started=self.started,
            minutes=round((time.monotonic() - self.began) / 60, 1),
            load={"before": self.load, "after": results.load()},
            versions=contestants_versions(),
            failed=failed,
        )


USAGE = (
    "python -m benchmarks full | quick | trial | page [SIZE] | part SIZE NAME FOLDER | events | "
    "backfill sqlite|postgres TILES | growth"
)
TIMEOUT_FACTOR = 5.0
"""Factor of the expected time after which a part is stopped; the minimum is five minutes."""


def main(arguments: list[str]) -> int:
    """Run one of the commands in USAGE and return the exit code."""
    match arguments:
        case ["full" | "quick" | "trial" as size]:
            return run(size)
        case ["page"]:
            return write_page("full")
        case ["page", "full" | "quick" | "trial" as size]:
            return write_page(size)
        case ["events" | "backfill" | "growth", *_]:
            return print_dagster(arguments)
        case ["part", size, name, folder]:
            return part(size, name, Path(folder))
    print(f"usage: {USAGE}", file=sys.stderr)
    return 2


def print_dagster(arguments: list[str]) -> int:
    """Print figures of Dagster alone, which need no scenes, and of what grows."""
    from benchmarks import (  # noqa: PLC0415 - contestants import this module too
        events,
        first_tile,
        growth,
        results,
    )

    match arguments:
        case ["events"]:
            print(results.table(events.rows()))
            return 0
        case ["growth"]:
            print(*growth.lines(), sep="\n")
            return 0
        case ["backfill", "sqlite" | "postgres" as storage, tiles] if tiles.isdecimal():
            print(first_tile.measure(storage, int(tiles)))
            return 0
    print(f"usage: {USAGE}", file=sys.stderr)
    return 2


def run(size: str) -> int:
    """Measure all parts, then store and print the rows."""
    from benchmarks import results  # noqa: PLC0415 - contestants import this module too

    facts = Facts(size=size, started=results.now(), load=results.load(), began=time.monotonic())
    rows: list[dict[str, object]] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="spatial-assets-bench-") as scratch:
        for _ in run_parts(size, Path(scratch), rows, failed=failed):
            path = results.write(facts.document(rows, failed))  # kept even if a later part fails
    print(f"\n{results.table(rows)}\n\n{path}", flush=True)
    if size == "full":
        write_page(size)
    missed = [each["what"] for each in rows if not each["ok"]]
    print(f"{len(rows)} rows, {len(missed)} MISSED", *missed, sep="\n  MISSED: ")
    print(*(f"FAILED: {name}" for name in failed), sep="\n")
    return 1 if failed else 0


def run_parts(
    size: str, scratch: Path, rows: list[dict[str, object]], *, failed: list[str]
) -> Iterator[None]:
    """Add the rows of all parts, and the names of failed ones; yield after each part."""
    from benchmarks.parts import PARTS_BY_SIZE  # noqa: PLC0415

    parts = PARTS_BY_SIZE[size]()
    for number, each in enumerate(parts):
        left = sum(later.minutes for later in parts[number:])
        ends = time.strftime("%H:%M", time.localtime(time.time() + 60 * left))
        print(
            f"[{number + 1}/{len(parts)}] {each.name}, about {each.minutes:g} min; "
            f"all parts done in about {left:.0f} min, at {ends}",
            flush=True,
        )
        if in_a_process([size, each.name, str(scratch)], max(5.0, TIMEOUT_FACTOR * each.minutes)):
            rows += json.loads(rows_file(scratch, each.name).read_text())
        else:
            print(f"{each.name}: FAILED; the other parts continue", flush=True)
            failed.append(each.name)
        shutil.rmtree(folder_of(scratch, each.name), ignore_errors=True)  # a part fills 20 GB
        yield


def in_a_process(arguments: list[str], minutes: float) -> bool:
    """Run a part in its process group, then kill the group; return True if it succeeded in time."""
    command = [sys.executable, "-m", "benchmarks", "part", *arguments]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            return process.wait(timeout=60 * minutes) == 0
        except subprocess.TimeoutExpired:
            print(f"  stopped after {minutes:.0f} minutes", flush=True)
            return False
        finally:
            end_group(process.pid)


def end_group(group: int) -> None:
    """Kill a process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def folder_of(scratch: Path, name: str) -> Path:
    """Working folder of a part."""
    return scratch / name.replace(" ", "-")


def part(size: str, name: str, scratch: Path) -> int:
    """Measure one part and write its rows for `run`."""
    from benchmarks.parts import PARTS_BY_SIZE  # noqa: PLC0415

    (chosen,) = [each for each in PARTS_BY_SIZE[size]() if each.name == name]
    folder = folder_of(scratch, name)
    folder.mkdir()
    rows = chosen.measure(folder, scratch / "made-scenes")
    rows_file(scratch, name).write_text(json.dumps(rows))
    return 0


def rows_file(scratch: Path, name: str) -> Path:
    """Path of the rows of a part."""
    return scratch / f"{name}.json"


@functools.cache
def contestants_versions() -> dict[str, str]:
    """Versions of all contestants."""
    from benchmarks import results  # noqa: PLC0415
    from benchmarks.contest import is_available, other_contestants  # noqa: PLC0415
    from benchmarks.contestants import ours  # noqa: PLC0415

    available = [each for each in (ours.CONTESTANT, *other_contestants()) if is_available(each)]
    packages = [name for each in available for name in each.packages]
    programs = [each.program() for each in available if each.program is not None]
    return {**results.versions(packages), **dict(each.split(maxsplit=1) for each in programs)}


def write_page(size: str) -> int:
    """Write the page of the results again."""
    from benchmarks import page, results  # noqa: PLC0415

    print(page.write(results.read(size)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
