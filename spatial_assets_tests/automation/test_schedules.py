"""Schedules of [regions]: one run a range, without tiles that are bad or in progress."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.assets.run_tiles import RANGE_END_TAG, RANGE_START_TAG
from spatial_assets.automation.tiles_in_progress import (
    span_of,
    tiles_in_progress,
)
from spatial_assets.definitions import build_definitions
from spatial_assets.project import Project
from spatial_assets.project.sections.regions import RegionSettings
from spatial_assets.resources import EngineResource
from spatial_assets_tests.automation.frozen_clock import AutomationHarness, windowed_project
from spatial_assets_tests.fixtures.ten_village_project import ten_tiles, ten_villages

MONDAY = dt.datetime(2026, 11, 23, 4, tzinfo=dt.UTC)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[AutomationHarness]:
    """Tiles of an instance in a folder: a schedule opens it by itself."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield AutomationHarness(project=windowed_project(tmp_path), instance=instance)


def of_region(
    harness: AutomationHarness, *numbers: int, cron: str | None = "0 4 * * 1"
) -> tuple[str, ...]:
    """Make some of the tiles the region `coast`."""
    tiles = tuple(harness.tiles[number] for number in numbers)
    region = RegionSettings(tiles=tiles, cron=cron)
    harness.project = harness.project.model_copy(update={"regions": {"coast": region}})
    return tiles


def asked(defs: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """Run requests of the schedule on Monday."""
    schedule = defs.get_repository_def().get_schedule_def("tiles_coast")
    context = dg.build_schedule_context(
        instance, scheduled_execution_time=MONDAY, repository_def=defs.get_repository_def()
    )
    return list(schedule.evaluate_tick(context).run_requests or ())


def ranges(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) for request in requests]


def test_a_region_is_requested_in_one_run_a_range(harness: AutomationHarness) -> None:
    a, b, c, d = of_region(harness, 1, 2, 3, 7)

    requests = asked(harness.definitions(), harness.instance)

    assert ranges(requests) == [(a, c), (d, d)]
    assert [each.run_key for each in requests] == [
        f"tiles_coast@2026-11-23T04:00:{first}" for first in (a, d)
    ]
    assert b not in {end for both in ranges(requests) for end in both}


def test_what_is_in_quarantine_or_being_made_is_left_out(harness: AutomationHarness) -> None:
    a, b, c, d, e = of_region(harness, 1, 2, 3, 4, 7)
    harness.set_state(b, "quarantined")
    harness.begin(e)

    assert ranges(asked(harness.definitions(), harness.instance)) == [(a, a), (c, d)]


def test_a_region_with_nothing_to_do_is_skipped_with_the_reason(harness: AutomationHarness) -> None:
    (tile,) = of_region(harness, 3)
    harness.set_state(tile, "quarantined")
    defs = harness.definitions()
    context = dg.build_schedule_context(harness.instance, scheduled_execution_time=MONDAY)

    tick = defs.get_repository_def().get_schedule_def("tiles_coast").evaluate_tick(context)

    assert not tick.run_requests
    assert tick.skip_message == ("nothing to request: 1 tiles, 1 in quarantine, 0 in progress")


def test_a_long_range_is_cut(harness: AutomationHarness) -> None:
    a, b, c = of_region(harness, 1, 2, 3)
    compute = harness.project.compute.model_copy(update={"max_tiles_per_run": 2})
    harness.project = harness.project.model_copy(update={"compute": compute})

    assert ranges(asked(harness.definitions(), harness.instance)) == [(a, b), (c, c)]


def test_tiles_of_a_range_run_are_under_way_and_those_of_other_jobs_are_not(
    harness: AutomationHarness,
) -> None:
    tiles = harness.project.partitioning.keys
    defs, status = harness.definitions(), dg.DagsterRunStatus

    def begin(job: str, status: dg.DagsterRunStatus, *, ends: tuple[str, str]) -> None:
        tags = dict(zip((RANGE_START_TAG, RANGE_END_TAG), ends, strict=True))
        chosen = defs.resolve_job_def(job)
        harness.instance.create_run_for_job(chosen, tags=tags, status=status)

    begin("tiles", status.NOT_STARTED, ends=(tiles[2], tiles[4]))
    begin("tiles", status.SUCCESS, ends=(tiles[6], tiles[7]))
    begin("boundaries", status.STARTED, ends=(tiles[9], tiles[10]))

    assert tiles_in_progress(harness.instance, harness.project) == set(tiles[2:5])


@pytest.mark.parametrize(
    ("tags", "span"),
    [
        ({RANGE_START_TAG: "b", RANGE_END_TAG: "c"}, "bc"),
        ({"dagster/partition": "d"}, "d"),
        ({RANGE_START_TAG: "b", RANGE_END_TAG: "gone"}, ""),
        ({}, ""),
    ],
)
def test_the_tiles_of_a_run_are_read_off_its_tags(tags: dict[str, str], span: str) -> None:
    places = {key: place for place, key in enumerate("abcd")}

    assert "abcd"[span_of(tags, places)] == span


@pytest.mark.parametrize("cron", ["0 4 * * 1", None])
def test_every_region_has_a_job_and_one_with_a_cron_a_schedule_that_runs(
    harness: AutomationHarness, cron: str | None
) -> None:
    tiles = of_region(harness, 1, cron=cron)
    repository = harness.definitions().get_repository_def()

    assert repository.get_job("tiles_coast").get_partition_keys(None) == list(tiles)
    assert repository.has_schedule_def("tiles_coast") == (cron is not None)
    if cron is not None:
        schedule = repository.get_schedule_def("tiles_coast")
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        assert schedule.execution_timezone == "UTC"
        assert schedule.cron_schedule == cron


def test_requested_runs_can_be_executed(tmp_path: Path) -> None:
    project = ten_villages(tmp_path / "project", tmp_path / "catalog")
    first, second, *_ = tiles = ten_tiles(project)
    project = in_region(project, [first, second, tiles[3]])
    defs = build_definitions(project, engine=EngineResource(workers=0, gdal_cache_mb=64))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        request, other = asked(defs, instance)
        job = defs.resolve_job_def("tiles")
        run = job.execute_in_process(instance=instance, tags=dict(request.tags))

        assert run.success
        assert set(instance.get_materialized_partitions(dg.AssetKey("ndvi"))) == {first, second}
        assert other.tags[RANGE_START_TAG] == tiles[3]


def in_region(project: Project, tiles: list[str]) -> Project:
    region = RegionSettings(tiles=tuple(tiles), cron="0 4 * * 1")
    return project.model_copy(update={"regions": {"coast": region}})
