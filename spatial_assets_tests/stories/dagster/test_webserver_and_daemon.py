"""The real webserver, daemon and browser: launched runs and the automation that follows."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import pytest
from playwright.sync_api import Page, expect

from spatial_assets.project import Project
from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    CHAIN,
    definitions,
    materialization_count,
    materialize,
    newest_materialization,
    newest_metadata,
    newest_observation,
    versions,
)
from spatial_assets_tests.fixtures.ten_village_project import (
    first_tiles,
    make_unreadable,
    rewrite_scene,
    ten_villages_with_districts,
    widen_scene,
)
from spatial_assets_tests.servers.chromium import Chromium
from spatial_assets_tests.servers.dagster import dagster_server, make_home
from spatial_assets_tests.stories.dagster.asset_materialize_command import DagsterProject
from spatial_assets_tests.stories.dagster.webserver_and_daemon import (
    USER_DEFINITIONS,
    RunningDagster,
    wait_for,
)

pytestmark = pytest.mark.servers

MADE, BY_HAND, MIXED, SEVERAL = slice(0, 3), slice(3, 4), slice(4, 7), slice(7, 10)
"""Slices of the ten tiles: made at first; for the dialog; with a bad one; for a backfill."""

BAD = 5


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDagster]:
    """Dagster's services; three tiles are made, inputs are there for four."""
    folder = tmp_path_factory.mktemp("day")
    project, home = ten_villages_with_districts(folder), make_home(folder / "dagster_home")
    tiles, defs = first_tiles(project, 10), definitions(project, greenest_of(project))
    widen_scene(project, tiles[BY_HAND][0])
    make_unreadable(project, tiles[BAD])
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert materialize(defs, instance, BOUNDARIES).success
        assert materialize(defs, instance, CHAIN, tiles=tiles[MADE]).success
        for tile in tiles[MADE]:
            assert materialize(defs, instance, ["greenest"], tiles=[tile]).success
        for part in (BY_HAND, SEVERAL):
            assert materialize(defs, instance, CHAIN[:2], tiles=tiles[part]).success
        assert materialize(defs, instance, ["ndvi"], tiles=tiles[-1:]).success
        workspace = folder / "workspace.yaml"
        workspace.write_text(f"load_from: [{{python_file: {USER_DEFINITIONS}}}]")
        environment = {"SPATIAL_ASSETS_PROJECT": str(project.root)}
        with dagster_server(home, workspace, environment=environment, name="day") as server:
            yield RunningDagster(project, server, instance)


