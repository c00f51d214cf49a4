"""A proxy in front of a real S3 server that injects faults into requests."""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("slow down", "reset", "truncated", "reply lost")


class FaultyProxy(ThreadingHTTPServer):
    """Server that forwards requests; a seeded share of them fails in one of four ways."""

    daemon_threads = True

    def __init__(self, endpoint: str, *, share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), Forwarder)
        self.upstream = urlsplit(endpoint).netloc
        self.share = share
        self.faults: tuple[str, ...] = FAULTS
        self.random = random.Random(seed)  # noqa: S311 - a test, repeatable
        self.done: Counter[str] = Counter()

    def next_fault(self) -> str:
        """Fault of the next request; empty: none."""
        fault = self.random.choice(self.faults) if self.random.random() < self.share else ""
        self.done[fault] += 1
        return fault

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing, since broken connections are expected."""


class Forwarder(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def forward(self) -> None:
        """Forward one request, or inject a fault."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.next_fault()
        if fault == "slow down":
            self.answer(503, [("Retry-After", "0")], b"<Error><Code>SlowDown</Code></Error>")
        elif fault == "reset":
            self.close_connection = True
        else:
            status, headers, reply = self.ask(body)
            if fault == "reply lost":
                self.close_connection = True
            else:
                self.answer(status, headers, reply, whole=fault != "truncated")

    def ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send the request, signed for this proxy's name, to the server."""
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            reply = connection.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        finally:
            connection.close()

    def answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, *, whole: bool = True
    ) -> None:
        """Reply; not `whole`: break off half way through the body."""
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value  # of a HEAD it is not that of the body
            elif name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if whole else body[: len(body) // 2])
        self.close_connection = self.close_connection or not whole

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = forward  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def faulty_proxy(endpoint: str, *, share: float, seed: int = 7) -> Iterator[FaultyProxy]:
    """Run the proxy."""
    proxy = FaultyProxy(endpoint, share=share, seed=seed)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
