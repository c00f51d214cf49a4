"""An S3 server that ignores `If-None-Match`, as some gateways do: the last put wins."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}


@contextmanager
def careless_s3() -> Iterator[dict[str, str]]:
    """Run the server; yield the environment with which a store reaches it."""
    handler = type("Handler", (_Handler,), {"objects": {}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield {**ENVIRONMENT, "SPATIAL_ASSETS_S3_ENDPOINT": endpoint}
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    objects: dict[str, bytes]
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.objects[self.path] = data
        self._send(200, b"", etag=data)

    def do_GET(self) -> None:
        data = self.objects.get(self.path)
        self._send(404, b"") if data is None else self._send(200, data, etag=data)

    def do_POST(self) -> None:
        """Delete the listed objects."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        keys = re.findall(r"<Key>(.*?)</Key>", body)
        for key in keys:
            self.objects.pop(f"/bucket/{key}", None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._send(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing."""

    def _send(self, status: int, body: bytes, *, etag: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("ETag", f'"{hashlib.sha256(etag).hexdigest()[:16]}"')
        self.send_header("Last-Modified", "Tue, 01 Aug 2023 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
