"""Launcher of runs whose dead runs are noticed: asks the code server, and reads the run's log.

Dagster's own launcher for code servers cannot check a run: one whose server was killed stays
`STARTED` until `max_runtime_seconds`. The launchers for Kubernetes, Docker and ECS check the
containers of their runs, and need nothing of this.

Dagster takes every state other than `RUNNING` and `SUCCESS` for dead, `UNKNOWN` too.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

import dagster as dg

from spatial_assets.instance.dagster_internals import (
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    CheckRunHealthResult,
    ConfigurableClassData,
    DagsterUserCodeUnreachableError,
    DefaultRunLauncher,
    WorkerStatus,
    deserialize_value,
)
from spatial_assets.instance.signs_of_life import SIGN_SECONDS, SIGNS_TAG

ANSWER_SECONDS = 10
"""Seconds in which a code server answers; a slower one counts as out of reach, not as dead."""

SILENCE_SECONDS = 3 * SIGN_SECONDS
"""Silence after which a run is dead that shows signs of life, and that its server does not know."""

LONG_SILENCE_SECONDS = 900.0
"""The same, where less is known: no server answers, or the run shows no signs of life.

Longer than a restart of a machine, and than a step that Dagster's own operators write without a
line in its log; far shorter than `max_runtime_seconds`.
"""

FORGET_SECONDS = 3600.0
"""Time after which a run that is no longer asked about is forgotten."""


class ServerAnswer(Enum):
    """Answer of a code server about a run."""

    RUNNING = "runs it"
    UNKNOWN_RUN = "does not know it: the server was started again, or its code was loaded again"
    GONE = "does not exist any more"
    OUT_OF_REACH = "does not answer"
    NONE = "was not used: the run was started by a command"


@dataclass
class RunSilence:
    """Silence of one run, as one observer sees it; seconds of the observer's own clock."""

    last_event: int
    """Position of the last event in the run's log."""

    since: float
    """Time at which that event was first seen."""

    seen: float
    """Time of the last observation."""

    misses: int = 0
    """Number of observations in a row in which no server ran it."""


@dataclass
class DeathWatch:
    """Decision about which runs are dead, from what is observed of them again and again."""

    clock: Callable[[], float] = time.monotonic
    silence: float = SILENCE_SECONDS
    """Silence after which a run is dead that its server does not know."""

    _runs: dict[str, RunSilence] = field(default_factory=dict, init=False)

    def is_dead(
        self, run_id: str, answer: ServerAnswer, *, last_event: int, shows_signs: bool
    ) -> bool:
        """Take an observation of a run, and return True if the run must be dead.

        A run that its server runs is alive, however slow. Otherwise two observations are needed,
        and a silence in between: a run whose log still grows is alive, whatever the server says.

        Args:
            run_id: the run.
            answer: what its code server said.
            last_event: position of the last event in its log.
            shows_signs: True if it writes into its log at least every `SIGN_SECONDS`.
        """
        now = self.clock()
        self._forget(now)
        known = self._runs.get(run_id)
        if known is None or known.last_event != last_event:
            known = RunSilence(last_event, now, now)
        known.seen = now
        self._runs[run_id] = known
        if answer is ServerAnswer.RUNNING:
            known.misses = 0
            return False
        known.misses += 1
        limit = self._limit(answer, shows_signs=shows_signs)
        return limit is not None and known.misses > 1 and now - known.since >= limit

    def _limit(self, answer: ServerAnswer, *, shows_signs: bool) -> float | None:
        """Return the silence after which a run is dead; None: it cannot be known."""
        if answer in {ServerAnswer.UNKNOWN_RUN, ServerAnswer.GONE}:
            return self.silence if shows_signs else LONG_SILENCE_SECONDS
        return LONG_SILENCE_SECONDS if shows_signs else None

    def silence_of(self, run_id: str) -> float:
        """Return the seconds since the last event of a run was first seen."""
        known = self._runs.get(run_id)
        return 0.0 if known is None else known.seen - known.since

    def _forget(self, now: float) -> None:
        gone = [key for key, each in self._runs.items() if now - each.seen > FORGET_SECONDS]
        for key in gone:
            del self._runs[key]


class HealthCheckedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher for code servers, with a check of the runs; `dagster.yaml` names it."""

    def __init__(
        self,
        inst_data: ConfigurableClassData | None = None,
        *,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        super().__init__(inst_data)
        self.watch = DeathWatch(silence=silence_seconds)

    @classmethod
    def config_type(cls) -> Any:  # noqa: ANN401 - Dagster's
        """Return the schema of `config`: the silence in seconds that tells death, default 45."""
        return {"silence_seconds": dg.Field(float, default_value=SILENCE_SECONDS)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Make the launcher from its `config`."""
        return cls(inst_data, **config_value)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Let the daemon check the runs, every `run_monitoring.poll_interval_seconds`."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return `FAILED` for a run that must be dead, and `RUNNING` otherwise."""
        answer = self._ask(run.run_id)
        dead = self.watch.is_dead(
            run.run_id,
            answer,
            last_event=self._last_event(run.run_id),
            shows_signs=SIGNS_TAG in run.tags,
        )
        said = f"the code server of the run {answer.value}"
        if not dead:
            return CheckRunHealthResult(WorkerStatus.RUNNING, said)
        silence = self.watch.silence_of(run.run_id)
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            f"{said}, and for {silence:.0f} s or more it wrote no event: its process has died",
        )

    def _ask(self, run_id: str) -> ServerAnswer:
        """Ask the code server that started a run for it."""
        client = self._get_grpc_client_for_termination(run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return ServerAnswer.NONE
        if client.socket is not None and not _listens(client.socket):
            return ServerAnswer.GONE
        request = CanCancelExecutionRequest(run_id=run_id)
        try:
            text = client.can_cancel_execution(request, timeout=ANSWER_SECONDS)
        except DagsterUserCodeUnreachableError:
            return ServerAnswer.OUT_OF_REACH
        found = deserialize_value(text, CanCancelExecutionResult)
        return ServerAnswer.RUNNING if found.can_cancel else ServerAnswer.UNKNOWN_RUN

    def _last_event(self, run_id: str) -> int:
        """Return the position of the last event of a run in the log; 0: it has none."""
        log = self._instance.event_log_storage
        records = log.get_records_for_run(run_id, limit=1, ascending=False).records
        return records[0].storage_id if records else 0


def _listens(path: str) -> bool:
    """Return True unless it is certain that no process listens on a socket of this machine."""
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.settimeout(ANSWER_SECONDS)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True  # full or slow: somebody may be there
        return True
