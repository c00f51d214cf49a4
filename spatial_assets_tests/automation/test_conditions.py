"""The tiles past their window are asked for, with all their stages, and no other."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest

from spatial_assets import tile_asset
from spatial_assets.automation import SENSOR, TileDue
from spatial_assets.definitions import build_definitions
from spatial_assets.errors import DatabaseError
from spatial_assets.project.sections.freshness import FreshnessSettings
from spatial_assets_tests.automation.frozen_clock import CHAIN, EVERYTHING, WARN, Ageing

HOUR = dt.timedelta(hours=1)


def whole(*tiles: str) -> dict[str, set[str]]:
    """All stages of these tiles."""
    return {asset: set(tiles) for asset in CHAIN}


def test_three_stale_tiles_of_fifteen_are_asked_for_with_all_their_stages(
    ageing: Ageing,
) -> None:
    stale = [ageing.tiles[number] for number in (2, 3, 9)]
    between = ageing.make(stale)
    ageing.make(set(ageing.tiles) - set(stale))

    ageing.clock = between + WARN

    assert ageing.tick() == whole(*stale)


def test_nothing_is_asked_for_before_its_time(ageing: Ageing) -> None:
    made = ageing.make(ageing.tiles)

    ageing.clock = made + WARN - HOUR

    assert ageing.tick() == {}


def test_only_raw_tile_counts_and_a_renewed_tile_is_fresh_again(ageing: Ageing) -> None:
    first = ageing.make(ageing.tiles)
    ageing.make(ageing.tiles[:14], ["raw_tile"])

    ageing.clock = first + WARN

    assert ageing.tick() == whole(ageing.tiles[14])


def test_a_tile_in_quarantine_is_left_alone_until_it_is_released(
    ageing: Ageing,
) -> None:
    made = ageing.make(ageing.tiles)
    ageing.clock = made + WARN
    ageing.set_state(ageing.tiles[4], "quarantined", stage="ndvi")

    for _ in range(10):
        assert ageing.tiles[4] not in ageing.tick().get("raw_tile", set())
    ageing.release(ageing.tiles[4])

    assert ageing.tick() == whole(ageing.tiles[4])


def test_nothing_is_asked_for_while_it_is_unknown_what_is_in_quarantine(
    ageing: Ageing,
) -> None:
    ageing.clock = ageing.make(ageing.tiles) + WARN
    database = ageing.project.root / "data" / "spatial.duckdb"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"no database, and long enough to be taken for one" * 100)

    with pytest.raises(Exception, match="Error while evaluating conditions for raw_tile") as caught:
        ageing.tick()

    assert isinstance(caught.value.__cause__, DatabaseError)


def test_what_is_being_made_is_not_asked_for_and_takes_its_place_within_the_limit(
    ageing: Ageing,
) -> None:
    first, second, third, *others = ageing.tiles
    compute = ageing.project.compute.model_copy(update={"max_tiles_per_run": 2})
    ageing.project = ageing.project.model_copy(update={"compute": compute})
    for tile in (first, second, third):
        made = ageing.make([tile])
    ageing.make(others)
    ageing.clock = made + WARN
    assert ageing.tick() == whole(first, second)

    for tile in (first, second):
        ageing.begin(tile)
    assert ageing.tick() == {}
    ageing.make([first])

    assert ageing.tick() == whole(third)


def test_the_oldest_come_first_and_only_so_many_at_a_time(ageing: Ageing) -> None:
    oldest = [ageing.tiles[number] for number in (7, 1, 12)]
    for tile in oldest:
        ageing.make([tile])
    made = ageing.make(set(ageing.tiles) - set(oldest))
    compute = ageing.project.compute.model_copy(update={"max_tiles_per_run": 2})
    ageing.project = ageing.project.model_copy(update={"compute": compute})

    ageing.clock = made + WARN

    assert ageing.tick() == whole(*oldest[:2])
    ageing.make(oldest[:2])
    assert oldest[2] in ageing.tick()["raw_tile"]


def test_what_was_asked_for_in_vain_is_asked_for_again_after_six_hours(
    ageing: Ageing,
) -> None:
    hopeless, good, *others = ageing.tiles
    ageing.change(warn=30 * WARN, fail=60 * WARN, regions={"short": (WARN, [hopeless, good])})
    ageing.make(others)
    made = ageing.make([hopeless, good])
    ageing.clock = made + WARN

    assert ageing.tick() == whole(hopeless, good)
    ageing.make([good])
    ageing.clock += dt.timedelta(milliseconds=1)
    assert ageing.tick() == {}
    ageing.change(warn=30 * WARN, fail=60 * WARN, regions={"short": (WARN, [hopeless])})
    ageing.clock += 6 * HOUR
    assert ageing.tick() == whole(hopeless)
    assert ageing.tick() == {}


def test_a_failed_stage_of_a_fresh_tile_is_tried_again_on_the_same_cadence(
    ageing: Ageing,
) -> None:
    ageing.clock = ageing.make(ageing.tiles)
    ageing.set_state(ageing.tiles[6], "failed", stage="ndvi")

    assert ageing.tick() == whole(ageing.tiles[6])
    ageing.make([ageing.tiles[6]], ["raw_tile"])
    ageing.clock += HOUR
    assert ageing.tick() == {}
    ageing.clock += 5 * HOUR
    assert ageing.tick() == whole(ageing.tiles[6])


@pytest.mark.parametrize("never_made", ["last", "first", "leave"])
def test_tiles_never_made_are_asked_for_last_or_first_or_not(
    ageing: Ageing, never_made: str
) -> None:
    ageing.change(never_made=never_made)
    stale = ageing.project.partitioning.keys[1:]
    compute = ageing.project.compute.model_copy(update={"max_tiles_per_run": 1})
    ageing.project = ageing.project.model_copy(update={"compute": compute})
    ageing.clock = ageing.make(stale) + WARN

    first = ageing.tick()["raw_tile"]

    never = {ageing.tiles[0]}
    assert first == (never if never_made == "first" else {stale[0]})
    ageing.make(stale)
    ageing.clock = dt.datetime.now(dt.UTC)
    assert ageing.tick().get("raw_tile", set()) == (never if never_made == "last" else set())


def test_regions_have_windows_of_their_own(ageing: Ageing) -> None:
    coast, desert = ageing.tiles[:2], ageing.tiles[2:5]
    ageing.change(
        regions={"coast": (HOUR, coast), "desert": (8 * WARN / 5, desert)},
    )
    made = ageing.make(ageing.tiles)

    ageing.clock = made + HOUR
    assert ageing.tick()["raw_tile"] == set(coast)
    ageing.clock = made + WARN
    assert ageing.tick()["raw_tile"] == set(ageing.tiles) - set(desert)
    ageing.clock = made + 8 * WARN / 5
    assert ageing.tick()["raw_tile"] >= set(desert)


def test_updated_boundaries_ask_for_no_tile(ageing: Ageing) -> None:
    ageing.clock = ageing.make(ageing.tiles)
    ageing.note("validated_boundaries")
    assert ageing.tick() == {}

    ageing.note("validated_boundaries", version="2")

    assert ageing.tick() == {}
    assert ageing.tick() == {}


def test_tiles_renewed_unchanged_ask_for_nothing_of_a_persons_asset(
    ageing: Ageing,
) -> None:
    def follower() -> None:
        """Made whenever ndvi changes."""

    ageing.others = (tile_asset(follower, project=ageing.project, deps=["ndvi"]),)
    ageing.make(ageing.tiles)
    ageing.make(ageing.tiles, ["follower"])
    ageing.clock = dt.datetime.now(dt.UTC)
    for _ in range(2):
        assert ageing.tick().get("follower", set()) <= set(ageing.tiles)
    ageing.make(ageing.tiles, ["follower"])
    assert ageing.tick() == {}

    ageing.make(ageing.tiles[:10])
    assert ageing.tick() == {}
    ageing.make(ageing.tiles[:2], version="2")
    assert ageing.tick() == {"follower": set(ageing.tiles[:2])}


def test_an_asset_of_ones_own_is_read_by_its_own_policy(ageing: Ageing) -> None:
    partitions = dg.StaticPartitionsDefinition(["a", "b"])

    def asset_of(policy: dg.FreshnessPolicy | None) -> dg.AssetsDefinition:
        @dg.asset(
            partitions_def=partitions,
            freshness_policy=policy,
            automation_condition=TileDue(clock=lambda: ageing.clock),
        )
        def mine() -> None: ...

        return mine

    policy = dg.FreshnessPolicy.time_window(fail_window=2 * HOUR, warn_window=HOUR)
    ageing.note("mine", "a")
    ageing.clock = ageing.make(["a"], ["mine"]) + HOUR
    ageing.note("mine", "b")

    result = dg.evaluate_automation_conditions([asset_of(policy)], ageing.instance, EVERYTHING)

    assert result.get_requested_partitions(dg.AssetKey("mine")) == {"a"}
    with pytest.raises(Exception, match="conditions for mine") as caught:
        dg.evaluate_automation_conditions([asset_of(None)], ageing.instance, EVERYTHING)
    assert "no freshness window" in str(caught.value.__cause__)


def test_the_sensor_runs_where_there_is_a_window_and_is_absent_where_not(
    ageing: Ageing,
) -> None:
    with_window = ageing.definitions().get_repository_def()
    ageing.project = ageing.project.model_copy(update={"freshness": FreshnessSettings()})
    without = build_definitions(ageing.project).get_repository_def()

    sensor = with_window.get_sensor_def(SENSOR)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert not without.has_sensor_def(SENSOR)
    assert ageing.tick() == {}


def test_nothing_is_asked_for_in_hours_that_are_kept_free(ageing: Ageing) -> None:
    made = ageing.make(ageing.tiles)
    morning = dt.datetime.combine(made.date() + 6 * WARN, dt.time(9), dt.UTC)
    ageing.pause("08:00", until="18:00")

    ageing.clock = morning
    assert ageing.tick() == {}
    ageing.clock = morning.replace(hour=18)

    assert ageing.tick() == whole(*ageing.tiles)
