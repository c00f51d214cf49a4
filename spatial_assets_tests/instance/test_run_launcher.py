"""A dead run is noticed, and no living one is taken for dead."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import grpc  # type: ignore[import-untyped]
import pytest
from dagster._core.launcher.base import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import (
    DagsterApiServicer,
    add_DagsterApiServicer_to_server,
)
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value, serialize_value
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.instance import run_launcher
from spatial_assets.instance.run_launcher import (
    LONG_SILENCE_SECONDS,
    SILENCE_SECONDS,
    DeathWatch,
    HealthCheckedRunLauncher,
    ServerAnswer,
)
from spatial_assets.instance.signs_of_life import SIGNS_TAG

POLL = 15.0


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Observer:
    """A watch over one run, asked every `POLL` seconds of a clock that a test sets."""

    clock: Clock = field(default_factory=Clock)
    watch: DeathWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = DeathWatch(self.clock)

    def poll(self, answer: ServerAnswer, *, last_event: int, shows_signs: bool = True) -> bool:
        dead = self.watch.is_dead("run", answer, last_event=last_event, shows_signs=shows_signs)
        self.clock.now += POLL
        return dead

    def seconds_until_dead(self, answer: ServerAnswer, *, shows_signs: bool) -> float:
        """Seconds from the first poll that finds the run silent."""
        began = self.clock.now
        while not self.poll(answer, last_event=1, shows_signs=shows_signs):
            assert self.clock.now < 10_000
        return self.clock.now - POLL - began


def test_a_run_whose_server_was_restarted_is_dead_within_a_minute() -> None:
    observer = Observer()
    observer.poll(ServerAnswer.RUNNING, last_event=1)

    # the poll before saw the last event, so the silence began there
    assert observer.seconds_until_dead(ServerAnswer.UNKNOWN_RUN, shows_signs=True) <= 45.0


@pytest.mark.parametrize("answer", [ServerAnswer.OUT_OF_REACH, ServerAnswer.NONE])
def test_a_run_whose_server_says_nothing_is_dead_after_a_quarter_of_an_hour(
    answer: ServerAnswer,
) -> None:
    assert Observer().seconds_until_dead(answer, shows_signs=True) == LONG_SILENCE_SECONDS


def test_an_observer_that_looks_rarely_needs_two_looks() -> None:
    observer = Observer()
    observer.poll(ServerAnswer.RUNNING, last_event=1)
    observer.clock.now += 600.0

    assert not observer.poll(ServerAnswer.UNKNOWN_RUN, last_event=1)
    assert observer.poll(ServerAnswer.UNKNOWN_RUN, last_event=1)


@given(answers=st.lists(st.sampled_from([ServerAnswer.OUT_OF_REACH, ServerAnswer.NONE])))
def test_a_run_without_signs_of_life_is_alive_as_long_as_no_server_denies_it(
    answers: list[ServerAnswer],
) -> None:
    observer = Observer()

    assert not any(observer.poll(each, last_event=1, shows_signs=False) for each in answers * 100)


@given(answers=st.lists(st.sampled_from(list(ServerAnswer)), max_size=30), signs=st.booleans())
def test_a_run_that_its_server_runs_is_alive_however_silent(
    answers: list[ServerAnswer],
    signs: bool,  # noqa: FBT001
) -> None:
    observer = Observer()
    for each in answers:
        observer.poll(each, last_event=1, shows_signs=signs)
    observer.clock.now += 100_000.0

    assert not observer.poll(ServerAnswer.RUNNING, last_event=1, shows_signs=signs)


@given(
    polls=st.lists(
        st.tuples(st.sampled_from(list(ServerAnswer)), st.floats(0.1, SILENCE_SECONDS - 0.1)),
        max_size=40,
    )
)
def test_a_run_that_writes_events_is_alive_whatever_its_server_says(
    polls: list[tuple[ServerAnswer, float]],
) -> None:
    observer = Observer()
    for number, (answer, pause) in enumerate(polls):
        # an event between two looks, even if the looks are far apart
        assert not observer.poll(answer, last_event=number)
        observer.clock.now += pause


def test_runs_that_ended_are_forgotten() -> None:
    clock = Clock()
    watch = DeathWatch(clock)
    for number in range(100):
        watch.is_dead(f"run {number}", ServerAnswer.RUNNING, last_event=1, shows_signs=True)
    clock.now += 4000.0
    watch.is_dead("new", ServerAnswer.RUNNING, last_event=1, shows_signs=True)

    assert list(watch._runs) == ["new"]  # noqa: SLF001


class FakeServer(DagsterApiServicer):
    """A code server that knows some runs, and answers slowly if told to."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.delay = 0.0

    def CanCancelExecution(  # noqa: N802 - gRPC's
        self, request: dagster_api_pb2.CanCancelExecutionRequest, _context: object
    ) -> dagster_api_pb2.CanCancelExecutionReply:
        time.sleep(self.delay)
        text = request.serialized_can_cancel_execution_request
        asked = deserialize_value(text, CanCancelExecutionRequest)
        answer = CanCancelExecutionResult(can_cancel=asked.run_id in self.known)
        return dagster_api_pb2.CanCancelExecutionReply(
            serialized_can_cancel_execution_result=serialize_value(answer)
        )


