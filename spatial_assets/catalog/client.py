"""The HTTP client of a process: its pool, its timeouts, and where it may go, redirects included."""

from __future__ import annotations

import atexit
import os
from functools import lru_cache

import httpx

from spatial_assets.catalog.access import Patience, SourceAccess
from spatial_assets.catalog.places import Places
from spatial_assets.catalog.signing import mask_logs

PLACE = "place"
"""Extension of a request: the s3:// href that its URL was made from, which is what is judged."""


def shared_client(access: SourceAccess) -> httpx.Client:
    """One pool of connections a process; a forked child must not share its parent's."""
    return _client(access.patience, access.places, os.getpid())


@lru_cache(maxsize=4)
def _client(patience: Patience, places: Places, pid: int) -> httpx.Client:  # noqa: ARG001 - a key
    mask_logs()

    def require_allowed(request: httpx.Request) -> None:
        places.require(request.extensions.get(PLACE) or str(request.url))

    def require_allowed_next(answer: httpx.Response) -> None:
        if answer.next_request is not None:
            places.require_redirect(str(answer.url), str(answer.next_request.url))

    client = httpx.Client(
        timeout=httpx.Timeout(patience.read_timeout, connect=patience.connect_timeout),
        follow_redirects=True,
        max_redirects=5,
        event_hooks={"request": [require_allowed], "response": [require_allowed_next]},
        headers={"Accept-Encoding": "identity", "User-Agent": "spatial-assets"},
    )
    atexit.register(client.close)
    return client
