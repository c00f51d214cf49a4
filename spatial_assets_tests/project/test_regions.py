"""[regions]: named parts of the area, by geometry or by key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from spatial_assets.errors import SettingsError
from spatial_assets.project import Project
from spatial_assets.project.times import parse_cron

Load = Callable[..., Project]
Refusal = Callable[..., str]
GRID = "[grid]\npixel_zoom = 10\nlevel = 8\nshard = 1024\n"
COAST = (15.0, 45.1, 15.4, 45.3)


def test_a_box_and_a_file_and_patterns_name_the_same_tiles(load: Load, tmp_path: Path) -> None:
    polygon = json.loads(shapely.to_geojson(shapely.box(*COAST)))
    (tmp_path / "coast.geojson").write_text(json.dumps(polygon))
    by_box = load(f"{GRID}[regions.coast]\nbbox = {list(COAST)}\n").region_tiles("coast")

    by_file = load(f"{GRID}[regions.coast]\narea = 'coast.geojson'\n").region_tiles("coast")
    by_key = load(f"{GRID}[regions.coast]\ntiles = {list(by_box)}\n").region_tiles("coast")

    assert by_box
    assert by_box == by_file == by_key


def test_tiles_of_a_region_are_those_it_touches_in_the_order_of_the_partitions(load: Load) -> None:
    project = load(f"{GRID}[regions.coast]\nbbox = {list(COAST)}\n[regions.all]\ntiles = ['*']\n")
    box = shapely.box(*COAST)

    found = project.region_tiles("coast")

    assert project.region_tiles("all") == project.partitioning.keys
    touching = [
        key
        for key, tile in project.partitioning.tiles.items()
        if tile.footprint(project.pixel_grid).intersects(box)
    ]
    assert list(found) == touching


def test_a_region_without_a_tile_is_refused_when_it_is_selected(load: Load) -> None:
    project = load(f"{GRID}[regions.moon]\ntiles = ['33*']\n")

    with pytest.raises(SettingsError) as refused:
        project.region_tiles("moon")

    assert 'regions.moon.tiles = ["33*"]: [area] has no tile there; correct it' in str(
        refused.value
    )


@pytest.mark.parametrize(
    ("region", "told"),
    [
        ("a = {}", "regions.a = {}: has neither area nor bbox nor tiles"),
        ("a = { tiles = ['1'], area = 'x' }", "has area and tiles; give exactly one of"),
        ("a = { tiles = [] }", "regions.a.tiles = []"),
        ("a = { area = 'no.geojson' }", 'regions.a.area = "no.geojson": there is no file'),
        ("a = { bbox = [1, 2, 3] }", "regions.a.bbox = [1, 2, 3]: not four numbers"),
        ("tiles = { tiles = ['1*'] }", "is the name of a job of every project"),
        ("A-b = { tiles = ['1*'] }", "regions.A-b"),
        ("a = { tiles = ['1*'], cron = '0 4 * *' }", "has 4 fields, not five"),
        ("a = { tiles = ['1*'], cron = '0 24 * * *' }", "'24' is no hour from 0 to 23"),
        ("a = { tiles = ['1*'], cron = '0 0 30 2 *' }", "no such month has such a day"),
        ("a = { tiles = ['1*'], cron = '@daily' }", "has 1 fields, not five"),
        ("a = { tiles = ['1*'], cron = '0 0 L * *' }", "'L' is no day of the month"),
    ],
)
def test_what_is_no_region_is_refused_with_a_remedy(
    refusal: Refusal, region: str, told: str
) -> None:
    assert told in refusal(f"[regions]\n{region}\n")


numbers = st.integers(0, 60).map(str)
words = st.sampled_from(["*", "mon", "jan", "SUN", "x", "L", "7", "12", "31"]) | numbers
parts = words | st.builds("{}-{}".format, words, words) | st.builds("{}/{}".format, words, numbers)
fields = parts | st.builds("{},{}".format, parts, parts)
crons = st.lists(fields, min_size=5, max_size=5).map(" ".join)


@given(crons)
def test_every_cron_that_is_accepted_is_one_to_dagster(text: str) -> None:
    try:
        accepted = parse_cron(text)
    except PydanticCustomError:
        return

    dg.ScheduleDefinition(name="clock", cron_schedule=accepted, job_name="any")


@pytest.mark.parametrize(
    "text", ["0 4 * * 1", "*/15 6-18 * * mon-fri", "0  0 1,15 jan-mar/2 *", "5/10 * 29 2 7"]
)
def test_crons_that_people_write_are_accepted(text: str) -> None:
    assert parse_cron(text) == " ".join(text.split())
