"""Stale tiles are requested with all their stages, and no other tiles."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest

from spatial_assets import tile_asset
from spatial_assets.automation.range_jobs import FIRST_TILE_TAG, LAST_TILE_TAG
from spatial_assets.automation.sensors import TILE_SENSOR
from spatial_assets.automation.tile_due import TileDue
from spatial_assets.definitions import build_definitions
from spatial_assets.errors import DatabaseError
from spatial_assets.project.sections.freshness import FreshnessSettings
from spatial_assets.project.sections.regions import RegionSettings
from spatial_assets_tests.automation.frozen_clock import CHAIN, EVERYTHING, WARN, AutomationHarness

HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)


def whole(*tiles: str) -> dict[str, set[str]]:
    """All stages of these tiles."""
    return {asset: set(tiles) for asset in CHAIN}


def test_three_stale_tiles_of_fifteen_are_requested_with_all_their_stages(
    harness: AutomationHarness,
) -> None:
    stale = [harness.tiles[number] for number in (2, 3, 9)]
    between = harness.make(stale)
    harness.make(set(harness.tiles) - set(stale))

    harness.clock = between + WARN

    assert harness.tick() == whole(*stale)


def test_nothing_is_requested_before_its_time(harness: AutomationHarness) -> None:
    made = harness.make(harness.tiles)

    harness.clock = made + WARN - HOUR

    assert harness.tick() == {}


def test_only_raw_tile_counts_and_a_renewed_tile_is_fresh_again(harness: AutomationHarness) -> None:
    first = harness.make(harness.tiles)
    harness.make(harness.tiles[:14], ["raw_tile"])

    harness.clock = first + WARN

    assert harness.tick() == whole(harness.tiles[14])


def test_a_tile_in_quarantine_is_left_alone_until_it_is_released(
    harness: AutomationHarness,
) -> None:
    made = harness.make(harness.tiles)
    harness.clock = made + WARN
    harness.set_state(harness.tiles[4], "quarantined", stage="ndvi")

    for _ in range(10):
        assert harness.tiles[4] not in harness.tick().get("raw_tile", set())
    harness.release(harness.tiles[4])

    assert harness.tick() == whole(harness.tiles[4])


def test_a_run_of_a_regions_job_keeps_its_tiles_from_being_requested_as_well(
    harness: AutomationHarness,
) -> None:
    tiles = harness.tiles[2:5]
    regions = {"coast": RegionSettings(tiles=tiles)}
    harness.project = harness.project.model_copy(update={"regions": regions})
    harness.clock = harness.make(harness.tiles) + WARN
    harness.instance.create_run_for_job(
        harness.definitions().resolve_job_def("tiles_coast"),
        tags={FIRST_TILE_TAG: tiles[0], LAST_TILE_TAG: tiles[-1]},
        status=dg.DagsterRunStatus.STARTED,
    )

    assert harness.tick() == whole(*set(harness.tiles) - set(tiles))


def test_nothing_is_requested_while_the_quarantine_cannot_be_read(
    harness: AutomationHarness,
) -> None:
    harness.clock = harness.make(harness.tiles) + WARN
    database = harness.project.root / "data" / "spatial.duckdb"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"no database, and long enough to be taken for one" * 100)

    with pytest.raises(Exception, match="Error while evaluating conditions for raw_tile") as caught:
        harness.tick()

    assert isinstance(caught.value.__cause__, DatabaseError)


def test_tiles_in_progress_are_not_requested_and_count_towards_the_limit(
    harness: AutomationHarness,
) -> None:
    first, second, third, *others = harness.tiles
    compute = harness.project.compute.model_copy(update={"max_tiles_per_run": 2})
    harness.project = harness.project.model_copy(update={"compute": compute})
    for tile in (first, second, third):
        made = harness.make([tile])
    harness.make(others)
    harness.clock = made + WARN
    assert harness.tick() == whole(first, second)

    for tile in (first, second):
        harness.begin(tile)
    assert harness.tick() == {}
    harness.make([first])

    assert harness.tick() == whole(third)


def test_the_oldest_come_first_and_only_so_many_at_a_time(harness: AutomationHarness) -> None:
    oldest = [harness.tiles[number] for number in (7, 1, 12)]
    for tile in oldest:
        harness.make([tile])
    made = harness.make(set(harness.tiles) - set(oldest))
    compute = harness.project.compute.model_copy(update={"max_tiles_per_run": 2})
    harness.project = harness.project.model_copy(update={"compute": compute})

    harness.clock = made + WARN

    assert harness.tick() == whole(*oldest[:2])
    harness.make(oldest[:2])
    assert oldest[2] in harness.tick()["raw_tile"]


def test_tiles_tried_in_vain_are_requested_again_after_six_hours(
    harness: AutomationHarness,
) -> None:
    hopeless, good, *others = harness.tiles
    harness.change(warn=30 * WARN, fail=60 * WARN, regions={"short": (WARN, [hopeless, good])})
    harness.make(others)
    made = harness.make([hopeless, good])
    harness.clock = made + WARN

    assert harness.tick() == whole(hopeless, good)
    harness.make([good])
    harness.observe(hopeless)
    harness.clock += dt.timedelta(milliseconds=1)
    assert harness.tick() == {}
    harness.change(warn=30 * WARN, fail=60 * WARN, regions={"short": (WARN, [hopeless])})
    harness.clock += 6 * HOUR
    assert harness.tick() == whole(hopeless)
    assert harness.tick() == {}


def test_tiles_that_their_run_did_not_come_to_are_requested_again_at_once(
    harness: AutomationHarness,
) -> None:
    tried, *others = harness.tiles
    harness.observe(tried)  # at an earlier attempt, which counts for nothing
    harness.clock = harness.make(harness.tiles) + WARN
    assert harness.tick() == whole(tried, *others)
    harness.observe(tried)  # here the run died

    harness.clock += 2 * MINUTE

    assert harness.tick() == whole(*others)
    harness.clock += 3 * MINUTE
    assert harness.tick() == {}  # not every two minutes, if the next run dies as well
    harness.clock += MINUTE
    assert harness.tick() == whole(*others)


def test_a_failed_stage_of_a_fresh_tile_is_tried_again_on_the_same_cadence(
    harness: AutomationHarness,
) -> None:
    harness.clock = harness.make(harness.tiles)
    harness.set_state(harness.tiles[6], "failed", stage="ndvi")

    assert harness.tick() == whole(harness.tiles[6])
    harness.make([harness.tiles[6]], ["raw_tile"])
    harness.clock += HOUR
    assert harness.tick() == {}
    harness.clock += 5 * HOUR
    assert harness.tick() == whole(harness.tiles[6])


@pytest.mark.parametrize("never_made", ["last", "first", "leave"])
def test_tiles_never_made_are_requested_last_or_first_or_not(
    harness: AutomationHarness, never_made: str
) -> None:
    harness.change(never_made=never_made)
    stale = harness.project.partitioning.keys[1:]
    compute = harness.project.compute.model_copy(update={"max_tiles_per_run": 1})
    harness.project = harness.project.model_copy(update={"compute": compute})
    harness.clock = harness.make(stale) + WARN

    first = harness.tick()["raw_tile"]

    never = {harness.tiles[0]}
    assert first == (never if never_made == "first" else {stale[0]})
    harness.make(stale)
    harness.clock = dt.datetime.now(dt.UTC)
    assert harness.tick().get("raw_tile", set()) == (never if never_made == "last" else set())


def test_regions_have_windows_of_their_own(harness: AutomationHarness) -> None:
    coast, desert = harness.tiles[:2], harness.tiles[2:5]
    harness.change(
        regions={"coast": (HOUR, coast), "desert": (8 * WARN / 5, desert)},
    )
    made = harness.make(harness.tiles)

    harness.clock = made + HOUR
    assert harness.tick()["raw_tile"] == set(coast)
    harness.clock = made + WARN
    assert harness.tick()["raw_tile"] == set(harness.tiles) - set(desert)
    harness.clock = made + 8 * WARN / 5
    assert harness.tick()["raw_tile"] >= set(desert)


def test_updated_boundaries_ask_for_no_tile(harness: AutomationHarness) -> None:
    harness.clock = harness.make(harness.tiles)
    harness.note("validated_boundaries")
    assert harness.tick() == {}

    harness.note("validated_boundaries", version="2")

    assert harness.tick() == {}
    assert harness.tick() == {}


def test_tiles_renewed_unchanged_ask_for_nothing_of_a_persons_asset(
    harness: AutomationHarness,
) -> None:
    def follower() -> None:
        """Made whenever ndvi changes."""

    harness.others = (tile_asset(follower, project=harness.project, deps=["ndvi"]),)
    harness.make(harness.tiles)
    harness.make(harness.tiles, ["follower"])
    harness.clock = dt.datetime.now(dt.UTC)
    for _ in range(2):
        assert harness.tick().get("follower", set()) <= set(harness.tiles)
    harness.make(harness.tiles, ["follower"])
    assert harness.tick() == {}

    harness.make(harness.tiles[:10])
    assert harness.tick() == {}
    harness.make(harness.tiles[:2], version="2")
    assert harness.tick() == {"follower": set(harness.tiles[:2])}


def test_an_asset_of_ones_own_is_read_by_its_own_policy(harness: AutomationHarness) -> None:
    partitions = dg.StaticPartitionsDefinition(["a", "b"])

    def asset_of(policy: dg.FreshnessPolicy | None) -> dg.AssetsDefinition:
        @dg.asset(
            partitions_def=partitions,
            freshness_policy=policy,
            automation_condition=TileDue(clock=lambda: harness.clock),
        )
        def mine() -> None: ...

        return mine

    policy = dg.FreshnessPolicy.time_window(fail_window=2 * HOUR, warn_window=HOUR)
    harness.note("mine", "a")
    harness.clock = harness.make(["a"], ["mine"]) + HOUR
    harness.note("mine", "b")

    result = dg.evaluate_automation_conditions([asset_of(policy)], harness.instance, EVERYTHING)

    assert result.get_requested_partitions(dg.AssetKey("mine")) == {"a"}
    with pytest.raises(Exception, match="conditions for mine") as caught:
        dg.evaluate_automation_conditions([asset_of(None)], harness.instance, EVERYTHING)
    assert "no freshness window" in str(caught.value.__cause__)


def test_the_sensor_runs_where_there_is_a_window_and_is_absent_where_not(
    harness: AutomationHarness,
) -> None:
    with_window = harness.definitions().get_repository_def()
    harness.project = harness.project.model_copy(update={"freshness": FreshnessSettings()})
    without = build_definitions(harness.project).get_repository_def()

    sensor = with_window.get_sensor_def(TILE_SENSOR)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert not without.has_sensor_def(TILE_SENSOR)
    assert harness.tick() == {}


def test_nothing_is_requested_during_a_pause(harness: AutomationHarness) -> None:
    made = harness.make(harness.tiles)
    morning = dt.datetime.combine(made.date() + 6 * WARN, dt.time(9), dt.UTC)
    harness.pause("08:00", until="18:00")

    harness.clock = morning
    assert harness.tick() == {}
    harness.clock = morning.replace(hour=18)

    assert harness.tick() == whole(*harness.tiles)
