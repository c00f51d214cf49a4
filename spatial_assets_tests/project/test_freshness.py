"""Freshness windows of assets and regions, and the treatment of tiles never made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from spatial_assets.errors import SettingsError
from spatial_assets.project import Project
from spatial_assets.project.sections.freshness import FreshnessSettings

Load = Callable[..., Project]
Refusal = Callable[..., str]
GRID = "[grid]\npixel_zoom = 10\nlevel = 8\nshard = 1024\n"
WINDOW = "[freshness.raw_tile]\nwarn = '5 days'\nfail = '10 days'\n"
DAY = dt.timedelta(days=1)


def regions(count: int) -> str:
    return "".join(
        f"[regions.r{number}]\ntiles = ['12*{number % 4}']\n"
        f"[freshness.regions.r{number}]\nwarn = '{number + 1} hours'\n"
        for number in range(count)
    )


@pytest.mark.parametrize("never_made", ["last", "first", "leave"])
def test_tiles_never_made_are_ordered_by_the_setting(load: Load, never_made: str) -> None:
    window = load(f"{WINDOW}never_made = '{never_made}'\n").freshness.windows["raw_tile"]

    assert window.never_made == never_made
    assert load(WINDOW).freshness.windows["raw_tile"].never_made == "last"


def test_another_word_for_tiles_never_made_is_refused(refusal: Refusal) -> None:
    assert "freshness.raw_tile.never_made" in refusal(f"{WINDOW}never_made = 'now'\n")


def test_eight_different_windows_are_the_most(load: Load, refusal: Refusal) -> None:
    assert len(load(WINDOW + regions(7)).freshness.regions) == 7
    message = refusal(WINDOW + regions(8))

    assert "has 9 different windows, and at most 8 are allowed" in message
    assert "give several regions the same warn" in message


def test_the_first_region_in_the_order_of_the_windows_that_holds_a_tile_wins(load: Load) -> None:
    project = load(
        f"{GRID}{WINDOW}[freshness.regions]\nsouth = {{ warn = '1 day' }}\n"
        "all = { warn = '30 days', fail = '31 days' }\n"
        "[regions]\nall = { tiles = ['*'] }\n"
        "south = { bbox = [15.0, 45.1, 16.4, 45.3] }\nunused = { tiles = ['*'] }\n"
    )
    south = set(project.region_tiles("south"))

    assert 0 < len(south) < len(project.partitioning.keys)
    for tile in project.partitioning.keys:
        assert project.tile_window(tile) == (DAY if tile in south else 30 * DAY)
        assert project.tile_ages[tile].fail == (2 * DAY if tile in south else 31 * DAY)
    assert tuple(project.tile_windows()) == project.partitioning.keys


def test_other_tiles_have_the_window_of_raw_tile(load: Load) -> None:
    project = load(GRID + WINDOW + regions(1))

    windows = project.tile_windows()

    assert {windows[tile] for tile in project.region_tiles("r0")} == {dt.timedelta(hours=1)}
    assert set(windows.values()) == {dt.timedelta(hours=1), 5 * DAY}


def test_a_copy_with_other_windows_forgets_those_of_the_original(load: Load) -> None:
    project = load(GRID + WINDOW)
    assert set(project.tile_windows().values()) == {5 * DAY}

    copy = project.model_copy(update={"freshness": FreshnessSettings()})

    assert not copy.tile_windows()
    assert copy == copy.model_copy()


def test_without_a_window_no_tile_is_ever_due(load: Load) -> None:
    project = load(GRID)

    assert not project.tile_windows()
    with pytest.raises(SettingsError, match=r"freshness\.raw_tile: is missing, so no tile is ever"):
        project.tile_window(project.partitioning.keys[0])


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("[freshness.regions]\na = { warn = '1 day' }\n", "freshness.regions"),
        (
            WINDOW
            + "[freshness.regions]\ncaost = { warn = '1 day' }\n[regions.coast]\ntiles=['1*']",
            "freshness.regions.caost: is not a region of [regions]; did you mean 'coast'?",
        ),
        (
            WINDOW + "[freshness.regions]\na = { warn = '1 day' }\n",
            "freshness.regions.a: is not a region of [regions]; add [regions.a]",
        ),
        (
            WINDOW + "[freshness.regions]\na = { warn = '2 days', fail = '1 day' }\n",
            "freshness.regions.a.fail",
        ),
        (
            "[freshness]\nregions = { warn = '1 day', fail = '2 days' }\n",
            "must be windows of raw_tile by region; write coast = {",
        ),
        ("[freshness]\nraw_tile = 5\n", "freshness.raw_tile = 5: must be a table, not a whole"),
        ("[freshness.backlog]\nmost = '1'\n", 'write a share of the tiles such as "1 %"'),
        ("[freshness.backlog]\nmost = '101 %'\n", "neither a share nor a number of tiles"),
        ("[freshness.backlog]\nmost = -1\n", "freshness.backlog.most = -1"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(refusal: Refusal, added: str, told: str) -> None:
    assert told in refusal(added)


@pytest.mark.parametrize(
    ("most", "tiles", "allowed"),
    [("'1 %'", 24, 0), ("'1 %'", 250, 2), ("'12.5%'", 8, 1), ("7", 3, 7), ("0", 1000, 0)],
)
def test_a_backlog_is_a_share_or_a_number(load: Load, most: str, tiles: int, allowed: int) -> None:
    backlog = load(f"[freshness.backlog]\nmost = {most}\n").freshness.backlog

    assert backlog.allowed(tiles) == allowed
