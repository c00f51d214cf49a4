"""The document of a run: its rows and the machine they were measured on."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, verdict

FOLDER = Path(__file__).parent / "results"
ALWAYS = ("dagster", "numpy", "duckdb", "zarr")
"""Distributions whose versions are reported besides those of the contestants."""


def document(rows: Sequence[Row], *, size: str, **more: object) -> dict[str, Any]:
    """Build the JSON document: `rows`, `size`, and other facts about the run."""
    return {"size": size, "commit": commit(), "machine": machine(), **more, "rows": list(rows)}


def machine() -> dict[str, object]:
    """Facts about this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30, 1),
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "python": platform.python_version(),
    }


def cpu_model() -> str:
    """CPU model as reported by Linux."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def load() -> list[float]:
    """Load averages over 1, 5 and 15 minutes."""
    return [round(each, 2) for each in os.getloadavg()]


def commit() -> str:
    """Commit of the checkout; "unknown" outside one."""
    folder = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of installed distributions, by name."""
    return {name: metadata.version(name) for name in sorted({*packages, *ALWAYS})}


def now() -> str:
    """Date and time, to the minute."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def write(found: dict[str, Any]) -> Path:
    """Write a document."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{found['size']}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path


def read(size: str) -> dict[str, Any]:
    """Read the document of the last run of a size."""
    found: dict[str, Any] = json.loads((FOLDER / f"{size}.json").read_text())
    return found


def table(rows: Sequence[Row]) -> str:
    """Format the rows as lines of text, those with a target first."""
    ordered = sorted(rows, key=lambda each: each["target"] is None)
    cells = [("", "ours", "theirs", "ratio", "at most", ""), *map(cells_of, ordered)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = []
    for what, *figures, outcome in cells:
        right = "  ".join(f.rjust(w) for f, w in zip(figures, widths[1:], strict=False))
        lines.append(f"{what.ljust(widths[0])}  {right}  {outcome}".rstrip())
    return "\n".join(lines)


def cells_of(found: Row) -> tuple[str, str, str, str, str, str]:
    """Name and unit, ours, theirs, ratio, target, verdict."""
    ours, theirs, ratio, target = (
        "" if found[name] is None else f"{found[name]:.3g}"
        for name in ("ours", "theirs", "ratio", "target")
    )
    return f"{found['what']} ({found['unit']})", ours, theirs, ratio, target, verdict(found)
