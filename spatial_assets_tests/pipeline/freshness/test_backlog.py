"""The backlog: its tiles, their order, and its limit."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.pipeline.freshness.backlog import (
    Backlog,
    BacklogReason,
    BacklogRecords,
    backlog_of,
)
from spatial_assets.project.sections.freshness import Ages

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
AGES = Ages(warn=5 * DAY, fail=10 * DAY)
TILES = tuple("abcdefgh")


def state(
    tile: str, state: str, *, stage: str = "ndvi", reason: str = "why", days: float = 1
) -> dict[str, object]:
    """A row of `tile_state`, that many days old."""
    return {
        "tile": tile,
        "stage": stage,
        "state": state,
        "reason": reason,
        "since": NOW - days * DAY,
    }


def judged(records: BacklogRecords, *, allowed: int = 0, ages: Ages | None = AGES) -> Backlog:
    windows = dict.fromkeys(TILES, ages) if ages else {}
    return backlog_of(TILES, records, ages=windows, allowed=allowed, now=NOW)


def looked(**days: float) -> dict[str, dt.datetime]:
    """Tile -> time of its last check, by age in days."""
    return {tile: NOW - ago * DAY for tile, ago in days.items()}


def test_a_tile_is_overdue_from_fail_on_and_not_from_warn_on() -> None:
    backlog = judged(BacklogRecords(checked_at=looked(a=10.001, b=10, c=6, d=0)))

    (entry,) = backlog.entries
    assert (entry.tile, entry.reason) == ("a", BacklogReason.OVERDUE)
    assert entry.since == NOW - 0.001 * DAY
    assert entry.detail == "last checked at 2026-11-12 11:58 UTC"
    assert backlog.never_made == 4


def test_without_a_window_no_tile_is_overdue_and_failures_count_all_the_same() -> None:
    records = BacklogRecords(checked_at=looked(a=1000, b=1000), bad=[state("b", "failed")])

    assert [entry.tile for entry in judged(records, ages=None).entries] == ["b"]


def test_a_quarantine_counts_until_somebody_releases_it() -> None:
    bad = [state("a", "quarantined"), state("b", "quarantined")]

    backlog = judged(BacklogRecords(bad=bad, held={"a": {"a"}}))

    assert [(each.tile, each.reason) for each in backlog.entries] == [("a", "quarantined")]


def test_a_tile_counts_once_by_its_worst_stage_and_the_oldest_comes_first() -> None:
    bad = [
        state("b", "quarantined", reason="upstream_quarantined", days=9),
        state("b", "quarantined", stage="raw_tile", reason="no_usable_scene", days=3),
        state("a", "quarantined", stage="raw_tile", days=30),
        state("a", "failed", reason="store_down", days=2),
        state("gone", "failed"),
    ]
    records = BacklogRecords(
        checked_at=looked(a=99, b=99, c=12), bad=bad, held={"a": {"a"}, "b": {"b"}}
    )

    backlog = judged(records)

    told = [(each.tile, each.reason, each.detail) for each in backlog.entries]
    assert told == [
        ("b", "quarantined", "raw_tile: no_usable_scene"),
        ("a", "failed", "ndvi: store_down"),
        ("c", "overdue", "last checked at 2026-11-10 12:00 UTC"),
    ]
    assert backlog.counts == {
        "failed": 1,
        "quarantined": 1,
        "overdue": 1,
        "backlog": 3,
        "allowed": 0,
        "tiles": 8,
        "never_made": 5,
        "scenes_in_quarantine": 0,
    }


@pytest.mark.parametrize(("allowed", "passes"), [(0, False), (1, False), (2, True), (3, True)])
def test_it_fails_when_it_grows_past_what_is_allowed(allowed: int, *, passes: bool) -> None:
    assert judged(BacklogRecords(checked_at=looked(a=11, b=12)), allowed=allowed).passed == passes


def test_bad_scenes_are_reported_and_are_no_backlog() -> None:
    backlog = judged(BacklogRecords(scenes=7))

    assert backlog.passed
    assert backlog.counts["scenes_in_quarantine"] == 7


rows = st.builds(
    state,
    st.sampled_from([*TILES, "gone"]),
    st.sampled_from(["failed", "quarantined"]),
    stage=st.sampled_from(["raw_tile", "ndvi"]),
    reason=st.sampled_from(["bad", "upstream_failed"]),
    days=st.integers(0, 40),
)
records = st.builds(
    BacklogRecords,
    checked_at=st.dictionaries(st.sampled_from(TILES), st.integers(0, 40)).map(
        lambda days: looked(**days)
    ),
    bad=st.lists(rows, max_size=12),
    held=st.frozensets(st.sampled_from(TILES)).map(lambda tiles: {tile: {tile} for tile in tiles}),
)


@given(records)
def test_every_tile_is_counted_once_and_in_one_order(records: BacklogRecords) -> None:
    backlog = judged(records)

    tiles = [entry.tile for entry in backlog.entries]
    failed = {row["tile"] for row in records.bad if row["state"] == "failed"} & set(TILES)
    assert len(tiles) == len(set(tiles)) <= len(TILES)
    assert {each.tile for each in backlog.entries if each.reason is BacklogReason.FAILED} == failed
    assert [each.since for each in backlog.entries] == sorted(
        each.since for each in backlog.entries
    )
    assert sum(backlog.counts[trouble] for trouble in BacklogReason) == len(tiles)
    backwards = replace(records, bad=records.bad[::-1])
    assert [each.tile for each in judged(backwards).entries] == tiles


@given(records, st.integers(1, 40))
def test_time_alone_never_makes_a_backlog_smaller(records: BacklogRecords, days: int) -> None:
    windows = dict.fromkeys(TILES, AGES)
    later = backlog_of(TILES, records, ages=windows, allowed=0, now=NOW + days * DAY)

    assert {each.tile for each in judged(records).entries} <= {each.tile for each in later.entries}
