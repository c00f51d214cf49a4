"""A web server of the tests: files with ranges and etags, made-up routes, and faults on demand."""

from __future__ import annotations

import hashlib
import http.server
import re
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

Fault = int | Literal["reset", "truncate"]
"""An HTTP status to answer with, a connection reset, or a body cut in half."""


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


Route = Callable[[Request], tuple[int, bytes]]


@dataclass
class Web:
    """A running server and what it should do wrong."""

    folder: Path
    url: str = ""
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    """Path -> what the next requests for it get, in order."""

    always: dict[str, Fault] = field(default_factory=dict)
    """Path -> what every request for it gets."""

    routes: dict[str, Route] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    """Path -> where its requests are sent on to."""

    requests: list[Request] = field(default_factory=list)

    only: Callable[[Request], bool] = field(default=lambda _: True)
    """Which requests the faults are for."""

    def next_fault(self, request: Request) -> Fault | None:
        if not self.only(request):
            return None
        if request.path in self.always:
            return self.always[request.path]
        waiting = self.faults[request.path]
        return waiting.pop(0) if waiting else None

    def asked_for(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]


@contextmanager
def serving(folder: Path) -> Iterator[Web]:
    web = Web(folder)
    handler = type("Handler", (_Handler,), {"web": web})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that give up
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    web: Web
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            self.command,
            unquote(parts.path),
            parts.query,
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(length),
        )
        self.web.requests.append(request)
        fault = self.web.next_fault(request)
        if fault == "reset":
            # Linger 0: closing sends a reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RD)
            return
        if isinstance(fault, int):
            self._send(fault, b"<html>trouble</html>")
            return
        if request.path in self.web.redirects:
            self._send(302, b"", headers={"Location": self.web.redirects[request.path]})
            return
        route = self.web.routes.get(request.path)
        if route is not None:
            self._send(*route(request), headers={"Content-Type": "application/json"})
            return
        self._send_file(request, truncated=fault == "truncate")

    def _send_file(self, request: Request, *, truncated: bool) -> None:
        path = self.web.folder / request.path.lstrip("/")
        if not path.is_file():
            self._send(404, b"<html>not found</html>")
            return
        data = path.read_bytes()
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()[:16]}"', "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not wanted:
            self._send(200, data, headers=headers, truncated=truncated)
            return
        start, stop = int(wanted[1]), int(wanted[2] or len(data) - 1) + 1
        if start >= len(data):
            self._send(416, b"", headers={"Content-Range": f"bytes */{len(data)}"})
            return
        stop = min(stop, len(data))
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        self._send(206, data[start:stop], headers=headers, truncated=truncated)

    def _send(
        self,
        status: int,
        body: bytes,
        *,
        headers: dict[str, str] | None = None,
        truncated: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if truncated else body)
        if truncated:
            self.close_connection = True
