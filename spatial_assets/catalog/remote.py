"""HTTP with bounded, jittered retries: what is there, what it says, and what kind of trouble it is.

Permanent trouble (missing, forbidden, too large) is a SceneError with its reason; trouble that may
pass is a SourceUnavailableError. GDAL's own requests are configured in datasets.py.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from spatial_assets.catalog.access import Patience, SourceAccess
from spatial_assets.catalog.client import shared_client
from spatial_assets.catalog.scene import BandSource
from spatial_assets.catalog.signing import (
    Method,
    SignedUrl,
    readable_url,
    signed_url,
    tokens,
)
from spatial_assets.errors import SceneError, SourceUnavailableError
from spatial_assets.project.retry_budget import retry_budget
from spatial_assets.project.secrets import mask_secrets

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
MISSING = frozenset({404, 410})
FORBIDDEN = frozenset({401, 402, 403, 407, 451})
NO_HEAD = frozenset({400, 405, 501})  # servers, and presigned URLs, that know GET only
UNSATISFIABLE = 416

Result = TypeVar("Result")


@dataclass(frozen=True)
class ObjectFacts:
    """What a server says of an object."""

    size: int | None
    etag: str | None
    """Without quotes; else the date of last modification; None where the server tells neither."""

    @property
    def version(self) -> str:
        """What changes with the content."""
        return f"{self.etag}:{self.size}"


class _TransientError(Exception):
    """One try failed in a way the next may not; Retry-After, in seconds, where it was said."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def look_up(source: BandSource, access: SourceAccess) -> ObjectFacts:
    """Size and etag of a remote source.

    Raises:
        SceneError: `missing_object`, `forbidden` or `refused_by_server`.
        SourceUnavailableError: no answer after all retries.
    """

    def ask() -> ObjectFacts:
        return _facts(
            lambda method: readable_url(source, access, method=method), access, place=source.href
        )

    return _with_new_token_once(ask, access, place=source.href)


def look_up_document(place: str, access: SourceAccess) -> ObjectFacts:
    """As `look_up`, of a file that belongs to the catalogue itself."""

    def ask() -> ObjectFacts:
        return _facts(lambda method: signed_url(place, access, method=method), access, place=place)

    return patiently(ask, access.patience, place=place)


def _facts(link: Callable[[Method], SignedUrl], access: SourceAccess, *, place: str) -> ObjectFacts:
    """One try to learn size and etag; a server that knows no HEAD is asked for a byte."""
    client = shared_client(access)
    answer = client.head(link("HEAD").url)
    if answer.status_code in NO_HEAD:
        with client.stream("GET", link("GET").url, headers={"Range": "bytes=0-0"}) as got:
            answer = got
    check_status(answer, place)
    return object_facts(answer)


