"""Changed inputs request tiles, and the automation tab gives the reason for each."""

from __future__ import annotations

import datetime as dt
from typing import Any

import dagster as dg

from spatial_assets.automation.tile_due import TileDue
from spatial_assets_tests.automation.frozen_clock import CHAIN, EVERYTHING, WARN, AutomationHarness

HOUR = dt.timedelta(hours=1)


def whole(*tiles: str) -> dict[str, set[str]]:
    """All stages of these tiles."""
    return {asset: set(tiles) for asset in CHAIN}


def test_the_automation_tab_describes_the_conditions(harness: AutomationHarness) -> None:
    harness.change(never_made="last")
    graph = harness.definitions().resolve_asset_graph()

    def said(condition: dg.AutomationCondition[dg.AssetKey]) -> list[Any]:
        below = [said(each) for each in condition.children]
        return [condition.get_label() or condition.name, *([below] if below else [])]

    def of(asset: str) -> list[Any]:
        condition = graph.get(dg.AssetKey(asset)).automation_condition
        assert condition is not None
        return said(condition)

    again = "retry, 6 h after a failed attempt"
    assert of("raw_tile") == [
        "due, and at most 2,000 in progress",
        [
            ["its inputs changed"],
            ["past its freshness window, the oldest first"],
            ["never made, after the others"],
            [again],
            ["excluded: in progress", *of("raw_tile")[1][4][1:]],
            ["excluded: in quarantine"],
        ],
    ]
    with_raw, alone = of("ndvi_by_boundary")[1]
    assert with_raw[0] == "its raw_tile is requested at this tick"
    assert alone[1][:2] == [["its inputs changed"], [again]]
    assert of("ndvi")[0] == "its raw_tile is requested at this tick"


def test_the_automation_tab_counts_the_tiles_by_reason(
    harness: AutomationHarness,
) -> None:
    stale, changed = harness.tiles[3:5], harness.tiles[8]
    between = harness.make(stale)
    harness.make(set(harness.tiles) - set(stale))
    harness.want(changed)
    harness.clock = between + WARN

    result = dg.evaluate_automation_conditions(harness.definitions(), harness.instance, EVERYTHING)

    (root,) = [each for each in result.results if each.key == dg.AssetKey("raw_tile")]
    assert counts(root) == {
        "its inputs changed": 1,
        "past its freshness window, the oldest first": 2,
        "retry, 6 h after a failed attempt": 0,
        "excluded: in progress": 0,
        "excluded: in quarantine": 0,
    }
    assert result.get_requested_partitions(root.key) == {*stale, changed}


def test_a_run_in_progress_adds_no_bytes_to_an_evaluation(harness: AutomationHarness) -> None:
    harness.make(harness.tiles)
    key = dg.AssetKey("raw_tile")

    def stored(tick: int) -> tuple[int, str, list[str | None]]:
        """Bytes that a tick stores, the hash by which it is stored, and the exclusions."""
        result = dg.evaluate_automation_conditions(
            harness.definitions(), harness.instance, EVERYTHING, cursor=harness.cursor
        )
        harness.cursor = result.cursor
        (root,) = [each for each in result.results if each.key == key]
        labels = [each.condition.get_label() for each in root.child_results[-2:]]
        assert not root.true_subset.size, tick
        return len(dg.serialize_value(root.serializable_evaluation)), root.value_hash, labels

    quiet = stored(0)
    for number, tile in enumerate(harness.tiles[:12], start=1):
        harness.begin(tile)
        if number in (2, 12):
            busy = stored(number)
            assert busy[1] == quiet[1]
            assert busy[0] - quiet[0] <= len(" (12 tiles)") + 20  # times have some digits more
            assert busy[2] == [f"excluded: in progress ({number} tiles)", "excluded: in quarantine"]


def counts(result: dg.AutomationResult[dg.AssetKey]) -> dict[str | None, int]:
    """Label -> tiles, of the reasons of TileDue."""
    if isinstance(result.condition, TileDue):
        return {each.condition.get_label(): each.true_subset.size for each in result.child_results}
    found: dict[str | None, int] = {}
    for child in result.child_results:
        found |= counts(child)
    return found


def test_a_changed_input_is_followed_at_once_and_once(harness: AutomationHarness) -> None:
    harness.make(harness.tiles)
    harness.clock = dt.datetime.now(dt.UTC)
    changed = harness.tiles[5]

    harness.want(changed, wanted="a")

    assert harness.tick() == whole(changed)
    assert harness.tick() == {}
    harness.want(changed, wanted="b")
    assert harness.tick() == whole(changed)
    harness.follow(changed, wanted="b")
    assert harness.tick() == {}


def test_a_tile_in_quarantine_is_requested_when_its_input_changes(
    harness: AutomationHarness,
) -> None:
    held = harness.tiles[5]
    harness.make(harness.tiles)
    harness.set_state(held, "quarantined")
    harness.follow(held, wanted="a")
    harness.want(held, wanted="a")
    assert harness.tick() == {}

    harness.want(held, wanted="b")

    assert harness.tick() == whole(held)


def test_a_changed_boundary_requests_statistics_alone(harness: AutomationHarness) -> None:
    harness.make(harness.tiles)
    harness.clock = dt.datetime.now(dt.UTC)
    touched = harness.tiles[5]

    harness.want(touched, stage="ndvi_by_boundary")

    assert harness.tick() == {"ndvi_by_boundary": {touched}}
    assert harness.tick() == {}


def test_the_cursor_grows_with_the_requested_tiles_and_not_with_the_area(
    harness: AutomationHarness,
) -> None:
    harness.clock = harness.make(harness.tiles) + WARN - HOUR
    assert harness.tick() == {}

    fresh = dg.serialize_value(harness.cursor)

    assert not any(tile in fresh for tile in harness.project.partitioning.keys)
