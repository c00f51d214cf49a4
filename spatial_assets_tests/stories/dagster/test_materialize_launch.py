"""`materialize --launch` with the real webserver and daemon: backfills, their runs and events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from playwright.sync_api import expect

from spatial_assets.cli import main
from spatial_assets.project import Project, load_project
from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    CHAIN,
    RANGE_TAGS,
    definitions,
    materialize,
    newest_materialization,
    newest_metadata,
)
from spatial_assets_tests.fixtures.ten_village_project import (
    first_tiles,
    make_unreadable,
    ten_villages_with_districts,
)
from spatial_assets_tests.fixtures.two_zone_project import write_project
from spatial_assets_tests.servers.chromium import Chromium
from spatial_assets_tests.servers.dagster import WORKSPACE_FILE, dagster_server, make_home
from spatial_assets_tests.stories.dagster.webserver_and_daemon import RunningDagster, wait_for

pytestmark = pytest.mark.servers

CHOSEN = (0, 1, 3, 5)
"""Indices among the ten tiles: three ranges of neighbours."""

BAD = 5

JOB_BACKFILL = """
mutation Backfill($tiles: [String!]!) {
  launchPartitionBackfill(
    backfillParams: {
      partitionNames: $tiles
      selector: {
        partitionSetName: "tiles_partition_set"
        repositorySelector: {
          repositoryName: "__repository__"
          repositoryLocationName: "spatial_assets.definitions"
        }
      }
    }
  ) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""


def launch(project: Project, url: str, *options: str) -> Result:
    environment = {
        "SPATIAL_ASSETS_PROJECT": str(project.root),
        "SPATIAL_ASSETS_STORAGE_URL": None,
        "SPATIAL_ASSETS_DATABASE_URL": None,
    }
    arguments = ["materialize", "--launch", url, *options]
    return CliRunner().invoke(main, arguments, env=environment)


def chosen(project: Project, numbers: Sequence[int] = CHOSEN) -> tuple[str, ...]:
    tiles = first_tiles(project, 10)
    return tuple(tiles[number] for number in numbers)


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDagster]:
    """Dagster's services over villages of which nothing is made but the boundaries."""
    folder = tmp_path_factory.mktemp("launching")
    project, home = ten_villages_with_districts(folder), make_home(folder / "dagster_home")
    file = project.root / "project.toml"
    file.write_text(file.read_text().replace("workers = 2", "workers = 2\nmax_tiles_per_run = 2"))
    project = load_project(project.root)
    make_unreadable(project, first_tiles(project, 10)[BAD])
    environment = {"SPATIAL_ASSETS_PROJECT": str(project.root)}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert materialize(definitions(project), instance, BOUNDARIES).success
        with dagster_server(
            home, WORKSPACE_FILE, environment=environment, name="launching"
        ) as server:
            yield RunningDagster(project, server, instance)


@dataclass(frozen=True)
class Launched:
    """A backfill that was waited for."""

    result: Result
    id: str


@pytest.fixture(scope="module")
def launched(dagster: RunningDagster) -> Launched:
    """Four tiles in three ranges, one of them bad, launched and waited for."""
    tiles = ",".join(chosen(dagster.project))
    stages = ",".join(CHAIN)
    result = launch(
        dagster.project, dagster.server.url, "--wait", "--select", stages, "--tiles", tiles
    )
    found = re.search(r"^backfill (\w+): 4 tiles in 3 runs, (\S+)$", result.stdout, re.MULTILINE)
    assert found, result.output
    assert found[2] == f"{dagster.server.url}/runs/b/{found[1]}"
    return Launched(result, found[1])


def test_a_range_of_neighbours_is_a_run(dagster: RunningDagster, launched: Launched) -> None:
    one, other, third, bad = chosen(dagster.project)

    runs = dagster.runs_of(launched.id)

    ranges = {tuple(run.tags.get(tag) for tag in RANGE_TAGS) for run in runs}
    assert len(runs) == 3
    assert (one, other) in ranges
    single = {run.tags.get("dagster/partition") for run in runs} - {None}
    single |= {first_key for first_key, last in ranges if first_key == last and first_key}
    assert single == {third, bad}


