"""The code server ends when it is of no use, and knows why it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

from spatial_assets.dagster_commands.code_server import (
    MAX_MISSED_PINGS,
    CodeServer,
    end,
    reachable,
    stop_requests,
    watch,
)


class Client(DagsterGrpcClient):
    """A client of a server that answers some pings, and then none."""

    def __init__(self, answers: int) -> None:
        super().__init__(port=1)
        self.left = answers
        self.pings = 0

    def get_server_id(self, timeout: int = 0) -> str:  # noqa: ARG002
        self.pings += 1
        if self.pings > self.left:
            raise DagsterUserCodeUnreachableError
        return "server"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(["sleep", "60"])
    yield started
    started.kill()
    started.wait()


def test_a_server_whose_code_process_died_is_ended(process: subprocess.Popen[bytes]) -> None:
    client = Client(answers=2)

    asked = watch(CodeServer(process, client), threading.Event(), interval=0.01, look=0.01)

    assert not asked
    assert client.pings == 2 + MAX_MISSED_PINGS
    assert end(process, was_asked=False) != 0
    assert process.poll() is not None


def test_a_server_that_still_loads_its_code_is_left_alone(
    process: subprocess.Popen[bytes],
) -> None:
    stopped, client = threading.Event(), Client(answers=0)
    threading.Timer(1.0, stopped.set).start()

    assert watch(CodeServer(process, client), stopped, interval=0.01, look=0.01)
    assert client.pings > MAX_MISSED_PINGS


def test_a_server_that_ends_by_itself_passes_its_code_on() -> None:
    failed = subprocess.Popen(["false"])

    asked = watch(CodeServer(failed, Client(answers=9)), threading.Event(), look=0.01)

    assert not asked
    assert end(failed, was_asked=False) == 1


def test_sigterm_asks_to_stop_and_the_handler_is_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with stop_requests() as stopped:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.wait(10)

    assert signal.getsignal(signal.SIGTERM) is before


def test_a_server_on_all_addresses_is_asked_on_this_machine() -> None:
    assert reachable("0.0.0.0") == "127.0.0.1"  # noqa: S104
    assert reachable("code.example.org") == "code.example.org"
