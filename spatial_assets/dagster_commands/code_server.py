"""Serve the definitions to Dagster, and end the runs in time when asked to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import click
import dagster as dg

from spatial_assets.instance.dagster_internals import (
    CancelExecutionRequest,
    CancelExecutionResult,
    DagsterGrpcClient,
    DagsterUserCodeUnreachableError,
    deserialize_value,
)

GRACE_SECONDS = 100.0
"""Time that the runs have to end. An interrupted run abandons the tile in hand: it ends its
workers (10 s), waits for a request to S3 in progress (60 s, and 20 s of repetitions) and releases
its leases. `stop_grace_period` of `deploy/compose.yaml` is 20 s longer."""

LOOK_SECONDS = 0.5  # a stop is a matter of seconds
PING_SECONDS = 15.0
MAX_MISSED_PINGS = 4
"""Pings without an answer after which the server is started anew: its code lives in a process of
its own, and when that is killed, the server keeps its port and answers nothing."""

UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dataclass
class CodeServer:
    """A `dagster code-server`, and the runs that it executes."""

    process: subprocess.Popen[bytes]
    client: DagsterGrpcClient
    missed: int = 0
    """Pings in a row without an answer, once it had answered."""

    has_answered: bool = False

    def ping(self) -> None:
        """Ask the process that holds the code for a sign of life."""
        try:
            self.client.get_server_id(timeout=round(PING_SECONDS))
        except DagsterUserCodeUnreachableError:
            self.missed += self.has_answered
        else:
            self.missed, self.has_answered = 0, True

    def end_runs(self, instance: dg.DagsterInstance, *, seconds: float = GRACE_SECONDS) -> int:
        """Interrupt the runs of this server, wait for their end, and return how many there were.

        Nobody asked to cancel them, so Dagster marks them as failed, and starts them again.
        """
        ours: set[str] = set()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            left = {run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))}
            for run_id in left - ours:
                if self._interrupt(run_id):
                    ours.add(run_id)
            if not left & ours:
                break
            time.sleep(LOOK_SECONDS)
        return len(ours)

    def _interrupt(self, run_id: str) -> bool:
        """Interrupt a run; return False if it is not one of this server."""
        try:
            answer = self.client.cancel_execution(CancelExecutionRequest(run_id=run_id))
        except DagsterUserCodeUnreachableError:
            return False
        return bool(deserialize_value(answer, CancelExecutionResult).success)


@click.command("code-server")
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", "-p", type=int, default=4000, show_default=True, help="Port.")
@click.option(
    "--module",
    "-m",
    default="spatial_assets.definitions",
    show_default=True,
    help="Module with the definitions.",
)
def code_server(host: str, port: int, module: str) -> None:
    """Serve the definitions to Dagster, and end the runs in time when asked to stop.

    `dagster code-server start` with two differences. SIGTERM interrupts the runs, which release
    their leases and are started again where the server runs next; Dagster's own server waits for
    the end of the runs, until it is killed. And a server whose code process died ends, so that it
    is restarted.
    """
    address = ["-h", host, "-p", str(port)]
    program = [sys.executable, "-m", "dagster", "code-server", "start"]
    with stop_requests() as stopped, dg.DagsterInstance.get() as instance:
        # A session of its own: Ctrl-C in a terminal reaches the runs through us only.
        process = subprocess.Popen([*program, *address, "-m", module], start_new_session=True)  # noqa: S603 - our own words
        server = CodeServer(process, DagsterGrpcClient(port=port, host=reachable(host)))
        if watch(server, stopped):
            count = server.end_runs(instance)
            click.echo(f"Stopping; runs interrupted, to be started again: {count}")
    sys.exit(end(process, was_asked=stopped.is_set()))


def watch(
    server: CodeServer,
    stopped: threading.Event,
    *,
    interval: float = PING_SECONDS,
    look: float = LOOK_SECONDS,
) -> bool:
    """Wait until the server ends or somebody asks to stop; return True in the latter case."""
    next_ping = time.monotonic() + interval
    while not stopped.wait(look):
        if server.process.poll() is not None:
            return False
        if time.monotonic() >= next_ping:
            server.ping()
            next_ping = time.monotonic() + interval
        if server.missed >= MAX_MISSED_PINGS:
            click.echo("The process that holds the code does not answer: ending", err=True)
            return False
    return True


def end(process: subprocess.Popen[bytes], *, was_asked: bool) -> int:
    """End the server, and return the code to exit with: 0 if it was asked to stop."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()  # its children notice, and end when their runs did
            process.wait()
    return 0 if was_asked else process.returncode or 1


def reachable(host: str) -> str:
    """Return the address at which this machine reaches a server that listens at `host`."""
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - nothing is bound


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turn SIGTERM and Ctrl-C into an event during the block."""
    stopped = threading.Event()

    def request(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before: dict[signal.Signals, Callable[..., object] | int | None] = {
        each: signal.signal(each, request) for each in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stopped
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
