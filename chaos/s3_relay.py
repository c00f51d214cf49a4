"""Relay of HTTP/1.1 in front of an S3 server that injects faults into requests."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass

from chaos.relay import CONNECTION_ERRORS, Peer, Relay

FAULTS = {
    "slow_down": 4,
    "error_500": 3,
    "reset": 3,
    "stall_short": 2,
    "truncated": 3,
    "reply_lost": 3,
    "stall_long": 1,
}
"""Faults of a request and their weights."""

SHORT_STALL = 0.4
LONG_STALL = 30.0
"""Delays in seconds; clients time out between the two."""

ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
NO_BODY = {"204", "304"}


@dataclass(frozen=True)
class Message:
    """A request or a response."""

    head: bytes
    """First line and headers, with the empty line."""

    body: bytes

    @property
    def words(self) -> list[str]:
        """Words of the first line: method, target, version; or version, status, reason."""
        return self.head.partition(b"\r\n")[0].decode("latin-1").split(" ")


class S3Relay(Relay):
    """Relay that passes requests on or injects faults."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self.requests: Counter[str] = Counter()
        """Bucket -> number of requests received."""

    async def serve(self, client: Peer) -> None:
        """Answer requests until either side ends the connection."""
        server: Peer | None = None
        try:
            while True:
                request = await received(client)
                if request is None:
                    return
                await self.trigger.record()
                fault = self.injector.draw(self._description(request))
                if fault in {"slow_down", "error_500", "reset", "stall_long"}:
                    if not await refuse(client, fault):
                        return
                    continue
                if fault == "stall_short":
                    await asyncio.sleep(SHORT_STALL)
                server = server or await self.connect_upstream()
                await server.send(request.head + request.body)
                response = await received(server, to=request.words[0])
                if response is None or not await deliver(client, response, fault=fault):
                    client.reset()
                    return
        finally:
            if server is not None:
                server.close()

    def _description(self, request: Message) -> str:
        """Count a request and return its description, which is the same in every round."""
        method, target, _ = request.words
        bucket, _, path = target.lstrip("/").partition("/")
        self.requests[bucket.partition("?")[0]] += 1
        return f"{method} {re.sub(r'round-[0-9a-z-]+', 'round', path)}"


async def refuse(client: Peer, fault: str) -> bool:
    """Fail a request; return True if the connection stays open."""
    if fault == "reset":
        client.reset()
        return False
    if fault == "stall_long":
        await client.wait_for_hangup(LONG_STALL)
        client.reset()
        return False
    status, code = ("503", "SlowDown") if fault == "slow_down" else ("500", "InternalError")
    body = ERROR.format(code=code).encode()
    head = f"HTTP/1.1 {status} {code}\r\nContent-Length: {len(body)}\r\nRetry-After: 0\r\n\r\n"
    await client.send(head.encode() + body)
    return True


async def deliver(client: Peer, response: Message, *, fault: str) -> bool:
    """Send a response, or what the fault leaves of it; return True if the connection stays open."""
    if fault == "reply_lost" or (fault == "truncated" and not response.body):
        return False
    if fault == "truncated":
        await client.send(response.head + response.body[: len(response.body) // 2])
        client.close()  # not reset: the bytes sent must arrive
        return False
    await client.send(response.head + response.body)
    return b"connection: close" not in response.head.lower()


async def received(side: Peer, *, to: str = "") -> Message | None:
    """Receive the next message of one side; None: the connection has ended.

    Args:
        side: sender of the message.
        to: method of the request that it answers; empty: it is a request.
    """
    try:
        head = await side.reader.readuntil(b"\r\n\r\n")
        body = await _body(side, head, to=to)
    except CONNECTION_ERRORS:
        return None
    return Message(head, body)


async def _body(side: Peer, head: bytes, *, to: str) -> bytes:
    """Receive the body that follows a head, as raw bytes."""
    status = head.split(b" ", 2)[1].decode("latin-1") if to else ""
    if to == "HEAD" or status in NO_BODY:
        return b""
    if re.search(rb"\r\ntransfer-encoding: *chunked", head, re.IGNORECASE):
        return await _chunks(side)
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return await side.reader.readexactly(int(length[1])) if length else b""


async def _chunks(side: Peer) -> bytes:
    pieces = []
    while True:
        line = await side.reader.readuntil(b"\r\n")
        data = await side.reader.readexactly(int(line.split(b";")[0], 16) + 2)
        pieces += [line, data]
        if line.strip() == b"0":
            return b"".join(pieces)
