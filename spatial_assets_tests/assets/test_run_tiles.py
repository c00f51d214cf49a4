"""A run that was launched for an area which has been edited since."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from spatial_assets.assets.run_tiles import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from spatial_assets.definitions import build_definitions
from spatial_assets.partitions import tile_partitions
from spatial_assets.project import Project
from spatial_assets.project.sections.regions import RegionSettings
from spatial_assets.resources import EngineResource
from spatial_assets_tests.fixtures.two_zone_project import TWO_TILES, write_project

RAW = dg.AssetKey("raw_tile")


@pytest.fixture
def before(tmp_path: Path) -> Project:
    """A project of four tiles, without a scene."""
    (tmp_path / "catalog").mkdir()
    return write_project(tmp_path / "before", tmp_path / "catalog")


@pytest.fixture
def after(before: Project, tmp_path: Path) -> Project:
    """The same project over two of them."""
    edited = write_project(tmp_path / "before", tmp_path / "catalog", area={"bbox": TWO_TILES})
    assert set(edited.tile_keys) < set(before.tile_keys)
    return edited


def job_of(project: Project, name: str = "tiles") -> dg.JobDefinition:
    """A job of the project as its definitions are now."""
    defs = build_definitions(project, engine=EngineResource(workers=0, gdal_cache_mb=64))
    return defs.resolve_job_def(name)


def executed(
    instance: dg.DagsterInstance, run: dg.DagsterRun, job: dg.JobDefinition
) -> tuple[dg.DagsterRunStatus, str]:
    """Execute a run with the definitions of now; its status, and the message of its failed step."""
    execute_run(InMemoryJob(job), run, instance, raise_on_error=False)
    found = instance.get_run_by_id(run.run_id)
    failures = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
    ).records
    assert found is not None
    return found.status, "".join(
        str(record.event_log_entry.dagster_event.step_failure_data.user_failure_data.description)
        for record in failures
        if record.event_log_entry.dagster_event
        and record.event_log_entry.dagster_event.step_failure_data.user_failure_data
    )


def failed_tiles(instance: dg.DagsterInstance, project: Project) -> set[str]:
    """Tiles that Dagster's pages show as failed."""
    partitions = tile_partitions(project)
    status = get_and_update_asset_status_cache_value(instance, RAW, partitions)
    assert status is not None
    return set(status.deserialize_failed_partition_subsets(partitions).get_partition_keys())


@pytest.mark.parametrize("launched_for", ["a range", "one tile"])
def test_a_run_launched_before_the_area_was_edited_says_so_and_touches_no_tile(
    before: Project, after: Project, launched_for: str
) -> None:
    tiles, gone = before.tile_keys, set(before.tile_keys) - set(after.tile_keys)
    one = min(gone)
    tags = {RANGE_START_TAG: tiles[0], RANGE_END_TAG: tiles[-1]}
    with dg.DagsterInstance.ephemeral() as instance:
        for tile in after.tile_keys:
            instance.report_runless_asset_event(dg.AssetMaterialization(RAW, partition=tile))
        queued = instance.create_run_for_job(
            job_of(before), tags=tags if launched_for == "a range" else {PARTITION_TAG: one}
        )

        status, message = executed(instance, queued, job_of(after))

        assert message.startswith("the area changed since this run was launched: ")
        assert message.endswith("Launch it again, for the tiles as they are now")
        assert {one, *gone}.intersection(message.replace(",", "").split())
        assert status == dg.DagsterRunStatus.CANCELED  # so that it is not started again
        assert failed_tiles(instance, after) == set()
    assert not (after.root / "data").exists()


def test_a_run_whose_tiles_all_stand_is_executed(before: Project, after: Project) -> None:
    first, last = after.tile_keys[0], after.tile_keys[-1]
    with dg.DagsterInstance.ephemeral() as instance:
        queued = instance.create_run_for_job(
            job_of(before), tags={RANGE_START_TAG: first, RANGE_END_TAG: last}
        )

        status, message = executed(instance, queued, job_of(after))

    assert "the area changed" not in message
    assert status != dg.DagsterRunStatus.CANCELED


def test_a_run_of_a_region_whose_ranges_changed_says_so(before: Project, after: Project) -> None:
    def with_region(project: Project) -> Project:
        region = RegionSettings(tiles=project.tile_keys)
        return project.model_copy(update={"regions": {"north": region}})

    job = job_of(with_region(before), "tiles_north")
    assert job.partitions_def is not None
    (key,) = job.partitions_def.get_partition_keys()
    with dg.DagsterInstance.ephemeral() as instance:
        queued = instance.create_run_for_job(job, tags={PARTITION_TAG: key})

        status, message = executed(instance, queued, job_of(with_region(after), "tiles_north"))

    assert f"launched: {key} of its range" in message
    assert status == dg.DagsterRunStatus.CANCELED


def test_a_reversed_range_fails_and_says_so(before: Project) -> None:
    first, last = before.tile_keys[0], before.tile_keys[-1]
    with dg.DagsterInstance.ephemeral() as instance:
        job = job_of(before)
        tags = {RANGE_START_TAG: last, RANGE_END_TAG: first}
        run = instance.create_run_for_job(job, tags=tags)

        status, message = executed(instance, run, job)

    assert status == dg.DagsterRunStatus.FAILURE
    assert f"the range {last}...{first} is reversed" in message
    assert f"Launch {first}...{last}" in message
