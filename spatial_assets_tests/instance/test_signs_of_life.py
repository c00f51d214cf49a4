"""A living run is never silent for long, and a run that was ended elsewhere stops."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import threading
import time

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from spatial_assets.instance import signs_of_life
from spatial_assets.instance.signs_of_life import SIGNS_TAG, SignsOfLife, showing_signs_of_life

TICK = 0.2


def signs(said: list[str], *, over: threading.Event, ended: threading.Event) -> SignsOfLife:
    return SignsOfLife(say=said.append, is_over=over.is_set, end=ended.set, interval=TICK)


def test_a_silent_run_says_that_it_works() -> None:
    said: list[str] = []
    over, ended = threading.Event(), threading.Event()

    with signs(said, over=over, ended=ended).shown():
        time.sleep(5 * TICK)

    assert len(said) >= 2
    assert said[0].startswith("Working; the last result was ")
    assert not ended.is_set()


def test_a_run_that_writes_events_adds_none() -> None:
    said: list[str] = []
    over, ended = threading.Event(), threading.Event()

    with SignsOfLife(
        say=said.append, is_over=over.is_set, end=ended.set, interval=2.0
    ).shown() as s:
        for _ in range(50):
            s.note()
            time.sleep(0.05)

    assert said == []


def test_a_run_that_was_ended_elsewhere_is_interrupted() -> None:
    over, ended = threading.Event(), threading.Event()

    with signs([], over=over, ended=ended).shown():
        over.set()
        assert ended.wait(10)


def test_a_step_that_is_declared_dead_stops(
    dagster_instance_home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs_of_life, "SIGN_SECONDS", TICK)
    monkeypatch.setattr(SignsOfLife.__init__, "__kwdefaults__", {"interval": TICK})
    reached: list[str] = []

    @dg.asset
    def slow(context: dg.AssetExecutionContext) -> None:
        with showing_signs_of_life(context):
            context.instance.report_run_failed(context.run, "declared dead")
            time.sleep(30)
            reached.append("the end")

    with dg.DagsterInstance.from_config(str(dagster_instance_home)) as instance:
        began = time.monotonic()
        with pytest.raises(DagsterExecutionInterruptedError):
            dg.materialize([slow], instance=instance)

        (run,) = instance.get_runs()
        assert SIGNS_TAG in run.tags
    assert time.monotonic() - began < 25
    assert reached == []
