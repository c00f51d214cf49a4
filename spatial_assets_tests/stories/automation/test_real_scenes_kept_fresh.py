"""Real scenes under the real daemon, which is killed: due tiles are computed, and only once.

$SPATIAL_ASSETS_DAEMON_KILLS says how often the daemon is killed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import expect

from spatial_assets_tests.automation.frozen_clock import CHAIN, WARN
from spatial_assets_tests.fixtures.dagster_runs import BOUNDARIES
from spatial_assets_tests.servers.chromium import Chromium
from spatial_assets_tests.servers.dagster import make_home
from spatial_assets_tests.stories.automation.killable_services import running_services
from spatial_assets_tests.stories.automation.slovenia_project import (
    SOUTH,
    SloveniaDeployment,
    computed_twice,
    make,
    slovenia_project,
    wait_for,
)

pytestmark = [pytest.mark.samples, pytest.mark.servers]

KILLS = int(os.environ.get("SPATIAL_ASSETS_DAEMON_KILLS", "2"))
FURTHER_TICKS = 10
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@pytest.fixture(scope="module")
def deployment(
    samples: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SloveniaDeployment]:
    """Fifteen tiles, three of which have just grown too old, under a daemon that is killed."""
    folder = tmp_path_factory.mktemp("slovenia")
    project, home = slovenia_project(folder, samples), make_home(folder / "dagster_home")
    tiles = project.partitioning.keys
    with dg.DagsterInstance.from_config(str(home)) as instance:
        make(project, instance, BOUNDARIES)
        old = make(project, instance, CHAIN, [tiles[1:3], tiles[7:8]])
        make(project, instance, CHAIN, [tiles[:1], tiles[3:7], tiles[8:]])
        with running_services(project, home, old + WARN) as running:
            deployment = SloveniaDeployment(
                project, instance, running, stale=(tiles[1:3], tiles[7:8])
            )
            deployment.begin()
            with running.daemon_running(to_kill=KILLS):
                yield deployment


@pytest.fixture(scope="module")
def grown_old(deployment: SloveniaDeployment) -> SloveniaDeployment:
    """Three tiles were too old; they are renewed."""
    wait_for(lambda: deployment.settled(deployment.old), "the stale tiles")
    return deployment


@pytest.fixture(scope="module")
def arrived(grown_old: SloveniaDeployment, samples: Path) -> SloveniaDeployment:
    """A scene arrives."""
    grown_old.begin()
    source = samples / "scenes" / "sentinel-2-l2a" / SOUTH
    shutil.copytree(source, grown_old.catalog / SOUTH)
    wait_for(lambda: grown_old.settled(grown_old.under(SOUTH)), "the tiles under the new scene")
    return grown_old


@pytest.fixture(scope="module")
def damaged(arrived: SloveniaDeployment) -> SloveniaDeployment:
    """Its files go bad."""
    arrived.begin()
    for path in (arrived.catalog / SOUTH).glob("*.tif"):
        path.write_bytes(path.read_bytes()[:1000])
    wait_for(lambda: arrived.in_quarantine() >= arrived.only_under(SOUTH) or None, "the quarantine")
    wait_for(lambda: arrived.settled(arrived.under(SOUTH) - arrived.only_under(SOUTH)), "the rest")
    return arrived


def test_exactly_the_stale_tiles_are_renewed_in_one_run_a_range(
    grown_old: SloveniaDeployment,
) -> None:
    assert grown_old.renewed() == grown_old.old
    assert "SUCCESS" in grown_old.ticks()[:3]
    ranges = sorted(
        tuple(run.tags.get(tag, run.tags.get("dagster/partition", "")) for tag in RANGE)
        for run in grown_old.runs()
    )
    assert ranges == [(part[0], part[-1]) for part in grown_old.stale]
    found = grown_old.new_events()
    assert set(found) == {(asset, tile) for asset in CHAIN for tile in grown_old.old}
    assert {state for made in found.values() for state, _ in made} == {"unchanged"}


def test_a_new_scene_renews_exactly_the_tiles_under_its_footprint(
    arrived: SloveniaDeployment,
) -> None:
    under = arrived.under(SOUTH)

    assert 0 < len(under) < len(arrived.tiles)
    assert arrived.renewed() == under
    assert set(arrived.new_events()) == {(asset, tile) for asset in CHAIN for tile in under}


def test_bad_input_is_quarantined_and_not_requested_again(damaged: SloveniaDeployment) -> None:
    held = damaged.only_under(SOUTH)
    assert held
    assert damaged.in_quarantine() == held
    before = len(damaged.runs())
    begun = len(damaged.ticks())

    def over() -> bool | None:
        has_ticked = len(damaged.ticks()) >= begun + FURTHER_TICKS
        return True if has_ticked and damaged.services.kills == KILLS else None

    wait_for(over, "ten ticks, and the last kill")

    assert len(damaged.runs()) == before
    assert damaged.in_quarantine() == held
    assert damaged.renewed() == damaged.under(SOUTH) - held


def test_the_end_is_that_of_a_plain_run_and_nothing_was_computed_twice(
    damaged: SloveniaDeployment, tmp_path: Path
) -> None:
    assert computed_twice(damaged.events()) == []
    assert damaged.services.kills == KILLS

    plain = damaged.index_of_plain_run(tmp_path)
    assert damaged.cube(like=plain) == plain


def test_a_person_sees_why_in_the_ui(damaged: SloveniaDeployment, chromium: Chromium) -> None:
    page = chromium.page(f"{damaged.services.url}/assets/raw_tile?view=automation")
    asked = page.get_by_role("row", name=re.compile(r"\d+ requested"))
    older = page.get_by_role("button", name="Older")
    expect(page.get_by_role("row", name="requested").first).to_be_visible(timeout=30_000)
    while not asked.count() and older.is_enabled():
        older.click()
        page.wait_for_timeout(1000)
    asked.first.get_by_role("button").first.click()
    expect(page.get_by_text("its inputs changed").first).to_be_visible()
    expect(page.get_by_text("in quarantine").first).to_be_visible()
    chromium.screenshot(page, "automation-tab")
    page = chromium.page(f"{damaged.services.url}/assets/raw_tile?view=partitions")
    expect(page.get_by_text(min(damaged.in_quarantine())).first).to_be_visible()
    chromium.screenshot(page, "partitions-kept-fresh")
    page = chromium.page(f"{damaged.services.url}/automation")
    expect(page.get_by_text("new_scenes").first).to_be_visible()
    page.wait_for_timeout(3000)  # its rows fill one by one
    chromium.screenshot(page, "automation-overview")
