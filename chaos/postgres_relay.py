"""Relay of the PostgreSQL protocol that injects faults into statements."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

from chaos.relay import Peer, Relay

FAULTS = {"drop": 4, "reply_lost": 3, "slow": 3, "stall": 1}
"""Faults of a statement and their weights."""

SLOW = 0.4
STALL = 30.0
"""Delays in seconds; clients time out between the two."""

COMMIT_SHARE = 6
"""Factor by which a COMMIT is faulted more often than other statements, being the hard case."""

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
QUERY, PARSE, BIND, COPY_DONE, READY = b"Q", b"P", b"B", b"c", b"Z"
CONNECTING = "connecting"


class PostgresRelay(Relay):
    """Relay that passes statements on or injects faults."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self.statements = 0

    async def serve(self, client: Peer) -> None:
        """Relay one connection until it ends."""
        startup = await self._startup(client)
        if self.injector.draw(CONNECTING) == "drop":
            client.reset()
            return
        server = await self.connect_upstream()
        await server.send(startup)
        if startup[4:8] == struct.pack("!i", CANCEL_REQUEST):
            server.close()  # a cancel request is not one of the pool's connections
            return
        with self.counted():
            await self._pass_on(Session(client, server))

    async def _pass_on(self, session: Session) -> None:
        """Relay both directions until one side ends the connection."""
        replies = asyncio.create_task(session.relay_replies())
        requests = asyncio.create_task(self._relay_requests(session))
        try:
            await asyncio.wait({replies, requests}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (replies, requests):
                task.cancel()
            await asyncio.gather(replies, requests, return_exceptions=True)
            session.server.close()

    async def _startup(self, client: Peer) -> bytes:
        """Return the startup message; requests for encryption before it are declined."""
        while True:
            size = await client.reader.readexactly(4)
            rest = await client.reader.readexactly(struct.unpack("!i", size)[0] - 4)
            if struct.unpack("!i", rest[:4])[0] not in {SSL_REQUEST, GSS_REQUEST}:
                return size + rest
            await client.send(b"N")

    async def _relay_requests(self, session: Session) -> None:
        """Relay messages of the client to the server."""
        text = ""
        while True:
            kind, data = await message(session.client)
            if kind in {QUERY, PARSE}:
                text = statement_start(kind, data)
            if kind in {QUERY, BIND, COPY_DONE}:
                self.statements += 1
                await self.trigger.record()
                if not await self._inject(session, kind, text):
                    return
            await session.server.send(kind + data)

    async def _inject(self, session: Session, kind: bytes, text: str) -> bool:
        """Draw and inject the fault of a statement; return True if it is still to be passed on."""
        commits = text.startswith("COMMIT")
        share = self.injector.share * (COMMIT_SHARE if commits else 1)
        fault = self.injector.draw(f"{kind.decode()} {text}", share=share)
        if fault == "drop":
            session.client.reset()
            return False
        if fault == "stall":
            await session.client.wait_for_hangup(STALL)
            session.client.reset()
            return False
        if fault == "slow":
            await asyncio.sleep(SLOW)
        session.drops_reply = fault == "reply_lost"
        return True


@dataclass
class Session:
    """Both sides of one connection."""

    client: Peer
    server: Peer
    drops_reply: bool = False
    """True: the next reply of the server is dropped, then the connection is reset."""

    async def relay_replies(self) -> None:
        """Relay messages of the server to the client."""
        while True:
            kind, data = await message(self.server)
            if not self.drops_reply:
                await self.client.send(kind + data)
            elif kind == READY:
                self.client.reset()
                return


async def message(side: Peer) -> tuple[bytes, bytes]:
    """Type of the next message, and its length and content."""
    head = await side.reader.readexactly(5)
    size = struct.unpack("!i", head[1:])[0]
    return head[:1], head[1:] + await side.reader.readexactly(size - 4)


def statement_start(kind: bytes, data: bytes) -> str:
    """First characters of a statement."""
    text = data[4:] if kind == QUERY else data[4:].partition(b"\0")[2]
    return text.partition(b"\0")[0].decode("utf-8", "replace")[:80]
