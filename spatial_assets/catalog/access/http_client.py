"""The HTTP client of a process. It connects only to addresses that were judged, redirects included.

Each request, and each redirect of it, is judged by allowed_places.py right before it is sent, and
the connection is made to the very addresses that were judged. All network access to places that a
catalogue names goes through here: GDAL has none of its own.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import threading
from collections.abc import Iterable
from functools import lru_cache

import httpcore
import httpx

from spatial_assets.catalog.access.allowed_places import AllowedPlaces, proxy_of
from spatial_assets.catalog.access.source_access import RetryPolicy, SourceAccess
from spatial_assets.catalog.access.source_login import SourceLogin
from spatial_assets.errors import SourceUnavailableError
from spatial_assets.project.secrets import MASK, mask_secrets

JUDGED_HREF = "place"
"""Extension of a request: the s3:// href that its URL was made from, and that is judged."""


def judged_as(place: str) -> dict[str, str]:
    """Return the extensions of a request for a place: an s3:// href is judged by its bucket."""
    return {JUDGED_HREF: place} if place.startswith("s3://") else {}


MAX_REDIRECTS = 8  # a login at another host takes four: there, to its form, back, and to the file

_ORIGIN = "origin"
"""Extension of a request: the proximity of the server that redirected to it."""

_LOGGERS_WITH_URLS = (
    "httpx",
    "httpcore.http11",
    "httpcore.connection",
    "rasterio._env",
    "rasterio._err",
)
_SECRET_HEADERS = re.compile(
    r"""(?P<name>b?['"]?(?:set-cookie|cookie|authorization|location)['"]?\s*[,:=]\s*)"""
    r"""b?(?:'[^']*'|"[^"]*")""",
    re.IGNORECASE,
)


def mask_logs() -> None:
    """Keep signatures and logins out of the records of libraries that log URLs and headers."""
    for name in _LOGGERS_WITH_URLS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _MaskingFilter) for known in logger.filters):
            logger.addFilter(_MaskingFilter())


class _MaskingFilter(logging.Filter):
    """Mask the query of every URL, and the values of headers that may hold secrets, in a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = _SECRET_HEADERS.sub(rf"\g<name>'{MASK}'", record.getMessage())
        record.msg, record.args = mask_secrets(text), ()
        return True


class _Pinned(threading.local):
    """Addresses that the request of this thread may connect to."""

    host: str = ""
    addresses: tuple[str, ...] = ()


class _PinnedBackend(httpcore.NetworkBackend):
    """Connections to the judged addresses, in the order of the resolver."""

    def __init__(self, pinned: _Pinned) -> None:
        self._pinned = pinned
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first judged address that answers."""
        addresses = self._pinned.addresses if host == self._pinned.host else ()
        failure: Exception = httpcore.ConnectError(f"{host} has no address that may be used")
        for address in addresses:
            try:
                return self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class PinnedTransport(httpx.HTTPTransport):
    """Transport that judges a request, and connects to the addresses that were judged."""

    def __init__(self, allowed_places: AllowedPlaces) -> None:
        super().__init__()
        self._allowed_places = allowed_places
        self._pinned = _Pinned()
        self._pool.close()
        # httpx has no parameter for it; a test makes sure that every connection goes through it.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_PinnedBackend(self._pinned),
        )
        self._proxies: dict[str, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, without redirects.

        Raises:
            SceneError: `forbidden_host`.
            httpx.ConnectError: the name of the host does not resolve at the moment.
        """
        try:
            addresses, proximity = self._allowed_places.connection_of(
                str(request.url),
                s3_href=request.extensions.pop(JUDGED_HREF, None),
                origin=request.extensions.get(_ORIGIN),
            )
        except SourceUnavailableError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        request.extensions[_ORIGIN] = proximity  # a redirect inherits the extensions
        proxy = proxy_of(str(request.url))
        if proxy is not None:
            return self._by_proxy(proxy).handle_request(request)
        self._pinned.host = request.url.raw_host.decode("ascii")
        self._pinned.addresses = addresses
        return super().handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        for transport in self._proxies.values():
            transport.close()
        super().close()

    def _by_proxy(self, proxy: str) -> httpx.HTTPTransport:
        """Return the transport of a proxy, which resolves names and connects by itself."""
        if proxy not in self._proxies:
            url = proxy if "://" in proxy else f"http://{proxy}"
            self._proxies.setdefault(proxy, httpx.HTTPTransport(proxy=url))
        return self._proxies[proxy]


def shared_client(access: SourceAccess) -> httpx.Client:
    """Return the client of this process; a forked child must not share its parent's connections."""
    return _client(access.retry_policy, access.allowed_places, access.token_hosts, os.getpid())


@lru_cache(maxsize=4)
def _client(
    retry_policy: RetryPolicy,
    allowed_places: AllowedPlaces,
    token_hosts: tuple[str, ...],
    pid: int,  # noqa: ARG001 - a key
) -> httpx.Client:
    mask_logs()
    client = httpx.Client(
        transport=PinnedTransport(allowed_places),
        auth=SourceLogin(token_hosts),
        timeout=httpx.Timeout(retry_policy.read_timeout, connect=retry_policy.connect_timeout),
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        headers={"Accept-Encoding": "identity", "User-Agent": "spatial-assets"},
    )
    atexit.register(client.close)
    return client
