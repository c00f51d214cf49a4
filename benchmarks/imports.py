"""Cost of `import spatial_assets.definitions` compared with `import dagster`, in new processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from benchmarks.rows import Row, row

TRIES = 5
EMBEDDED, ON_S3 = 1.3, 2.5
"""Maximum cost as a multiple of Dagster alone."""

DAGSTER = "import dagster"
OURS = "import spatial_assets.definitions"


def rows(tries: int = TRIES) -> list[Row]:
    """Measure with the embedded default, and with S3 configured."""
    # The minimum of several: other load on the machine only adds to it.
    alone, embedded, on_s3 = [], [], []
    for _ in range(tries + 1):
        alone.append(cpu_of(DAGSTER))
        embedded.append(cpu_of(OURS))
        on_s3.append(cpu_of(OURS, SPATIAL_ASSETS_STORAGE_URL="s3://bucket/prefix"))
    # The first runs compiled the modules.
    least = [min(each[1:]) for each in (alone, embedded, on_s3)]
    unit = "CPU seconds"
    return [
        row(f"{OURS}, embedded, against {DAGSTER}", least[1], least[0], most=EMBEDDED, unit=unit),
        row(f"{OURS}, with S3, against {DAGSTER}", least[2], least[0], most=ON_S3, unit=unit),
    ]


def cpu_of(code: str, **variables: str) -> float:
    """CPU seconds of a new Python process that runs `code`."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("SPATIAL_ASSETS_")
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], env={**environment, **variables}, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
