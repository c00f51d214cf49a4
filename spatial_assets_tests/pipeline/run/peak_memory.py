"""The peak of a worker's memory: `python -m spatial_assets_tests.pipeline.run.peak_memory TASK`.

TASK is a file with a pickled walker and its task. Prints the state of the tile and the most
megabytes that this process ever had in memory.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from spatial_assets.pipeline.engines.engine import prepare_process


def main(task_file: str) -> None:
    """Walk the tile as a worker does."""
    prepare_process(256)
    walker, task = pickle.loads(Path(task_file).read_bytes())  # noqa: S301 - written by the test
    result = walker(task)
    # not getrusage: its peak is handed down from the process that started this one
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(f"{result.outcome.state} {int(peak) >> 10}")


if __name__ == "__main__":
    main(sys.argv[1])
