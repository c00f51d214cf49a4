"""HTTP requests with bounded, jittered retries, over the client of this process."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from spatial_assets.catalog.access.http_client import shared_client
from spatial_assets.catalog.access.source_access import RetryPolicy, SourceAccess
from spatial_assets.errors import SceneError, SourceUnavailableError
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.retries import retry_budget, with_retries

TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
MISSING_STATUSES = frozenset({404, 410})
FORBIDDEN_STATUSES = frozenset({401, 402, 403, 407, 451})
HEAD_REFUSED_STATUSES = frozenset({400, 401, 403, 404, 405, 501})
"""Statuses by which servers and signed URLs that allow only GET answer to HEAD."""

RANGE_NOT_SATISFIABLE = 416

Result = TypeVar("Result")


@dataclass(frozen=True)
class ObjectFacts:
    """Size and etag of an object, as a server reports them."""

    size: int | None
    etag: str | None
    """Etag without quotes, else the Last-Modified date; None if the server sends neither."""

    @property
    def version(self) -> str:
        """Version that changes with the content."""
        return f"{self.etag}:{self.size}"


class _TransientError(Exception):
    """Error of one attempt that the next may not meet, with the Retry-After in seconds if given."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """One request."""

    url: str = field(repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] | None = None
    body: bytes | None = None
    limit: int
    """Largest number of bytes that the answer may have."""

    accepts: frozenset[int] = frozenset()
    """Statuses besides 2xx that count as an answer."""


def fetch(url: str, *, limit: int, access: SourceAccess) -> bytes:
    """Return the whole body of a URL.

    Raises:
        SceneError: as `look_up`; `too_large` beyond `limit` bytes.
        SourceUnavailableError: no answer after all retries.
    """
    return exchange(HttpRequest(url=url, limit=limit), access)[1]


def exchange(request: HttpRequest, access: SourceAccess) -> tuple[int, bytes]:
    """Return status and whole body of the answer to a request.

    Raises:
        SceneError, SourceUnavailableError: as `fetch`.
    """
    url, limit = request.url, request.limit

    def send() -> tuple[int, bytes]:
        with shared_client(access).stream(
            request.method,
            url,
            headers=dict(request.headers),
            params=request.params,
            content=request.body,
        ) as answer:
            if answer.status_code not in request.accepts:
                check_status(answer, url)
            body = bounded_body(answer, limit=limit + 1)
            if len(body) > limit:
                raise SceneError(
                    f"{mask_secrets(url)} has more than {limit} bytes; refused", reason="too_large"
                )
            return answer.status_code, body

    return with_request_retries(send, access.retry_policy, place=url)


def with_request_retries(
    send: Callable[[], Result], retry_policy: RetryPolicy, *, place: str
) -> Result:
    """Return the answer of `send`, retried while it fails with an error that may pass.

    Raises:
        SceneError: `bad_href` if the URL cannot be requested.
        SourceUnavailableError: the last attempt failed too.
    """
    try:
        return with_retries(
            send,
            backoff=retry_policy.backoff,
            errors=(httpx.TransportError, httpx.DecodingError, _TransientError),
            may_pass=lambda error: not isinstance(error, httpx.UnsupportedProtocol),
            retry_after=lambda error: getattr(error, "wait", None) or 0.0,
            budget=retry_budget,
        )
    except (httpx.InvalidURL, httpx.TooManyRedirects, httpx.UnsupportedProtocol) as error:
        is_of_server = isinstance(error, httpx.TooManyRedirects)  # a login that sends in circles
        raise SceneError(
            f"{mask_secrets(place)} cannot be requested: {mask_secrets(str(error))}",
            reason="refused_by_server" if is_of_server else "bad_href",
        ) from error
    except (httpx.TransportError, httpx.DecodingError, _TransientError) as error:
        raise SourceUnavailableError(
            f"{mask_secrets(place)} did not answer in up to {retry_policy.attempts} "
            f"attempts: {mask_secrets(str(error)) or type(error).__name__}; retry later"
        ) from error


def check_status(answer: httpx.Response, place: str) -> None:
    """Raise the error that an answer other than 2xx stands for.

    Raises:
        SceneError: a retry would not help.
    """
    status, shown = answer.status_code, mask_secrets(place)
    if answer.is_success:
        return
    if status in TRANSIENT_STATUSES:
        wait = answer.headers.get("retry-after", "")
        raise _TransientError(f"HTTP {status}", float(wait) if wait.isdigit() else None)
    if status in MISSING_STATUSES:
        raise SceneError(f"{shown} does not exist (HTTP {status})", reason="missing_object")
    if status in FORBIDDEN_STATUSES:
        raise SceneError(
            f"{shown} may not be read (HTTP {status}); check [scenes.source] and the keys",
            reason="forbidden",
        )
    raise SceneError(f"{shown} was refused with HTTP {status}", reason="refused_by_server")


def short_body(error: str) -> _TransientError:
    """Return the error of a body that ended too early."""
    return _TransientError(error)


def bounded_body(answer: httpx.Response, *, limit: int) -> bytes:
    """Read at most `limit` bytes of the body."""
    pieces, total = [], 0
    for piece in answer.iter_bytes():
        pieces.append(piece)
        total += len(piece)
        if total >= limit:
            break
    else:
        promised = answer.headers.get("content-length", "")
        is_plain = "content-encoding" not in answer.headers
        if is_plain and promised.isdigit() and total < int(promised):
            raise short_body(f"{total} of {promised} bytes")
    return b"".join(pieces)[:limit]


def object_facts(answer: httpx.Response) -> ObjectFacts:
    """Return size and etag from the headers."""
    whole = re.fullmatch(r"bytes .*/(\d+)", answer.headers.get("content-range", ""))
    length = whole[1] if whole else answer.headers.get("content-length", "")
    etag = answer.headers.get("etag", "").removeprefix("W/").strip('"')
    return ObjectFacts(
        size=int(length) if length.isdigit() else None,
        etag=etag or answer.headers.get("last-modified"),
    )
