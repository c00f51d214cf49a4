"""PostgreSQL through a bad network: its protocol, statement by statement."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

from chaos.relay import Relay, Wire

FAULTS = {"drop": 4, "reply_lost": 3, "slow": 3, "stall": 1}
"""What may happen to a statement, and how often beside the others."""

SLOW = 0.4
STALL = 30.0
"""Seconds; clients give up between the two."""

COMMIT_SHARE = 6
"""So much more often a COMMIT is struck than another statement: it is what is hard."""

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
QUERY, PARSE, BIND, COPY_DONE, READY = b"Q", b"P", b"B", b"c", b"Z"
CONNECTING = "connecting"


class PostgresRelay(Relay):
    """Passes statements on, except where the storm has it otherwise."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self.statements = 0

    async def converse(self, client: Wire) -> None:
        """Pass on one connection until it ends."""
        startup = await self._startup(client)
        if self.storm.draw(CONNECTING) == "drop":
            client.reset()
            return
        server = await self.dial()
        await server.send(startup)
        if startup[4:8] == struct.pack("!i", CANCEL_REQUEST):
            server.close()  # not one of the pool's: it speaks of one of them
            return
        with self.counted():
            await self._pass_on(Session(client, server))

    async def _pass_on(self, session: Session) -> None:
        """Let both sides talk until one of them ends it."""
        answers = asyncio.create_task(session.answer())
        questions = asyncio.create_task(self._ask(session))
        try:
            await asyncio.wait({answers, questions}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answers, questions):
                task.cancel()
            await asyncio.gather(answers, questions, return_exceptions=True)
            session.server.close()

    async def _startup(self, client: Wire) -> bytes:
        """The first message that is not a question for encryption, which is declined."""
        while True:
            size = await client.reader.readexactly(4)
            rest = await client.reader.readexactly(struct.unpack("!i", size)[0] - 4)
            if struct.unpack("!i", rest[:4])[0] not in {SSL_REQUEST, GSS_REQUEST}:
                return size + rest
            await client.send(b"N")

    async def _ask(self, session: Session) -> None:
        """What the client says, to the server."""
        text = ""
        while True:
            kind, data = await message(session.client)
            if kind in {QUERY, PARSE}:
                text = told(kind, data)
            if kind in {QUERY, BIND, COPY_DONE}:
                self.statements += 1
                await self.pulse.beat()
                if not await self._struck(session, kind, text):
                    return
            await session.server.send(kind + data)

    async def _struck(self, session: Session, kind: bytes, text: str) -> bool:
        """Let the storm have its way with a statement; whether it is still to be passed on."""
        commits = text.startswith("COMMIT")
        share = self.storm.share * (COMMIT_SHARE if commits else 1)
        fault = self.storm.draw(f"{kind.decode()} {text}", share=share)
        if fault == "drop":
            session.client.reset()
            return False
        if fault == "stall":
            await session.client.gone(STALL)
            session.client.reset()
            return False
        if fault == "slow":
            await asyncio.sleep(SLOW)
        session.swallows = fault == "reply_lost"
        return True


@dataclass
class Session:
    """Both sides of one connection."""

    client: Wire
    server: Wire
    swallows: bool = False
    """True: what the server says next is lost, and the connection with it once it is done."""

    async def answer(self) -> None:
        """What the server says, to the client."""
        while True:
            kind, data = await message(self.server)
            if not self.swallows:
                await self.client.send(kind + data)
            elif kind == READY:
                self.client.reset()
                return


async def message(side: Wire) -> tuple[bytes, bytes]:
    """Type, and length and content, of the next message."""
    head = await side.reader.readexactly(5)
    size = struct.unpack("!i", head[1:])[0]
    return head[:1], head[1:] + await side.reader.readexactly(size - 4)


def told(kind: bytes, data: bytes) -> str:
    """The beginning of a statement."""
    text = data[4:] if kind == QUERY else data[4:].partition(b"\0")[2]
    return text.partition(b"\0")[0].decode("utf-8", "replace")[:80]
