"""The sensor in Dagster's daemon: range runs renew exactly the stale tiles."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.catalog.rasters import gdal_datasets
from spatial_assets.definitions import build_definitions
from spatial_assets.project import Project
from spatial_assets.resources import EngineResource
from spatial_assets_tests.automation.frozen_clock import EVERYTHING, WARN
from spatial_assets_tests.fixtures.ten_village_project import ten_tiles, ten_villages
from spatial_assets_tests.servers.dagster import StartDagster

pytestmark = pytest.mark.servers

CHAIN = ("raw_tile", "reprojected_raster", "ndvi", "tile_index")
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
RUN_SECONDS = 150.0  # a tick of the sensor, one of the backfills, two runs; 40 s when idle
DEFINITIONS = """
import datetime as dt

from spatial_assets.definitions import build_definitions
from spatial_assets.project import load_project
from spatial_assets.resources import EngineResource

clock = dt.datetime.fromisoformat("{clock}")
definitions = build_definitions(
    load_project(), clock=lambda: clock, engine=EngineResource(workers=0, gdal_cache_mb=64)
)
"""

BACKLOG = """
query Backlog {
  assetCheckExecutions(assetKey: {path: ["raw_tile"]}, checkName: "backlog", limit: 20) { runId }
}
"""
"""Query of the evaluations of the check; those of its sensor have no run."""

Events = dict[tuple[str, str], list[int]]


def workspace(folder: Path, clock: dt.datetime) -> Path:
    """A code location whose clock stands still."""
    (folder / "frozen.py").write_text(DEFINITIONS.format(clock=clock.isoformat()))
    path = folder / "workspace.yaml"
    path.write_text("load_from: [{python_file: frozen.py}]")
    return path


def definitions(project: Project, clock: dt.datetime) -> dg.Definitions:
    engine = EngineResource(workers=0, gdal_cache_mb=64)
    return build_definitions(project, clock=lambda: clock, engine=engine)


def make(
    project: Project, instance: dg.DagsterInstance, ranges: Sequence[Sequence[str]]
) -> dt.datetime:
    """Materialize ranges of tiles in this process, and say when that was done."""
    defs = definitions(project, dt.datetime.now(dt.UTC))
    for tiles in ranges:
        run = dg.materialize(
            [*(defs.assets or ())],  # type: ignore[list-item]
            tags=dict(zip(RANGE, (tiles[0], tiles[-1]), strict=True)),
            resources=defs.resources,
            instance=instance,
        )
        assert run.success
    gdal_datasets.close_all()
    time.sleep(0.01)
    return dt.datetime.now(dt.UTC)


def events(project: Project, instance: dg.DagsterInstance) -> Events:
    """(asset, tile) -> ids of its materializations, newest first."""
    found: Events = {}
    for asset in CHAIN:
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset))
        for record in instance.fetch_materializations(wanted, limit=1000).records:
            assert record.partition_key is not None
            found.setdefault((asset, record.partition_key), []).append(record.storage_id)
    assert {tile for _, tile in found} == set(ten_tiles(project))
    return found


def finished_runs(
    instance: dg.DagsterInstance, count: int, *, besides: set[str]
) -> list[dg.DagsterRun]:
    """Wait for new runs to be finished; how many there are, then."""
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        new = [run for run in instance.get_runs() if run.run_id not in besides]
        if len(new) >= count and all(run.is_finished for run in new):
            return new
        assert time.monotonic() < deadline, [(run.status, run.tags) for run in new]
        time.sleep(0.5)


def test_the_daemon_makes_exactly_the_stale_tiles_in_one_run_a_range(
    dagster_dev: StartDagster, dagster_instance_home: Path, tmp_path: Path
) -> None:
    window = {"warn": f"{WARN.days} days", "fail": "10 days", "never_made": "leave"}
    project = ten_villages(
        tmp_path / "project", tmp_path / "catalog", **{"freshness.raw_tile": window}
    )
    tiles = ten_tiles(project)
    stale = [tiles[1:3], tiles[5:6]]
    with dg.DagsterInstance.from_config(str(dagster_instance_home)) as instance:
        clock = make(project, instance, stale) + WARN
        make(project, instance, [tiles[:1], tiles[3:5], tiles[6:]])
        before = events(project, instance)
        known = {run.run_id for run in instance.get_runs()}

        server = dagster_dev(project.root, workspace=workspace(tmp_path, clock))
        runs = finished_runs(instance, len(stale), besides=known)

        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        ranges = {tuple(run.tags.get(tag, "") for tag in RANGE) for run in runs}
        assert ranges == {(part[0], part[-1]) for part in stale}
        again = {tile for part in stale for tile in part}
        after = events(project, instance)
        for (asset, tile), made in after.items():
            assert len(made) == (2 if tile in again else 1), (asset, tile)
            assert made[-1] == before[asset, tile][-1]
        settled = dg.evaluate_automation_conditions(
            definitions(project, clock), instance, EVERYTHING
        )
        assert settled.total_requested == 0
        assert "" in {answer["runId"] for answer in server.graphql(BACKLOG)["assetCheckExecutions"]}
