"""Concurrent runs, each a process with a share of the tiles that overlaps with its neighbours'.

`python -m spatial_assets_tests.stories.pipeline.concurrent_runs FOLDER RUNS SHARE` prints JSON: for
each run, tile -> state. The database sees run N under the application name `concurrent-run-N`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spatial_assets.pipeline.engines.engine import InlineEngine
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.project import load_project
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database

APPLICATION_NAME = "concurrent-run-"


def run(folder: str, number: int, share: int) -> dict[str, str]:
    """Run `share` neighbouring tiles, starting at a position that depends on its number."""
    project = load_project(Path(folder), os.environ)
    keys = project.partitioning.keys
    start = number * max(1, share // 3) % len(keys)
    mine = sorted((keys * 2)[start : start + share], key=keys.index)
    mark = "&" if "?" in project.database_url else "?"
    url = f"{project.database_url}{mark}application_name={APPLICATION_NAME}{number}"
    with open_database(url, pool_size=project.database.pool_size) as database:
        pipeline = TilePipeline(
            project=project,
            store=open_store(project.storage_url),
            database=database,
            engine=InlineEngine(),
            clock=lambda: datetime.now(UTC),
            owner=f"concurrent run {number}",
            lease_wait=timedelta(seconds=120),
        )
        outcomes = pipeline.run(mine, stages=pipeline.chain.stages)
        return {each.tile: str(each.state) for each in outcomes}


def main(folder: str, runs: int, share: int) -> None:
    """Start all runs at once and print the states that each of them reports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "spatial_assets.stores.tables.postgis.database"])
    with context.Pool(runs, maxtasksperchild=1) as pool:
        jobs = [(folder, number, share) for number in range(runs)]
        sys.stdout.write(json.dumps(pool.starmap(run, jobs, chunksize=1)))


if __name__ == "__main__":
    # imported again so that the child processes find `run` in the module of its own name
    from spatial_assets_tests.stories.pipeline import concurrent_runs

    concurrent_runs.main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
