"""Tiles are due by the time of their last check; `status` lists them and the throughput of runs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from click.testing import Result

from spatial_assets.cli.selection.stale_tiles import freshness_by_max_age, is_stale
from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary, summarize_tile
from spatial_assets.project import Project, load_project
from spatial_assets.stores.rows import Row, Upsert
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.tile_overviews import PixelsOverview
from spatial_assets_tests.fixtures import two_zone_project

Run = Callable[..., Result]

NOON = dt.datetime(2023, 9, 15, 12, tzinfo=dt.UTC)
HERE = ("--workers", "0")
DAY = dt.timedelta(days=1)
EAST_SIDE = "[regions.east]\nbbox = [12.2, 46.0, 12.25, 46.25]\n"


def age(project: Project, ages: Mapping[str, dt.timedelta]) -> None:
    """Set the last check of tiles to some time ago."""
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        rows = database.rows("tile_inputs")
        for row in rows:
            row["looked_at"] = dt.datetime.now(dt.UTC) - ages[str(row["tile"])]
        database.commit([Upsert("tile_inputs", rows)])


def document(run: Run, project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("--project", project.root, "status", "--json").stdout)
    return found


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.fixture
def made(run: Run, four_tile_project: Path) -> Project:
    """Four tiles, checked 6, 4, 3 and 1 days ago; their window is 5 days."""
    run("--project", four_tile_project, "materialize", *HERE)
    project = load_project(four_tile_project, {})
    days = (6, 4, 3, 1)
    age(project, {key: n * DAY for key, n in zip(project.partitioning.keys, days, strict=True)})
    return project


def test_stale_tiles_follow_the_time_of_the_last_check(run: Run, made: Project) -> None:
    result = run("--project", made.root, "plan", "--stale", "--json")

    assert json.loads(result.stdout)["keys"] == [made.partitioning.keys[0]]


def test_a_tile_found_unchanged_is_fresh_again(run: Run, made: Project) -> None:
    stale = run("--project", made.root, "materialize", "--stale", *HERE)
    again = run("--project", made.root, "materialize", "--stale", *HERE)

    assert "1 tile in" in stale.stdout
    assert "1 unchanged" in stale.stdout
    assert "nothing to do" in again.stdout


def test_every_tile_has_its_due_time(run: Run, made: Project) -> None:
    file = made.root / "tiles.geojson"
    tiles = document(run, made)["tiles"]
    run("--project", made.root, "status", "--geojson", file)

    for tile in tiles:
        assert moment(tile["due_at"]) - moment(tile["refreshed_at"]) == 5 * DAY
    oldest = dt.datetime.now(dt.UTC) - moment(tiles[0]["refreshed_at"])
    assert oldest == pytest.approx(6 * DAY, abs=dt.timedelta(minutes=5))
    frame = gpd.read_file(file).set_index("tile")
    told = {tile["tile"]: moment(tile["due_at"]) for tile in tiles}
    assert {str(key): value.to_pydatetime() for key, value in frame["due_at"].items()} == told


def test_status_prints_what_is_due_now_and_next(run: Run, made: Project) -> None:
    (window,) = document(run, made)["freshness"]
    text = run("--project", made.root, "status").stdout

    next_due = made.partitioning.keys[1]
    assert (window["due_after_seconds"], window["tiles"], window["due"]) == (432_000, 4, 1)
    assert window["next_due"] == next_due
    left = moment(window["next_due_at"]) - dt.datetime.now(dt.UTC)
    assert left == pytest.approx(DAY, abs=dt.timedelta(minutes=5))
    (row,) = (line for line in text.splitlines() if line.startswith("│ 5 days"))
    cells = [cell.strip() for cell in row.split("│")]
    assert cells[1:4] == ["5 days", "4", "1"]
    assert cells[4].startswith("in 24.0 h, ")
    assert cells[5] == next_due


def test_a_region_has_a_row_of_its_own(run: Run, made: Project) -> None:
    file = made.root / "project.toml"
    window = 'regions = { east = { warn = "2 days" } }\n'
    file.write_text(f"{file.read_text()}{window}{EAST_SIDE}")
    project = load_project(made.root, {})
    east = set(project.region_tiles("east"))

    two_days, five_days = document(run, project)["freshness"]

    ages = dict(zip(made.partitioning.keys, (6, 4, 3, 1), strict=True))
    assert 0 < len(east) < 4
    assert (two_days["due_after_seconds"], five_days["due_after_seconds"]) == (172_800, 432_000)
    assert two_days["tiles"] == len(east)
    assert two_days["due"] == sum(ages[tile] > 2 for tile in east)
    assert five_days["due"] == sum(ages[tile] > 5 for tile in ages.keys() - east)


def test_without_a_window_nothing_is_due(run: Run, made: Project) -> None:
    file = made.root / "project.toml"
    file.write_text(file.read_text().partition("[freshness]")[0])

    found = document(run, made)

    assert found["freshness"] == []
    assert {tile["due_at"] for tile in found["tiles"]} == {None}
    assert "Freshness" not in run("--project", made.root, "status").stdout


def test_bad_tiles_are_not_due_by_age(run: Run, four_tile_project: Path) -> None:
    (four_tile_project / "scenes" / two_zone_project.WEST.id / "B08.tif").write_bytes(
        b"<html>503</html>"
    )
    run("--project", four_tile_project, "materialize", *HERE)
    project = load_project(four_tile_project, {})
    age(project, dict.fromkeys(project.partitioning.keys, 6 * DAY))

    found = document(run, project)

    (window,) = found["freshness"]
    assert (window["tiles"], window["due"], window["next_due_at"]) == (2, 2, None)
    bad = [tile for tile in found["tiles"] if tile["state"] == "quarantined"]
    assert {tile["due_at"] for tile in bad} == {None}
    assert len(bad) == 2


@pytest.mark.parametrize(
    ("bad", "is_due"),
    [
        pytest.param({"ndvi"}, True, id="one-index"),
        pytest.param({"ndvi", "savi", "tile_index"}, False, id="all-indices"),
        pytest.param({"raw_tile"}, False, id="their-input"),
    ],
)
def test_a_tile_with_one_bad_index_is_due_as_any_other(
    four_tile_project: Path, bad: set[str], *, is_due: bool
) -> None:
    project = load_project(four_tile_project, {})
    stages = ("raw_tile", "reprojected_raster", "ndvi", "savi", "tile_index")
    rows: list[Row] = [
        {
            "stage": stage,
            "state": "quarantined" if stage in bad else "materialized",
            "reason": "index_out_of_range" if stage in bad else None,
            "evidence": {},
            "since": NOON - 9 * DAY,
        }
        for stage in stages
    ]

    found = summarize_tile(project.tile_keys[0], rows, stages=stages, checked_at=NOON - 6 * DAY)

    assert found.status is TileStatus.QUARANTINED
    assert is_stale(found, project, now=NOON) == is_due


def test_throughput_is_that_of_the_last_runs(run: Run, four_tile_project: Path) -> None:
    project = load_project(four_tile_project, {})
    assert document(run, project)["throughput"] is None
    assert "no run has computed a tile yet" in run("--project", four_tile_project, "status").stdout

    run("--project", four_tile_project, "materialize", *HERE)
    run(
        "--project", four_tile_project, "materialize", *HERE
    )  # computes nothing, and counts for nothing

    found = document(run, project)["throughput"]
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        rows: list[dict[str, Any]] = database.rows("run_log")
    (row,) = (each for each in rows if each["computed"])
    hours = (row["ended_at"] - row["started_at"]) / dt.timedelta(hours=1)
    assert found == {"tiles_per_hour": pytest.approx(4 / hours, abs=0.06), "runs": 1}
    text = run("--project", four_tile_project, "status").stdout
    assert f"Throughput of the last 1 run: {4 / hours:,.0f} tiles per hour." in text


def standing(tile: str, looked_at: dt.datetime | None) -> TileSummary:
    return TileSummary(tile=tile, status=TileStatus.MATERIALIZED, refreshed_at=looked_at)


def test_the_next_due_is_the_oldest_that_is_not_due(four_tile_project: Path) -> None:
    project = load_project(four_tile_project, {})
    keys = project.partitioning.keys
    looked = [NOON - 6 * DAY, NOON - 5 * DAY, NOON - DAY, None]
    tiles = [standing(key, at) for key, at in zip(keys, looked, strict=True)]

    (window,) = freshness_by_max_age(tiles, project, now=NOON)

    assert (window.tiles, window.due) == (3, 1)
    assert (window.next_due, window.next_due_at) == (keys[1], NOON)
    assert [is_stale(tile, project, now=NOON) for tile in tiles] == [True, False, False, False]


def test_pixels_without_a_recorded_check_use_their_own_time() -> None:
    states = [{"stage": "ndvi", "state": "materialized", "since": NOON, "reason": None}]
    pixels = PixelsOverview(round(NOON.timestamp() * 1e6), 1.0)

    old = summarize_tile("t", states, stages=("ndvi",), pixels=pixels)
    new = summarize_tile("t", states, stages=("ndvi",), pixels=pixels, checked_at=NOON + DAY)

    assert (old.refreshed_at, new.refreshed_at) == (NOON, NOON + DAY)