@contextmanager
def listening(path: Path) -> Iterator[FakeServer]:
    fake = FakeServer()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    add_DagsterApiServicer_to_server(fake, server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[HealthCheckedRunLauncher]:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text(
        "run_launcher: {module: spatial_assets.instance.run_launcher, "
        "class: HealthCheckedRunLauncher, config: {}}\ntelemetry: {enabled: false}\n"
    )
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        found = instance.run_launcher
        assert isinstance(found, HealthCheckedRunLauncher)
        found.watch.clock = Clock()
        yield found


def instance_of(launcher: HealthCheckedRunLauncher) -> dg.DagsterInstance:
    return launcher._instance  # noqa: SLF001


def started_run(launcher: HealthCheckedRunLauncher, socket: Path) -> dg.DagsterRun:
    run: dg.DagsterRun = create_run_for_test(
        instance_of(launcher),
        status=dg.DagsterRunStatus.STARTED,
        tags={SIGNS_TAG: "15", GRPC_INFO_TAG: f'{{"host": "localhost", "socket": "{socket}"}}'},
    )
    return run


def statuses(
    launcher: HealthCheckedRunLauncher, run: dg.DagsterRun, *, polls: int
) -> list[WorkerStatus]:
    """Status that the daemon is told at each of some polls."""
    clock = launcher.watch.clock
    assert isinstance(clock, Clock)
    found = []
    for _ in range(polls):
        found.append(launcher.check_run_worker_health(run).status)
        clock.now += POLL
    return found


ALIVE, DEAD = WorkerStatus.RUNNING, WorkerStatus.FAILED


def test_the_server_is_asked_for_the_run(
    launcher: HealthCheckedRunLauncher, tmp_path: Path
) -> None:
    run = started_run(launcher, tmp_path / "socket")
    with listening(tmp_path / "socket") as server:
        server.known.add(run.run_id)
        assert statuses(launcher, run, polls=5) == [ALIVE] * 5

        server.known.clear()
        assert statuses(launcher, run, polls=2) == [ALIVE, DEAD]


def test_a_server_that_is_gone_has_no_runs_and_one_that_is_slow_may_have(
    launcher: HealthCheckedRunLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_launcher, "ANSWER_SECONDS", 0.3)
    run = started_run(launcher, tmp_path / "socket")
    with listening(tmp_path / "socket") as server:
        server.delay = 1.0
        assert statuses(launcher, run, polls=4) == [ALIVE] * 4

    gone = started_run(launcher, tmp_path / "never")
    assert statuses(launcher, gone, polls=5) == [ALIVE, ALIVE, ALIVE, DEAD, DEAD]


def test_a_run_that_logs_is_alive_though_its_server_denies_it(
    launcher: HealthCheckedRunLauncher, tmp_path: Path
) -> None:
    run = started_run(launcher, tmp_path / "never")
    found: list[WorkerStatus] = []
    for _ in range(6):
        found += statuses(launcher, run, polls=2)
        instance_of(launcher).report_engine_event("working", run)

    assert set(found) == {ALIVE}


def test_the_reason_of_a_death_is_in_the_result(
    launcher: HealthCheckedRunLauncher, tmp_path: Path
) -> None:
    run = started_run(launcher, tmp_path / "never")
    statuses(launcher, run, polls=3)

    result = launcher.check_run_worker_health(run)

    assert result.msg == (
        "the code server of the run does not exist any more, and for 45 s or more it wrote no "
        "event: its process has died"
    )


def test_a_run_without_a_server_is_left_alone(launcher: HealthCheckedRunLauncher) -> None:
    run = create_run_for_test(instance_of(launcher), status=dg.DagsterRunStatus.STARTED)

    assert statuses(launcher, run, polls=100) == [ALIVE] * 100


def test_dagsters_daemon_fails_and_marks_a_dead_run(
    launcher: HealthCheckedRunLauncher, tmp_path: Path
) -> None:
    instance = instance_of(launcher)
    run = started_run(launcher, tmp_path / "never")
    assert statuses(launcher, run, polls=4)[-1] is DEAD

    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    monitor_started_run(instance, None, record, dg.get_dagster_logger())  # type: ignore[arg-type]

    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.FAILURE
