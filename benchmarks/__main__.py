"""`make bench` and `make bench-quick`: ratios in one run, and the results as JSON.

Absolute figures are this machine's, ratios hold elsewhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks import imports, orchestration, pixels, tables, ticks
from benchmarks.rows import Row

RESULTS = Path(__file__).parent / "results"


def main(size: str) -> None:
    """Measure, and keep what was measured."""
    write(f"{size}.json", pixels.rows(pixels.SIZES[size]))
    if size == "full":
        write("ticks.json", ticks.rows())
        write("orchestration.json", [*imports.rows(), *orchestration.rows(), *tables.rows()])


def write(name: str, rows: list[Row]) -> None:
    """Keep rows as JSON."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "quick")
