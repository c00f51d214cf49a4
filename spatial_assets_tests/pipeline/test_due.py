"""Laws of the tiles that are due, for any history."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Collection, Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.pipeline.due import (
    UNTRIED_AFTER,
    Request,
    RequestLimits,
    RequestPlan,
    TileFacts,
    tiles_due,
)
from spatial_assets.project.sections.freshness import NeverMade

NOW = dt.datetime(2023, 9, 15, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TICK = dt.timedelta(minutes=10)
TILES = [f"{number:02d}" for number in range(20)]
WINDOWS = [DAY, 3 * DAY, 5 * DAY]

Facts = TileFacts[dt.datetime]


def facts_of(
    refreshed_at: Mapping[str, dt.datetime],
    *,
    windows: Mapping[str, dt.timedelta] | None = None,
    changed: Mapping[str, str] | None = None,
    failed: Collection[str] = (),
    requests: Mapping[str, Request[dt.datetime]] | None = None,
    now: dt.datetime = NOW,
) -> Facts:
    return TileFacts(
        refreshed_at=refreshed_at,
        oldest_fresh=lambda tile: now - (windows or {}).get(tile, 5 * DAY),
        changed=changed or {},
        failed=frozenset(failed),
        requests=requests or {},
    )


def plan_of(
    facts: Facts,
    *,
    excluded: Collection[str] = (),
    limit: int = 100,
    never_made: NeverMade = "last",
    tiles: Collection[str] = TILES,
) -> RequestPlan:
    limits = RequestLimits(limit=limit, never_made=never_made)
    return tiles_due(tiles, facts, excluded=excluded, now=NOW, limits=limits)


some = st.frozensets(st.sampled_from(TILES))
changes = st.sampled_from(["one", "another"])
moments = st.integers(0, 10 * 24).map(lambda hours: NOW - dt.timedelta(hours=hours))


@st.composite
def histories(draw: st.DrawFn) -> Facts:
    refreshed_at = draw(st.dictionaries(st.sampled_from(TILES), moments))
    after = st.sampled_from([None, *refreshed_at.values()])
    observed_at = draw(st.dictionaries(st.sampled_from(TILES), moments))
    asked = st.builds(
        Request[dt.datetime],
        at=moments,
        after=after,
        change=changes | st.just(""),
        observed=st.sampled_from([None, *observed_at.values()]),
        vain=st.integers(0, 20),
    )
    facts = facts_of(
        refreshed_at,
        windows=draw(st.dictionaries(st.sampled_from(TILES), st.sampled_from(WINDOWS))),
        changed=draw(st.dictionaries(st.sampled_from(TILES), changes)),
        failed=draw(some),
        requests=draw(st.dictionaries(st.sampled_from(TILES), asked)),
    )
    return replace(facts, observed_at=observed_at)


orders = st.sampled_from(["last", "first", "leave"])


@given(histories(), some, st.integers(0, 25), orders)
def test_never_more_than_the_limit_nor_an_excluded_tile_nor_one_twice(
    facts: Facts, excluded: frozenset[str], limit: int, never_made: NeverMade
) -> None:
    plan = plan_of(facts, excluded=excluded, limit=limit, never_made=never_made)

    assert len(plan.tiles) + plan.under_way <= max(limit, plan.under_way)
    assert not excluded & set(plan.tiles)
    assert len(set(plan.tiles)) == len(plan.tiles)


@given(histories(), some, st.integers(0, 25), orders)
def test_a_smaller_limit_gives_the_beginning_of_the_same_plan(
    facts: Facts, excluded: frozenset[str], limit: int, never_made: NeverMade
) -> None:
    whole = plan_of(facts, excluded=excluded, never_made=never_made)
    part = plan_of(facts, excluded=excluded, limit=limit, never_made=never_made)

    assert part.tiles == whole.tiles[: len(part.tiles)]
    assert len(part.tiles) + part.waiting == len(whole.tiles)


@given(histories(), some, st.integers(0, 25), orders, st.randoms(use_true_random=False))
def test_the_order_depends_on_nothing_but_the_order_of_the_tiles(
    facts: Facts,
    excluded: frozenset[str],
    limit: int,
    never_made: NeverMade,
    chance: random.Random,
) -> None:
    keys = list(facts.refreshed_at)
    chance.shuffle(keys)
    shuffled = replace(facts, refreshed_at={key: facts.refreshed_at[key] for key in keys})

    first = plan_of(facts, excluded=excluded, limit=limit, never_made=never_made)
    second = plan_of(shuffled, excluded=excluded, limit=limit, never_made=never_made)

    assert first == second


@given(histories(), some)
def test_only_due_tiles_are_requested_and_none_is_forgotten(
    facts: Facts, excluded: frozenset[str]
) -> None:
    plan = plan_of(facts, excluded=excluded)

    due = [tile for tile in TILES if facts.why(tile)]
    assert set(plan.tiles) <= set(due)
    counted = len(plan.tiles) + plan.retry_later + plan.under_way + plan.excluded_due + plan.waiting
    assert counted == len(due)


@given(histories())
def test_among_the_stale_the_oldest_come_first(facts: Facts) -> None:
    plan = plan_of(facts)

    fresh_tries = [
        tile
        for tile in plan.tiles
        if facts.why(tile) == "stale" and not facts.unsuccessful_request(tile)
    ]
    moments_asked_for = [facts.refreshed_at[tile] for tile in fresh_tries]
    assert moments_asked_for == sorted(moments_asked_for)


@given(histories(), some, some, st.integers(1, 5))
def test_every_tile_gets_its_turn_and_those_that_cannot_succeed_rest_in_between(
    facts: Facts, hopeless: frozenset[str], excluded: frozenset[str], limit: int
) -> None:
    """Applied tick by tick for two days, with tiles that never succeed among them."""
    limits = RequestLimits(limit=limit)
    refreshed_at = dict(facts.refreshed_at)
    asked: dict[str, Request[dt.datetime]] = {}
    observed_at: dict[str, dt.datetime] = {}
    times: dict[str, list[dt.datetime]] = {tile: [] for tile in TILES}
    due = {tile for tile in TILES if facts.why(tile) in {"stale", "never made"}} - excluded

    for tick in range(48 * 6):
        now = NOW + tick * TICK
        known = replace(facts_of(refreshed_at, requests=asked), observed_at=observed_at)
        plan = tiles_due(TILES, known, excluded=excluded, now=now, limits=limits)
        for tile in plan.tiles:
            times[tile].append(now)
            asked[tile] = known.next_request(tile, now)
            (observed_at if tile in hopeless else refreshed_at)[tile] = now

    due_now = {tile for tile in due if facts_of(facts.refreshed_at).why(tile)}
    assert due_now <= {tile for tile in TILES if times[tile]}
    for tile in hopeless & due_now:
        tries = times[tile]
        rests = [later - sooner for sooner, later in itertools.pairwise(tries)]
        assert min(rests) >= limits.retry_after
        assert len(tries) >= 2
    assert all(len(times[tile]) <= 1 for tile in set(TILES) - hopeless)


def test_what_cannot_succeed_never_holds_up_what_can() -> None:
    old, older = NOW - 6 * DAY, NOW - 9 * DAY
    asked = {"00": Request(at=NOW - DAY, after=older)}
    facts = facts_of({**dict.fromkeys(TILES, NOW), "00": older, "07": old}, requests=asked)
    facts = replace(facts, observed_at={"00": NOW - DAY})

    assert plan_of(facts).tiles == ("07", "00")
    assert plan_of(facts, limit=1).tiles == ("07",)


def test_a_tile_that_came_to_something_is_no_retry_when_it_grows_old_again() -> None:
    old = NOW - 6 * DAY
    asked = {"00": Request(at=NOW - dt.timedelta(hours=1), after=NOW - 20 * DAY)}
    facts = facts_of({**dict.fromkeys(TILES, NOW), "00": old}, requests=asked)

    assert plan_of(facts).tiles == ("00",)


@given(histories(), some)
def test_a_changed_tile_comes_before_any_that_is_merely_old(
    facts: Facts, excluded: frozenset[str]
) -> None:
    why = list(plan_of(facts, excluded=excluded).why.values())

    assert why == sorted(why, key=["changed", "stale", "never made", "failed"].index)
    assert {tile for tile, each in plan_of(facts).why.items() if each == "changed"} == {
        tile
        for tile, change in facts.changed.items()
        if tile not in facts.requests
        or facts.requests[tile].change != change
        or (not facts.is_retry(tile) and NOW - facts.requests[tile].at >= UNTRIED_AFTER)
    }


def test_a_change_is_followed_at_once_and_then_on_the_slow_cadence() -> None:
    fresh, lately = dict.fromkeys(TILES, NOW), NOW - dt.timedelta(hours=1)
    asked = {"03": Request(at=lately, after=NOW, change="one")}

    assert plan_of(facts_of(fresh, changed={"03": "one"})).tiles == ("03",)
    tried = facts_of(fresh, changed={"03": "one"}, requests=asked)
    assert plan_of(replace(tried, observed_at={"03": lately})).retry_later == 1
    assert plan_of(facts_of(fresh, changed={"03": "another"}, requests=asked)).tiles == ("03",)
    assert plan_of(facts_of({}, changed={"03": "one"}), never_made="leave").tiles == ("03",)


def test_a_fresh_tile_with_a_failed_stage_is_tried_again_on_the_slow_cadence() -> None:
    fresh = dict.fromkeys(TILES, NOW)
    an_hour_ago = {"03": Request(at=NOW - dt.timedelta(hours=1), after=NOW - DAY)}

    assert plan_of(facts_of(fresh, failed={"03"})).tiles == ("03",)
    assert plan_of(facts_of(fresh, failed={"03"}, requests=an_hour_ago)).tiles == ()


@given(histories(), st.integers(1, 5), st.integers(1, 60))
def test_tiles_that_no_run_came_to_are_asked_for_again_and_do_not_rest_for_hours(
    facts: Facts, limit: int, outage: int
) -> None:
    """All runs die before their first tile for a while; the first good run finds every tile due."""
    limits = RequestLimits(limit=limit)
    refreshed_at = dict(facts.refreshed_at)
    asked: dict[str, Request[dt.datetime]] = {}
    times: dict[str, list[dt.datetime]] = {tile: [] for tile in TILES}
    for tick in range(outage):
        now = NOW + tick * TICK
        known = facts_of(refreshed_at, requests=asked, now=NOW)
        for tile in tiles_due(TILES, known, excluded=(), now=now, limits=limits).tiles:
            times[tile].append(now)
            asked[tile] = known.next_request(tile, now)

    for tries in times.values():
        rests = [later - sooner for sooner, later in itertools.pairwise(tries)]
        for number, rest in enumerate(rests):
            assert rest >= min(limits.untried_after * 2**number, limits.retry_after)
        assert all(request.vain == len(times[tile]) - 1 for tile, request in asked.items())
    later = facts_of(refreshed_at, requests=asked, now=NOW)
    for tile in filter(later.why, TILES):
        if tile in asked:
            assert later.pause(tile, limits) == min(
                limits.untried_after * 2 ** asked[tile].vain, limits.retry_after
            )


def test_a_run_that_died_before_its_tiles_is_asked_for_again_within_minutes() -> None:
    old, two_minutes = NOW - 6 * DAY, dt.timedelta(minutes=2)
    asked = {tile: Request(at=NOW - two_minutes, after=old, observed=old) for tile in TILES}
    tried = {tile: NOW if tile in {"03", "04"} else old for tile in TILES}

    facts = facts_of(dict.fromkeys(TILES, old), requests=asked)

    plan = plan_of(replace(facts, observed_at=tried))

    assert plan.tiles == tuple(tile for tile in TILES if tile not in {"03", "04"})
    assert set(plan.why.values()) == {"stale"}
    assert plan.retry_later == 2


def test_a_deleted_observation_is_no_attempt() -> None:
    old = NOW - 6 * DAY
    asked = {"00": Request(at=NOW - dt.timedelta(hours=1), after=old, observed=old)}

    assert plan_of(facts_of({"00": old}, requests=asked), tiles=["00"]).tiles == ("00",)


def test_tiles_whose_runs_die_again_and_again_hold_up_no_other() -> None:
    old = NOW - 6 * DAY
    twice = Request(at=NOW - DAY, after=old, vain=1)

    plan = plan_of(facts_of(dict.fromkeys(["00", "07"], old), requests={"00": twice}), limit=1)

    assert plan.tiles == ("07",)


def test_what_is_under_way_takes_its_place_within_the_limit() -> None:
    old = NOW - 6 * DAY
    asked = {tile: Request(at=NOW - TICK, after=old) for tile in TILES[:3]}
    facts = facts_of(dict.fromkeys(TILES, old), requests=asked)

    plan = plan_of(facts, excluded=TILES[:3], limit=5)

    assert plan.tiles == ("03", "04")
    assert (plan.under_way, plan.waiting, plan.excluded_due) == (3, 15, 0)


def test_tiles_never_made_come_last_or_first_or_are_left_to_a_person() -> None:
    old = NOW - 6 * DAY
    facts = facts_of({"01": old, "02": NOW})
    tiles = ["00", "01", "02", "03"]

    assert plan_of(facts, tiles=tiles).tiles == ("01", "00", "03")
    assert plan_of(facts, tiles=tiles, never_made="first").tiles == ("00", "03", "01")
    assert plan_of(facts, tiles=tiles, never_made="leave").tiles == ("01",)


def test_the_plan_describes_itself() -> None:
    old = NOW - 6 * DAY
    facts = facts_of({**dict.fromkeys(TILES, NOW), "01": old, "02": old, "03": old})

    assert plan_of(facts, limit=1, excluded={"03"}).summary == (
        "requested: 1 (1 stale), waiting for the limit: 1, under way: 0, "
        "waiting to retry: 0, excluded: 1"
    )