def greenest_of(project: Project) -> dg.AssetsDefinition:
    """Somebody's asset, as their code location has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPATIAL_ASSETS_PROJECT", str(project.root))
        made = runpy.run_path(str(USER_DEFINITIONS))["greenest"]
    assert isinstance(made, dg.AssetsDefinition)
    return made


@dataclass(frozen=True)
class Launched:
    """Runs and backfills launched from the UI; the daemon works on them while other tests run."""

    by_dialog: str
    mixed: str


@pytest.fixture(scope="module")
def launched(dagster: RunningDagster, chromium: Chromium) -> Launched:
    """Two backfills: one from the dialog of `ndvi`, one of everything with a bad tile in it."""
    tiles = first_tiles(dagster.project, 10)
    mixed = dagster.backfill([*CHAIN, "greenest"], tiles[MIXED])
    page = chromium.page(f"{dagster.server.url}/assets/ndvi?view=partitions")
    choose(page, tiles[SEVERAL])
    chromium.screenshot(page, "dagster-backfill-dialog")
    page.get_by_role("button", name="Launch backfill").click()
    known = {mixed}
    (by_dialog,) = wait_for(
        lambda: {each.backfill_id for each in dagster.instance.get_backfills()} - known or None,
        "the backfill of the dialog",
    )
    page.close()
    return Launched(by_dialog, mixed)


def choose(page: Page, tiles: tuple[str, ...]) -> None:
    """Open the dialog of an asset and choose partitions in it."""
    page.get_by_role("button", name="Materialize…").click()
    page.get_by_text("Select a partition or create one").click()
    for tile in tiles:
        page.get_by_role("menuitem", name=tile).click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menuitem")).to_have_count(0)


def test_a_tile_is_materialized_from_the_dialog_and_shows_its_picture(
    dagster: RunningDagster, launched: Launched, chromium: Chromium
) -> None:
    (tile,) = first_tiles(dagster.project, 10)[BY_HAND]
    page = chromium.page(f"{dagster.server.url}/assets/ndvi?view=partitions")

    choose(page, (tile,))
    chromium.screenshot(page, "dagster-materialize-dialog")
    page.get_by_role("button", name="Launch 1 run").click()

    wait_for(lambda: newest_materialization(dagster.instance, "ndvi", tile), f"ndvi of {tile}")
    page.goto(f"{dagster.server.url}/assets/ndvi?view=partitions&partition={tile}")
    page.get_by_text("[Show Markdown]").click()
    picture = page.get_by_alt_text(f"ndvi {tile}")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 112
    chromium.screenshot(page, "dagster-preview")
    assert launched


def test_a_persons_asset_follows_a_changed_tile_and_no_renewed_one(
    dagster: RunningDagster, launched: Launched
) -> None:
    tiles = first_tiles(dagster.project, 10)[MADE]
    assert launched  # the daemon has the backfills to do as well
    rewrite_scene(dagster.project, tiles[1], seed=8)

    assert DagsterProject(dagster.project, dagster.server.home).materialize(CHAIN, *tiles).code == 0

    wait_for(
        lambda: materialization_count(dagster.instance, "greenest", tiles[1]) == 2 or None,
        "the one that follows",
    )
    assert [materialization_count(dagster.instance, "ndvi", tile) for tile in tiles] == [2, 2, 2]
    assert [materialization_count(dagster.instance, "greenest", tile) for tile in tiles] == [
        1,
        2,
        1,
    ]


def test_a_backfill_from_the_dialog_is_one_run_of_the_tiles(
    dagster: RunningDagster, launched: Launched, chromium: Chromium
) -> None:
    tiles = first_tiles(dagster.project, 10)[SEVERAL]

    assert dagster.completed(launched.by_dialog) == "COMPLETED_SUCCESS"
    (run,) = dagster.runs_of(launched.by_dialog)
    assert run.tags["dagster/asset_partition_range_start"] == tiles[0]
    assert run.tags["dagster/asset_partition_range_end"] == tiles[-1]
    states = [newest_metadata(dagster.instance, "ndvi", tile)["state"] for tile in tiles]
    assert states == ["materialized", "materialized", "unchanged"]
    page = chromium.page(f"{dagster.server.url}/assets/ndvi?view=partitions&partition={tiles[0]}")
    expect(page.get_by_text("valid_fraction")).to_be_visible()
    chromium.screenshot(page, "dagster-partitions")


def test_a_bad_tile_costs_neither_its_neighbours_nor_what_follows_them(
    dagster: RunningDagster, launched: Launched
) -> None:
    good, bad, other = first_tiles(dagster.project, 10)[MIXED]

    assert dagster.completed(launched.mixed) == "COMPLETED_FAILED"
    for asset in (*CHAIN, "greenest"):
        assert set(versions(dagster.instance, asset, (good, bad, other))) == {good, other}
    assert newest_observation(dagster.instance, "raw_tile", bad)["reason"] == "no_usable_scene"
    assert newest_metadata(dagster.instance, "greenest", good)["bytes"] > 0
    chain, *following = dagster.runs_of(launched.mixed)
    assert chain.status == dg.DagsterRunStatus.FAILURE
    assert {run.tags["dagster/partition"] for run in following} == {good, other}


def test_the_ui_knows_the_checks_of_each_tile_and_calls_nothing_stale(
    dagster: RunningDagster, launched: Launched
) -> None:
    good, bad, other = first_tiles(dagster.project, 10)[MIXED]
    dagster.completed(launched.mixed)

    for asset, check in (("raw_tile", "source_intact"), ("ndvi", "index_range")):
        checks = dagster.status(asset, good)["assetChecksOrError"]["checks"]
        (statuses,) = [each["partitionStatuses"] for each in checks if each["name"] == check]
        assert {good, other} <= set(statuses["succeededPartitions"])
        assert bad not in statuses["succeededPartitions"]
    assert {dagster.status(asset, good)["staleStatus"] for asset in (*CHAIN, "greenest")} == {
        "FRESH"
    }
    assert dagster.status("ndvi", bad)["staleStatus"] == "MISSING"


def test_a_run_made_again_from_failure_makes_what_is_missing(
    dagster: RunningDagster, launched: Launched
) -> None:
    good, bad, _ = first_tiles(dagster.project, 10)[MIXED]
    dagster.completed(launched.mixed)
    before = versions(dagster.instance, "ndvi", [good])
    rewrite_scene(dagster.project, bad)

    run = dagster.ended(dagster.reexecute(dagster.runs_of(launched.mixed)[0].run_id))

    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert newest_metadata(dagster.instance, "ndvi", bad)["state"] == "materialized"
    assert newest_metadata(dagster.instance, "ndvi", good)["state"] == "unchanged"
    assert versions(dagster.instance, "ndvi", [good]) == before
