"""The sensors that detect changes, evaluated as the daemon does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import geopandas as gpd
import pytest
import shapely

from spatial_assets.definitions import build_definitions
from spatial_assets.project import Project
from spatial_assets_tests.automation.frozen_clock import EVERYTHING
from spatial_assets_tests.fixtures.dagster_runs import BOUNDARIES, CHAIN, definitions, materialize
from spatial_assets_tests.fixtures.ten_village_project import (
    MIDDLE,
    first_tiles,
    ten_villages_with_districts,
    village_scene,
)
from spatial_assets_tests.fixtures.two_zone_project import AREA, write_granule

WATCHING: dict[str, Any] = {"freshness": {"watch": "1 minute"}}


@dataclass
class Day:
    """A project, its instance, and the last results of its sensors."""

    project: Project
    instance: dg.DagsterInstance
    cursors: dict[str, str | None] = field(default_factory=dict)
    automation: Any = None

    def look(self, sensor: str) -> list[dg.RunRequest]:
        """Evaluate a sensor once and return its run requests."""
        repository = definitions(self.project).get_repository_def()
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor),
            repository_def=repository,
        )
        found = repository.get_sensor_def(sensor).evaluate_tick(context)
        self.cursors[sensor] = found.cursor
        return list(found.run_requests or [])

    def asked_for(self) -> dict[str, set[str | None]]:
        """Tiles that the automation requests after that."""
        result = dg.evaluate_automation_conditions(
            definitions(self.project), self.instance, EVERYTHING, cursor=self.automation
        )
        self.automation = result.cursor
        keys = [each.key for each in result.results if isinstance(each.key, dg.AssetKey)]
        asked = {key.to_user_string(): set(result.get_requested_partitions(key)) for key in keys}
        return {asset: tiles for asset, tiles in asked.items() if tiles}


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    """Six materialized villages with their districts, after a first poll."""
    project = ten_villages_with_districts(tmp_path, **WATCHING)
    with dg.DagsterInstance.ephemeral() as instance:
        defs, day = definitions(project), Day(project, instance)
        assert materialize(defs, instance, BOUNDARIES).success
        assert materialize(defs, instance, CHAIN, tiles=first_tiles(project, 6)).success
        assert day.look("new_scenes") == day.look("changed_boundaries") == []
        assert day.asked_for() == {}
        yield day


def test_sensors_run_where_the_project_watches_and_are_absent_where_not(tmp_path: Path) -> None:
    watched, other = tmp_path / "watched", tmp_path / "other"
    watched.mkdir()
    other.mkdir()
    with_watch = build_definitions(
        ten_villages_with_districts(watched, **WATCHING)
    ).get_repository_def()
    without = build_definitions(ten_villages_with_districts(other)).get_repository_def()

    assert {each.name: each.default_status for each in with_watch.sensor_defs} == dict.fromkeys(
        ("new_scenes", "changed_boundaries", "tile_automation", "backlog_hourly"),
        dg.DefaultSensorStatus.RUNNING,
    )
    assert {each.minimum_interval_seconds for each in with_watch.sensor_defs} == {30, 60, 3600}
    assert list(without.sensor_defs) == []


def test_a_new_scene_requests_all_stages_of_the_tiles_it_touches_and_once(day: Day) -> None:
    tile = first_tiles(day.project, 2)[1]
    write_granule(Path(day.project.catalog_url), village_scene(day.project, tile, id="new"))

    assert day.look("new_scenes") == []

    assert day.asked_for() == {asset: {tile} for asset in CHAIN}
    assert materialize(definitions(day.project), day.instance, CHAIN, tiles=[tile]).success
    assert day.look("new_scenes") == []
    assert day.asked_for() == {}


def test_a_changed_source_is_computed_again_and_requests_the_statistics_it_affects(
    day: Day,
) -> None:
    west, south, east, north = AREA
    source = Path(day.project.boundaries[0].source)
    frame = gpd.read_file(source)
    frame.geometry = [
        shapely.box(west, south, MIDDLE, north),
        shapely.box(MIDDLE, south, east, north).difference(shapely.Point(12.1, 46.0).buffer(0.01)),
    ]
    frame.to_file(source, driver="GPKG")
    *_, across, in_the_east = first_tiles(day.project, 6)

    (request,) = day.look("changed_boundaries")

    assert set(request.asset_selection or ()) == {dg.AssetKey(name) for name in BOUNDARIES}
    assert request.job_name in {None, "boundaries"}
    assert day.asked_for() == {}
    defs = definitions(day.project)
    assert materialize(defs, day.instance, BOUNDARIES).success
    assert day.look("changed_boundaries") == []
    assert day.asked_for() == {"ndvi_by_boundary": {across, in_the_east}}
    touched = [across, in_the_east]
    assert materialize(defs, day.instance, ["ndvi_by_boundary"], tiles=touched).success
    assert day.look("changed_boundaries") == []
    assert day.asked_for() == {}


def test_a_source_is_made_again_at_most_once_an_hour(day: Day) -> None:
    Path(day.project.boundaries[0].source).touch()

    (one,), (again,) = day.look("changed_boundaries"), day.look("changed_boundaries")

    assert one.run_key == again.run_key
    assert one.run_key is not None
    assert f"{dt.datetime.now(dt.UTC):%Y-%m-%dT}" in one.run_key


def test_a_project_without_tiles_is_watched_in_peace(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        day = Day(ten_villages_with_districts(tmp_path, **WATCHING), instance)

        assert day.look("new_scenes") == []
        (request,) = day.look("changed_boundaries")

        assert request.run_key is not None
        assert day.asked_for() == {}
