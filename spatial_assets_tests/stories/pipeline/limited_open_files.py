"""A run in a process with a limit on open files.

`python -m spatial_assets_tests.stories.pipeline.limited_open_files FOLDER LIMIT` prints JSON:
tile -> state.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from spatial_assets.project import load_project
from spatial_assets_tests.fixtures.pipeline_runs import run_tiles


def main(folder: str, limit: int) -> None:
    """Run all tiles within the limit."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    outcomes = run_tiles(load_project(Path(folder), {}))
    sys.stdout.write(json.dumps({tile: str(each.state) for tile, each in outcomes.items()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
