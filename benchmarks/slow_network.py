"""A line to S3 as it is from far away: so long until an answer begins, and so much a second in all.

`python -m benchmarks.slow_network PORT` serves a port of its own in front of a server on this machine,
prints its number, and tells at `COUNTS` what has passed since it was last asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos.relay import Peer, Relay
from chaos.s3_relay import Message, received

DELAY = 0.05
"""Seconds added to each request."""

BYTES_A_SECOND = 200e6 / 8
"""Of all connections together, towards the client."""

PIECE = 1 << 16
COUNTS = "/.counts"


@dataclass(frozen=True)
class Traffic:
    """What went over the line."""

    requests: int
    bytes: int
    """Towards the client, heads included."""

    def utilisation(self, seconds: float) -> float:
        """Share of what the line could have carried."""
        return self.bytes / (BYTES_A_SECOND * seconds)


@dataclass(frozen=True)
class NetworkLink:
    """A line that is open."""

    port: int
    items: Path
    """Folder of the items of what is at the other end."""

    @property
    def endpoint(self) -> str:
        """Of S3, at this end of the line."""
        return f"http://127.0.0.1:{self.port}"

    def traffic(self) -> Traffic:
        """What went over the line since this was last asked."""
        with urllib.request.urlopen(f"{self.endpoint}{COUNTS}") as answer:  # noqa: S310 - our own
            return Traffic(**json.load(answer))


@contextlib.contextmanager
def slow_link(upstream: int, items: Path) -> Iterator[NetworkLink]:
    """A line to a port of this machine, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.slow_network", str(upstream)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield NetworkLink(int(process.stdout.readline() if process.stdout else 0), items)
        finally:
            process.terminate()


class _SlowRelay(Relay):
    """Delays each request, and lets the answers share the line."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self._requests = 0
        self._bytes = 0
        self._free = 0.0
        """When the line has carried all that was given to it."""

    async def serve(self, client: Peer) -> None:
        """Answer requests until either side has enough."""
        server: Peer | None = None
        try:
            while (request := await received(client)) is not None:
                if request.words[1] == COUNTS:
                    await client.send(self._counts())
                    continue
                self._requests += 1
                await asyncio.sleep(DELAY)
                server = server or await self.connect_upstream()
                await server.send(request.head + request.body)
                answer = await received(server, to=request.words[0])
                if answer is None:
                    return
                await self._carry(answer, client)
        finally:
            if server is not None:
                server.close()

    async def _carry(self, answer: Message, client: Peer) -> None:
        """Send an answer no faster than the line is."""
        data = memoryview(answer.head + answer.body)
        clock = asyncio.get_running_loop().time
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._bytes += len(piece)
            self._free = max(self._free, clock()) + len(piece) / BYTES_A_SECOND
            await asyncio.sleep(self._free - clock())
            await client.send(bytes(piece))

    def _counts(self) -> bytes:
        body = json.dumps({"requests": self._requests, "bytes": self._bytes}).encode()
        self._requests = self._bytes = 0
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def _serve(upstream: int) -> None:
    line = _SlowRelay(upstream)
    await line.listen()
    print(line.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
