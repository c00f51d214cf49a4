"""Jobs of ranges are backfilled with one run a range, that of a region for its tiles only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.automation.range_jobs import ALL_RANGES, FIRST_TILE_TAG, LAST_TILE_TAG
from spatial_assets.definitions import build_definitions
from spatial_assets.pipeline.key_ranges import key_ranges
from spatial_assets.project.sections.regions import RegionSettings
from spatial_assets.resources import EngineResource
from spatial_assets_tests.fixtures.field_cases import SAMPLES, UNSET, field_case, project_of

pytestmark = pytest.mark.samples

QUEUED = "run_coordinator:\n  module: dagster.core.run_coordinator\n  class: QueuedRunCoordinator\n"


@pytest.mark.parametrize("job", ["tiles_north", ALL_RANGES])
def test_a_backfill_of_a_job_of_ranges_is_one_run_for_each_range(tmp_path: Path, job: str) -> None:
    folder = field_case("region-job-backfills-all", tmp_path) / "p"
    project = project_of(folder)
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(QUEUED)
    env = {name: value for name, value in os.environ.items() if name not in {*UNSET, SAMPLES}}
    env |= {"DAGSTER_HOME": str(home), "SPATIAL_ASSETS_PROJECT": str(folder)}
    backfill = ["job", "backfill", "-m", "spatial_assets.definitions", "-j", job]

    ended = subprocess.run(
        [sys.executable, "-m", "dagster", *backfill, "--noprompt"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    with dg.DagsterInstance.from_config(str(home)) as instance:
        runs = instance.get_runs()
    tiles = project.tile_keys if job == ALL_RANGES else project.region_tiles("north")
    ranges = key_ranges(project.tile_keys, tiles, longest=100)
    assert sum(part.count for part in ranges) == (6 if job == ALL_RANGES else 2)
    ends = {(run.tags[FIRST_TILE_TAG], run.tags[LAST_TILE_TAG]) for run in runs}
    assert len(runs) == len(ranges)
    assert ends == {(part.first, part.last) for part in ranges}


def test_a_run_of_a_regions_job_materializes_its_tiles_and_no_others(tmp_path: Path) -> None:
    folder = field_case("region-job-backfills-all", tmp_path) / "p"
    project = project_of(folder)
    tiles = project.tile_keys[1:4]
    region = RegionSettings(tiles=tiles)
    project = project.model_copy(update={"regions": {"north": region}})
    defs = build_definitions(project, engine=EngineResource(workers=0, gdal_cache_mb=64))

    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("tiles_north")
        run = job.execute_in_process(instance=instance, partition_key=f"{tiles[0]}:{tiles[-1]}")
        made = {
            asset: set(instance.get_materialized_partitions(dg.AssetKey(asset)))
            for asset in ("raw_tile", "reprojected_raster", "ndvi", "tile_index")
        }
        record = instance.get_latest_materialization_event(dg.AssetKey("ndvi"))

    assert run.success
    assert all(found == set(tiles) for found in made.values())
    assert record is not None
    assert record.asset_materialization is not None
    assert "dagster/data_version" in (record.asset_materialization.tags or {})