def test_the_events_are_there(dagster: RunningDagster, launched: Launched) -> None:
    *good, bad = chosen(dagster.project)
    assert launched.id

    for asset in CHAIN:
        states = {newest_metadata(dagster.instance, asset, tile)["state"] for tile in good}
        assert states <= {"materialized", "empty"}
        assert newest_materialization(dagster.instance, asset, bad) is None
    (untouched,) = chosen(dagster.project, [4])
    assert newest_materialization(dagster.instance, "raw_tile", untouched) is None


def test_the_page_that_was_named_shows_the_backfill(
    dagster: RunningDagster, launched: Launched, chromium: Chromium
) -> None:
    page = chromium.page(f"{dagster.server.url}/runs/b/{launched.id}")

    expect(page.get_by_text(launched.id).first).to_be_visible()
    expect(page.get_by_text("tile_index").first).to_be_visible()
    chromium.screenshot(page, "dagster-launched-backfill")


def test_a_newly_bad_tile_is_reported_with_exit_code_1(
    dagster: RunningDagster, launched: Launched
) -> None:
    bad = chosen(dagster.project)[-1]

    assert launched.result.exit_code == 1
    assert "3 tiles materialized, 1 not." in launched.result.stdout
    assert f"{bad} quarantined at raw_tile: no_usable_scene" in launched.result.stderr
    assert "1 tile newly bad; Dagster reports COMPLETED_FAILED" in launched.result.stderr
    assert "tile_index in Dagster" in launched.result.stderr  # its progress


def test_a_range_longer_than_a_run_may_be_is_cut(
    dagster: RunningDagster, launched: Launched
) -> None:
    assert launched.id
    first, middle, last = chosen(dagster.project, [6, 7, 8])

    by_us = launch(
        dagster.project,
        dagster.server.url,
        *("--select", "raw_tile", "--tiles", f"{first},{middle},{last}"),
    )
    answer = dagster.server.graphql(JOB_BACKFILL, {"tiles": [first, middle, last]})
    by_job = answer["launchPartitionBackfill"]
    assert by_job["__typename"] == "LaunchBackfillSuccess", by_job

    found = re.search(r"^backfill (\w+): 3 tiles in 2 runs, ", by_us.stdout, re.MULTILINE)
    assert found, by_us.output
    for backfill in (found[1], by_job["backfillId"]):
        runs = wait_for(lambda b=backfill: two_runs(dagster, b), f"runs of {backfill}")  # type: ignore[misc]
        ends = [tuple(run.tags[tag] for tag in RANGE_TAGS) for run in runs]
        assert sorted(ends) == [(first, middle), (last, last)]


def two_runs(dagster: RunningDagster, backfill: str) -> list[dg.DagsterRun] | None:
    """The runs of a backfill, once there are two."""
    runs = dagster.runs_of(backfill)
    return runs if len(runs) > 1 else None


def test_another_project_is_refused(
    dagster: RunningDagster, launched: Launched, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert launched.id
    folder = tmp_path_factory.mktemp("other")
    other = write_project(folder / "project", folder, grid={"level": 9, "shard": 512})
    evi = write_project(folder / "evi", folder, indices={"names": ["evi"]})
    known = len(dagster.instance.get_backfills())

    tiles, assets = (launch(each, dagster.server.url) for each in (other, evi))

    assert (tiles.exit_code, assets.exit_code) == (1, 1)
    assert "another project, or an older version" in tiles.stderr
    assert f"SPATIAL_ASSETS_PROJECT={other.root}" in tiles.stderr
    assert "has no evi: it does not serve " in assets.stderr
    assert len(dagster.instance.get_backfills()) == known