def read_range(source: BandSource, access: SourceAccess, *, start: int, size: int) -> bytes:
    """Bytes of a remote source; fewer than asked for where the object ends before.

    Raises:
        SceneError, SourceUnavailableError: as `look_up`.
    """
    headers = {"Range": f"bytes={start}-{start + size - 1}"}

    def ask() -> bytes:
        with shared_client(access).stream(
            "GET", readable_url(source, access).url, headers=headers
        ) as answer:
            if answer.status_code == UNSATISFIABLE:
                return b""
            check_status(answer, source.href)
            whole = answer.status_code == httpx.codes.OK  # a server that ignores ranges
            return _body(answer, limit=(start if whole else 0) + size)[start if whole else 0 :]

    return _with_new_token_once(ask, access, place=source.href)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request."""

    url: str = field(repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] | None = None
    body: bytes | None = None
    limit: int
    """Bytes that the answer may have."""

    accepts: frozenset[int] = frozenset()
    """Statuses besides 2xx that are an answer too."""


def fetch(url: str, *, limit: int, access: SourceAccess) -> bytes:
    """The whole body of a URL.

    Raises:
        SceneError: as `look_up`; `too_large` beyond `limit` bytes.
        SourceUnavailableError: no answer after all retries.
    """
    return exchange(Question(url=url, limit=limit), access)[1]


def exchange(question: Question, access: SourceAccess) -> tuple[int, bytes]:
    """Status and whole body of the answer to a request.

    Raises:
        SceneError, SourceUnavailableError: as `fetch`.
    """
    url, limit = question.url, question.limit

    def ask() -> tuple[int, bytes]:
        with shared_client(access).stream(
            question.method,
            url,
            headers=dict(question.headers),
            params=question.params,
            content=question.body,
        ) as answer:
            if answer.status_code not in question.accepts:
                check_status(answer, url)
            body = _body(answer, limit=limit + 1)
            if len(body) > limit:
                raise SceneError(
                    f"{mask_secrets(url)} has more than {limit} bytes; refused", reason="too_large"
                )
            return answer.status_code, body

    return patiently(ask, access.patience, place=url)


def patiently(ask: Callable[[], Result], patience: Patience, *, place: str) -> Result:
    """The answer of `ask`, tried again, later each time, while the trouble may pass.

    Raises:
        SourceUnavailableError: the last try failed too.
    """
    delays = patience.delays()
    while True:
        try:
            answer = ask()
        except (httpx.InvalidURL, httpx.TooManyRedirects, httpx.UnsupportedProtocol) as error:
            raise SceneError(
                f"{mask_secrets(place)} cannot be asked for: {mask_secrets(str(error))}",
                reason="bad_href",
            ) from error
        except (httpx.TransportError, httpx.DecodingError, _TransientError) as error:
            delay = next(delays, None)
            if delay is None or not retry_budget.take():
                raise SourceUnavailableError(
                    f"{mask_secrets(place)} did not answer in up to {patience.attempts} tries: "
                    f"{mask_secrets(str(error)) or type(error).__name__}; try again later"
                ) from error
            wait = getattr(error, "wait", None) or 0.0
            time.sleep(max(delay, min(wait, patience.longest_delay)))
        else:
            retry_budget.earn()
            return answer


def check_status(answer: httpx.Response, place: str) -> None:
    """Raise what an answer other than 2xx means.

    Raises:
        SceneError: asking again would not help.
    """
    status, shown = answer.status_code, mask_secrets(place)
    if answer.is_success:
        return
    if status in TRANSIENT:
        wait = answer.headers.get("retry-after", "")
        raise _TransientError(f"HTTP {status}", float(wait) if wait.isdigit() else None)
    if status in MISSING:
        raise SceneError(f"{shown} does not exist (HTTP {status})", reason="missing_object")
    if status in FORBIDDEN:
        raise SceneError(
            f"{shown} may not be read (HTTP {status}); check [scenes.source] and the keys",
            reason="forbidden",
        )
    raise SceneError(f"{shown} was refused with HTTP {status}", reason="refused_by_server")


@contextlib.contextmanager
def streamed(source: BandSource, access: SourceAccess) -> Iterator[httpx.Response]:
    """The body of a source, to be read in pieces within `patiently`."""
    with shared_client(access).stream("GET", readable_url(source, access).url) as answer:
        check_status(answer, source.href)
        yield answer


def final_url(source: BandSource, access: SourceAccess) -> SignedUrl:
    """The URL of a source after all redirects, each of which was allowed; for readers of their own.

    Raises:
        SceneError: `forbidden_host`, or as `look_up`.
        SourceUnavailableError: no answer after all retries.
    """
    signed = readable_url(source, access)

    def ask() -> SignedUrl:
        answer = shared_client(access).head(signed.url)
        if answer.status_code in NO_HEAD:
            with shared_client(access).stream(
                "GET", signed.url, headers={"Range": "bytes=0-0"}
            ) as got:
                answer = got
        if answer.history and answer.is_success:
            return SignedUrl(str(answer.url), signed.expires)
        return signed

    return patiently(ask, access.patience, place=source.href)


def short_body(error: str) -> _TransientError:
    """The error of a body that ended before its time."""
    return _TransientError(error)


def _with_new_token_once(ask: Callable[[], Result], access: SourceAccess, *, place: str) -> Result:
    """As `patiently`; a token that was revoked before its time is replaced once."""
    try:
        return patiently(ask, access.patience, place=place)
    except SceneError as error:
        if error.reason != "forbidden" or access.sign != "planetary-computer":
            raise
        tokens.forget()
        return patiently(ask, access.patience, place=place)


def _body(answer: httpx.Response, *, limit: int) -> bytes:
    """At most `limit` bytes of the body."""
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
    """Size and etag as the headers have them."""
    whole = re.fullmatch(r"bytes .*/(\d+)", answer.headers.get("content-range", ""))
    length = whole[1] if whole else answer.headers.get("content-length", "")
    etag = answer.headers.get("etag", "").removeprefix("W/").strip('"')
    return ObjectFacts(
        size=int(length) if length.isdigit() else None,
        etag=etag or answer.headers.get("last-modified"),
    )
