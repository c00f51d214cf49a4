"""S3 through a bad network and a server with bad days: HTTP/1.1, request by request."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass

from chaos.relay import BROKEN, Relay, Wire

FAULTS = {
    "slow_down": 4,
    "error_500": 3,
    "reset": 3,
    "stall_short": 2,
    "truncated": 3,
    "reply_lost": 3,
    "stall_long": 1,
}
"""What may happen to a request, and how often beside the others."""

SHORT_STALL = 0.4
LONG_STALL = 30.0
"""Seconds; clients give up between the two."""

ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
NO_BODY = {"204", "304"}


@dataclass(frozen=True)
class Message:
    """A request or an answer."""

    head: bytes
    """First line and headers, with the empty line."""

    body: bytes

    @property
    def words(self) -> list[str]:
        """The first line: method, target, version; or version, status, reason."""
        return self.head.partition(b"\r\n")[0].decode("latin-1").split(" ")


class S3Relay(Relay):
    """Passes requests on, except where the storm has it otherwise."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self.requests: Counter[str] = Counter()
        """Bucket -> requests that came in."""

    async def converse(self, client: Wire) -> None:
        """Answer requests until either side has enough."""
        server: Wire | None = None
        try:
            while True:
                request = await received(client)
                if request is None:
                    return
                await self.pulse.beat()
                fault = self.storm.draw(self._question(request))
                if fault in {"slow_down", "error_500", "reset", "stall_long"}:
                    if not await refuse(client, fault):
                        return
                    continue
                if fault == "stall_short":
                    await asyncio.sleep(SHORT_STALL)
                server = server or await self.dial()
                await server.send(request.head + request.body)
                answer = await received(server, to=request.words[0])
                if answer is None or not await deliver(client, answer, fault=fault):
                    client.reset()
                    return
        finally:
            if server is not None:
                server.close()

    def _question(self, request: Message) -> str:
        """What is asked, the same in every round; counts it on the way."""
        method, target, _ = request.words
        bucket, _, path = target.lstrip("/").partition("/")
        self.requests[bucket.partition("?")[0]] += 1
        return f"{method} {re.sub(r'round-[0-9a-z-]+', 'round', path)}"


async def refuse(client: Wire, fault: str) -> bool:
    """Let a request come to nothing; whether the connection lives on."""
    if fault == "reset":
        client.reset()
        return False
    if fault == "stall_long":
        await client.gone(LONG_STALL)
        client.reset()
        return False
    status, code = ("503", "SlowDown") if fault == "slow_down" else ("500", "InternalError")
    body = ERROR.format(code=code).encode()
    head = f"HTTP/1.1 {status} {code}\r\nContent-Length: {len(body)}\r\nRetry-After: 0\r\n\r\n"
    await client.send(head.encode() + body)
    return True


async def deliver(client: Wire, answer: Message, *, fault: str) -> bool:
    """Give an answer, or what the fault leaves of it; whether the connection lives on."""
    if fault == "reply_lost" or (fault == "truncated" and not answer.body):
        return False
    if fault == "truncated":
        await client.send(answer.head + answer.body[: len(answer.body) // 2])
        client.close()  # not reset: what was sent shall arrive
        return False
    await client.send(answer.head + answer.body)
    return b"connection: close" not in answer.head.lower()


async def received(side: Wire, *, to: str = "") -> Message | None:
    """The next message of one side; None: there is none any more.

    Args:
        side: who sends it.
        to: the method it answers; empty: it is a request.
    """
    try:
        head = await side.reader.readuntil(b"\r\n\r\n")
        body = await _body(side, head, to=to)
    except BROKEN:
        return None
    return Message(head, body)


async def _body(side: Wire, head: bytes, *, to: str) -> bytes:
    """What follows a head, as it comes over the wire."""
    status = head.split(b" ", 2)[1].decode("latin-1") if to else ""
    if to == "HEAD" or status in NO_BODY:
        return b""
    if re.search(rb"\r\ntransfer-encoding: *chunked", head, re.IGNORECASE):
        return await _chunks(side)
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return await side.reader.readexactly(int(length[1])) if length else b""


async def _chunks(side: Wire) -> bytes:
    pieces = []
    while True:
        line = await side.reader.readuntil(b"\r\n")
        data = await side.reader.readexactly(int(line.split(b";")[0], 16) + 2)
        pieces += [line, data]
        if line.strip() == b"0":
            return b"".join(pieces)
