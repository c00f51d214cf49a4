"""Start of a server process, the wait until it answers, and its stop in any case.

What any server needs; what one server needs belongs in the module named after it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
"""The checkout: the folder of pyproject.toml."""

RESULTS = REPOSITORY / "test-results"
"""Logs and screenshots that may be useful after a test run."""

STOP_SECONDS = 10.0  # an idle server stops in well under one; then it is killed
LOG_TAIL_LINES = 25  # enough to see why a server did not start


class ServerError(Exception):
    """A server of the tests could not be set up; the message names the remedy."""


@dataclass(frozen=True, kw_only=True)
class ServerCommand:
    """Command that starts one server."""

    name: str
    """Also the name of its log in `RESULTS`."""

    arguments: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to this process's own."""

    user: str | None = None
    """Run as this user; None: as we are."""

    folder: Path | None = None
    """Working directory."""

    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def log(self) -> Path:
        """Path of its output."""
        return RESULTS / f"{self.name}.log"


def free_port(*, also_plus: int = 0) -> int:
    """A free loopback port; the one `also_plus` above it is free too."""
    for _ in range(100):
        with socket.socket() as probe, socket.socket() as second:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            try:
                if also_plus:
                    second.bind(("127.0.0.1", port + also_plus))
            except (OSError, OverflowError):
                continue
            return port
    raise ServerError("no free loopback port found in 100 tries")


@contextlib.contextmanager
def running(
    command: ServerCommand, ready: Callable[[], bool], *, timeout: float
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command`, wait until `ready()`, and stop it and its children at the end.

    Raises:
        ServerError: it ended, or was not ready within `timeout` seconds.
    """
    process = start(command)
    try:
        wait_until_ready(process, command, ready=ready, timeout=timeout)
        yield process
    finally:
        stop(process, command.stop_signal)


def start(command: ServerCommand) -> subprocess.Popen[bytes]:
    """Start the process in a group of its own, its output in its log."""
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("wb") as log:
        return subprocess.Popen(
            [*dies_with_us(), *command.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **command.environment},
            user=command.user,
            group=None if command.user is None else primary_group(command.user),
            extra_groups=None if command.user is None else [],
            cwd=command.folder,
            start_new_session=True,
        )


def dies_with_us() -> list[str]:
    """A prefix that ends the server when this process is killed without a chance to stop it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def primary_group(user: str) -> int:
    """The numeric primary group of a local user."""
    import pwd  # noqa: PLC0415 - absent on systems where this is never called

    return pwd.getpwnam(user).pw_gid


def wait_until_ready(
    process: subprocess.Popen[bytes],
    command: ServerCommand,
    *,
    ready: Callable[[], bool],
    timeout: float,
) -> None:
    """Poll `ready()` until it is true.

    Raises:
        ServerError: the process ended, or `timeout` seconds went by; with the end of its log.
    """
    deadline = time.monotonic() + timeout
    while not ready():
        code = process.poll()
        if code is not None:
            raise ServerError(f"{command.name} ended with code {code}{log_tail(command.log)}")
        if time.monotonic() > deadline:
            raise ServerError(
                f"{command.name} was not ready in {timeout:.0f} s{log_tail(command.log)}"
            )
        time.sleep(0.05)


def log_tail(log: Path) -> str:
    """The end of a log, as the end of a message."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:] if log.exists() else []
    return "\n".join([f"; the end of {log}:", *lines])


def stop(process: subprocess.Popen[bytes], first_signal: signal.Signals) -> None:
    """Ask the process to stop, then kill what is left of its group."""
    if process.poll() is None:
        process.send_signal(first_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)


def accepts_connections(port: int) -> bool:
    """Return True if something listens on this loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
