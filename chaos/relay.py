"""A port in front of a real server; protocols have modules of their own.

All relays run in one event loop in a separate thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from chaos.fault_injection import NO_FAULTS, EventTrigger, FaultInjector

Result = TypeVar("Result")

MAX_MESSAGE_BYTES = 1 << 24
"""Maximum size of a message or of its head."""

CONNECTION_ERRORS = (
    ConnectionError,
    asyncio.IncompleteReadError,
    asyncio.LimitOverrunError,
    OSError,
)
"""Errors of a connection that breaks."""


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` in the loop and wait for its result."""
        done: Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(30.0)

    def stop(self) -> None:
        """Cancel all tasks and stop the thread."""
        self.run(self._cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Relay(ABC):
    """Base of the relays, which pass connections on to a server."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        """Loopback port of the real server."""

        self.port = 0
        self.injector: FaultInjector = NO_FAULTS
        self.trigger = EventTrigger()
        self.open = 0
        """Number of open connections."""

        self.peak = 0
        """Maximum number of connections open at the same time."""

        self._server: asyncio.Server | None = None
        self._clients: set[Peer] = set()
        self._is_down = False

    async def listen(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, limit=MAX_MESSAGE_BYTES
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()

    async def go_down(self) -> None:
        """Reset all connections and refuse new ones, as a server that was killed."""
        self._is_down = True
        for client in list(self._clients):
            client.reset()

    async def come_back(self) -> None:
        """End an outage."""
        self._is_down = False

    async def begin_round(self, injector: FaultInjector, trigger: EventTrigger) -> None:
        """Start another round."""
        self.injector, self.trigger, self.peak = injector, trigger, self.open

    @abstractmethod
    async def serve(self, client: Peer) -> None:
        """Serve one connection until it ends."""

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Peer(reader, writer)
        if self._is_down:
            client.reset()
            return
        self._clients.add(client)
        try:
            await self.serve(client)
        except CONNECTION_ERRORS:
            client.reset()
        except asyncio.CancelledError:
            client.reset()  # the campaign has ended
        finally:
            self._clients.discard(client)
            client.close()

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count a connection, once the protocol has identified it as one."""
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            yield
        finally:
            self.open -= 1

    async def connect_upstream(self) -> Peer:
        """Connect to the real server."""
        return Peer(
            *await asyncio.open_connection("127.0.0.1", self.upstream, limit=MAX_MESSAGE_BYTES)
        )


class Peer:
    """One side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """Reset the connection, as a crash does."""
        plug = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def wait_for_hangup(self, seconds: float) -> None:
        """Wait until the other side closes the connection, up to a timeout."""
        with contextlib.suppress(*CONNECTION_ERRORS, TimeoutError):
            await asyncio.wait_for(self.reader.read(1), seconds)


@contextlib.contextmanager
def running_relays(*relays: Relay) -> Iterator[Loop]:
    """Run relays during the block."""
    loop = Loop()
    loop.start()
    try:
        for relay in relays:
            loop.run(relay.listen())
        yield loop
    finally:
        for relay in relays:
            loop.run(relay.close())
        loop.stop()
