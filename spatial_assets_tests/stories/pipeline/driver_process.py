"""A driver in a process of its own, for tests that race or kill drivers.

`python -m spatial_assets_tests.stories.pipeline.driver_process FOLDER WORKERS` runs all tiles of
the project in FOLDER and prints a JSON object: tile -> state. 0 workers: within the process itself.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spatial_assets.pipeline.engines.engine import Engine, InlineEngine, ProcessEngine
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.project import load_project
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database


def main(folder: str, workers: int) -> None:
    """Run all tiles through all stages."""
    project = load_project(Path(folder), {})
    engine: Engine = InlineEngine()
    if workers:
        engine = ProcessEngine(workers=workers, gdal_cache_mb=64)
    with open_database(project.database_url) as database:
        pipeline = TilePipeline(
            project=project,
            store=open_store(project.storage_url),
            database=database,
            engine=engine,
            clock=lambda: datetime.now(UTC),
            owner=f"driver of {workers} workers",
            lease_wait=timedelta(seconds=60),
        )
        outcomes = pipeline.run(project.partitioning.keys, stages=pipeline.chain.stages)
        sys.stdout.write(json.dumps({each.tile: str(each.state) for each in outcomes}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
