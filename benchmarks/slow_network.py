"""A network link to S3 with the latency and bandwidth of a remote region.

`python -m benchmarks.slow_network PORT` listens on a free port in front of a server on this
machine, prints its number, and returns the traffic since the last call at the path `COUNTS`.
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
"""Bandwidth of all connections together, towards the client."""

PIECE = 1 << 16
COUNTS = "/.counts"


@dataclass(frozen=True)
class Traffic:
    """Traffic over the link."""

    requests: int
    bytes: int
    """Bytes sent to the client, heads included."""

    def utilisation(self, seconds: float) -> float:
        """Share of the available bandwidth."""
        return self.bytes / (BYTES_A_SECOND * seconds)


@dataclass(frozen=True)
class NetworkLink:
    """An open link."""

    port: int
    items: Path
    """Folder of the items of the remote scenes."""

    @property
    def endpoint(self) -> str:
        """Endpoint of S3 through the link."""
        return f"http://127.0.0.1:{self.port}"

    def traffic(self) -> Traffic:
        """Return the traffic since the last call."""
        with urllib.request.urlopen(f"{self.endpoint}{COUNTS}") as answer:  # noqa: S310 - our own
            return Traffic(**json.load(answer))


@contextlib.contextmanager
def slow_link(upstream: int, items: Path) -> Iterator[NetworkLink]:
    """Run a link to a local port in a separate process."""
    command = [sys.executable, "-m", "benchmarks.slow_network", str(upstream)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield NetworkLink(int(process.stdout.readline() if process.stdout else 0), items)
        finally:
            process.terminate()


class _SlowRelay(Relay):
    """Relay that delays each request and limits the bandwidth of all responses together."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self._requests = 0
        self._bytes = 0
        self._free = 0.0
        """Time at which the link has sent all data given to it."""

    async def serve(self, client: Peer) -> None:
        """Answer requests until either side closes the connection."""
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
        """Send a response at the bandwidth of the link."""
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
