"""Retention of the history of one partition: events and check evaluations that may be deleted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.instance.superseded import (
    MATERIALIZATION,
    PARTITION_EVENTS,
    PLANNED_CHECK,
    PLANNED_MATERIALIZATION,
    OldEvaluation,
    OldEvent,
    superseded_evaluations,
    superseded_events,
)

OBSERVATION = "ASSET_OBSERVATION"
SHORT = {"m": MATERIALIZATION, "p": PLANNED_MATERIALIZATION, "o": OBSERVATION}


def history(text: str) -> list[OldEvent]:
    """Events such as `p m1 m1 o`: the kind's letter, and the data version."""
    return [
        OldEvent(id=number, kind=SHORT[word[0]], data_version=word[1:] or None)
        for number, word in enumerate(text.split(), start=1)
    ]


@pytest.mark.parametrize(
    ("events", "gone"),
    [
        pytest.param("m1", [], id="the-only-one"),
        pytest.param("p m1", [1], id="a-plan-that-was-followed"),
        pytest.param("m1 p", [], id="a-plan-that-was-not"),
        pytest.param("p p m1 p p", [1, 2, 4], id="the-last-of-several-plans"),
        pytest.param("m1 m1 m1 m1", [2, 3], id="renewals-between-the-maker-and-the-last"),
        pytest.param("m1 m1 m2 m2 m2", [1, 2, 4], id="what-an-earlier-version-left"),
        pytest.param("m1 m2 m1 m1", [1, 2], id="a-version-that-came-back-has-its-own-maker"),
        pytest.param("m m m", [1, 2], id="without-versions-only-the-last"),
        pytest.param("o o m1", [1], id="each-kind-for-itself"),
    ],
)
def test_what_is_superseded(events: str, gone: list[int]) -> None:
    assert list(superseded_events(history(events))) == gone


events = st.lists(
    st.builds(
        OldEvent,
        id=st.just(0),
        kind=st.sampled_from(PARTITION_EVENTS),
        data_version=st.sampled_from([None, "1", "2"]),
    ),
    max_size=12,
).map(
    lambda found: [
        OldEvent(id=number, kind=each.kind, data_version=each.data_version)
        for number, each in enumerate(found, start=1)
    ]
)


@given(events)
def test_deleting_twice_deletes_nothing_more(found: list[OldEvent]) -> None:
    gone = set(superseded_events(found))

    left = [each for each in found if each.id not in gone]

    assert list(superseded_events(left)) == []


@given(events, events)
def test_an_age_moved_in_two_steps_deletes_no_more_than_in_one(
    old: list[OldEvent], young: list[OldEvent]
) -> None:
    young = [
        OldEvent(id=len(old) + each.id, kind=each.kind, data_version=each.data_version)
        for each in young
    ]
    at_once = set(superseded_events([*old, *young]))

    first = set(superseded_events(old))
    then = set(superseded_events([each for each in (*old, *young) if each.id not in first]))

    assert first | then == at_once


@given(events)
def test_the_newest_of_what_dagster_asks_for_stays(found: list[OldEvent]) -> None:
    gone = set(superseded_events(found))
    left = [each for each in found if each.id not in gone]

    def newest(of: list[OldEvent], kind: str) -> OldEvent | None:
        return next((each for each in reversed(of) if each.kind == kind), None)

    for kind in set(PARTITION_EVENTS) - {PLANNED_MATERIALIZATION}:
        assert newest(left, kind) == newest(found, kind)
    planned, made = newest(found, PLANNED_MATERIALIZATION), newest(found, MATERIALIZATION)
    if planned and (made is None or planned.id > made.id):
        assert newest(left, PLANNED_MATERIALIZATION) == planned


def evaluation(number: int, status: str, target: int | None = None) -> OldEvaluation:
    return OldEvaluation(id=number, status=status, target=target)


@pytest.mark.parametrize(
    ("found", "gone"),
    [
        pytest.param([evaluation(1, "SUCCEEDED", 7)], [], id="the-only-one"),
        pytest.param(
            [evaluation(n, "SUCCEEDED", 10 + n) for n in (1, 2, 3)], [2], id="one-of-the-maker"
        ),
        pytest.param(
            [evaluation(1, "FAILED"), evaluation(2, PLANNED_CHECK), evaluation(3, PLANNED_CHECK)],
            [2],
            id="the-last-made-and-the-last-planned",
        ),
        pytest.param(
            [evaluation(1, PLANNED_CHECK), evaluation(2, "SUCCEEDED")], [1], id="an-old-plan"
        ),
    ],
)
def test_which_evaluations_are_superseded(found: list[OldEvaluation], gone: list[int]) -> None:
    assert list(superseded_evaluations(found, materializations={11})) == gone
