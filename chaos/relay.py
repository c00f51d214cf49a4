"""A port in front of a real server; what passes through it belongs in the module of its protocol.

All relays live in one event loop in a thread of its own.
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

from chaos.storm import CALM, Pulse, Storm

Result = TypeVar("Result")

LIMIT = 1 << 24
"""Bytes that a head, or a message, may have."""

BROKEN = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError)
"""What a connection ends with that does not end well."""


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work` in the loop, and wait for it."""
        done: Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(30.0)

    def stop(self) -> None:
        """End everything that is under way."""
        self.do(self._cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Relay(ABC):
    """Passes connections on to a server, or not."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        """Loopback port of the real server."""

        self.port = 0
        self.storm: Storm = CALM
        self.pulse = Pulse()
        self.open = 0
        """Conversations there are now."""

        self.peak = 0
        """Most conversations there were at a time."""

        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Open a port of its own."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LIMIT)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()

    async def weather(self, storm: Storm, pulse: Pulse) -> None:
        """Let another round begin."""
        self.storm, self.pulse, self.peak = storm, pulse, self.open

    @abstractmethod
    async def converse(self, client: Wire) -> None:
        """Serve one connection until it ends."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Wire(reader, writer)
        try:
            await self.converse(client)
        except BROKEN:
            client.reset()
        except asyncio.CancelledError:
            client.reset()  # the campaign is over
        finally:
            client.close()

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count a conversation, from where it is known to be one."""
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            yield
        finally:
            self.open -= 1

    async def dial(self) -> Wire:
        """A connection to the real server."""
        return Wire(*await asyncio.open_connection("127.0.0.1", self.upstream, limit=LIMIT))


class Wire:
    """One side of a conversation."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write it."""
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """End it as a crash does: the other side is told that the connection was reset."""
        plug = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """End it."""
        self._writer.close()

    async def gone(self, seconds: float) -> None:
        """Wait until the other side hangs up, at most so long."""
        with contextlib.suppress(*BROKEN, TimeoutError):
            await asyncio.wait_for(self.reader.read(1), seconds)


@contextlib.contextmanager
def relaying(*relays: Relay) -> Iterator[Loop]:
    """Run relays for the block."""
    loop = Loop()
    loop.start()
    try:
        for relay in relays:
            loop.do(relay.listen())
        yield loop
    finally:
        for relay in relays:
            loop.do(relay.close())
        loop.stop()
