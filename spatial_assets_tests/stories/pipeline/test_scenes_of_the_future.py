"""A scene dated in the future is rejected by itself, and never lengthens the time axis."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.pipeline.outcome import State
from spatial_assets.stores.cube.cube import stored_cube
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    read_cube,
    rows,
    run_tiles,
    states,
    store_of,
)
from spatial_assets_tests.fixtures.two_zone_project import LATER, TWO_TILES, write_project


def date_item(catalog: Path, moment: str) -> None:
    """Change the time of one item of the catalogue."""
    path = catalog / LATER.id / f"{LATER.id}.json"
    item = json.loads(path.read_text())
    item["properties"]["datetime"] = moment
    path.write_text(json.dumps(item))


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("9999-12-31T23:59:59Z", "bad_datetime"),
        ("9999-01-01T10:00:00Z", "in_the_future"),
        ("2203-08-18T10:00:00Z", "in_the_future"),
        ("2023-09-16T12:00:01Z", "in_the_future"),
    ],
)
def test_a_scene_of_the_future_is_rejected_and_the_others_are_used(
    catalog: Path, tmp_path: Path, moment: str, reason: str
) -> None:
    date_item(catalog, moment)
    scenes = {"datetime": "2023-08-01/.."}
    project = write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES}, scenes=scenes)

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.MATERIALIZED}
    cube = stored_cube(store_of(project), "ndvi")
    assert cube is not None
    assert cube.periods.last_day(cube.periods.count - 1) <= dt.date(2023, 12, 31)
    quarantined = {row["subject"]: row["reason"] for row in rows(project, "quarantine")}
    assert quarantined == {LATER.id: reason}


def test_a_scene_within_a_day_of_the_clock_is_used(catalog: Path, tmp_path: Path) -> None:
    date_item(catalog, (NOON + dt.timedelta(hours=23)).isoformat())
    scenes = {"datetime": "2023-08-01/.."}
    project = write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES}, scenes=scenes)

    assert states(run_tiles(project)) == {State.MATERIALIZED}
    assert rows(project, "quarantine") == []


def test_a_clock_that_went_back_loses_no_result(catalog: Path, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES})
    run_tiles(project)
    before, _ = read_cube(project)

    run_tiles(project, now=dt.datetime(2023, 1, 1, tzinfo=dt.UTC))

    assert np.array_equal(read_cube(project)[0], before)
    assert {row["reason"] for row in rows(project, "quarantine")} == {"in_the_future"}
