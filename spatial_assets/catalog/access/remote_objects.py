"""Remote objects over HTTP: their size and version, ranges and bodies, and errors by kind.

A permanent error (missing, forbidden, too large) is a SceneError with its reason; an error that may
pass is a SourceUnavailableError.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import httpx

from spatial_assets.catalog.access.http_client import judged_as, shared_client
from spatial_assets.catalog.access.requests import (
    HEAD_REFUSED_STATUSES,
    RANGE_NOT_SATISFIABLE,
    ObjectFacts,
    Result,
    bounded_body,
    check_status,
    object_facts,
    with_request_retries,
)
from spatial_assets.catalog.access.signing import (
    HttpMethod,
    SignedUrl,
    readable_url,
    signed_url,
    tokens,
)
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import SceneError

REPLICA_ATTEMPTS = 12
"""Requests until an ETag that differs counts as a change. Replicas of a server may send ETags of
their own; that of one of two comes back 4,095 times of 4,096."""


def look_up(source: BandSource, access: SourceAccess) -> ObjectFacts:
    """Return size and etag of a remote source.

    Raises:
        SceneError: `missing_object`, `forbidden` or `refused_by_server`.
        SourceUnavailableError: no answer after all retries.
    """

    def send() -> ObjectFacts:
        return _facts(
            lambda method: readable_url(source, access, method=method), access, place=source.href
        )

    return _with_new_token_once(send, access, place=source.href)


def look_up_document(place: str, access: SourceAccess) -> ObjectFacts:
    """Return size and etag of a file that belongs to the catalogue itself; raises as `look_up`."""

    def send() -> ObjectFacts:
        return _facts(lambda method: signed_url(place, access, method=method), access, place=place)

    return with_request_retries(send, access.retry_policy, place=place)


def _facts(
    link: Callable[[HttpMethod], SignedUrl], access: SourceAccess, *, place: str
) -> ObjectFacts:
    """Request size and etag once; a server without HEAD is asked for the first byte."""
    answer = _probe(link, access, place=place)
    check_status(answer, place)
    return object_facts(answer)


def _probe(
    link: Callable[[HttpMethod], SignedUrl], access: SourceAccess, *, place: str
) -> httpx.Response:
    """Return the answer to HEAD, or to a GET of the first byte if the server refuses HEAD."""
    client, judged = shared_client(access), judged_as(place)
    answer = client.head(link("HEAD").url, extensions=judged)
    if answer.status_code not in HEAD_REFUSED_STATUSES:
        return answer
    first = {"Range": "bytes=0-0"}
    with client.stream("GET", link("GET").url, headers=first, extensions=judged) as got:
        return got


def read_range(source: BandSource, access: SourceAccess, *, start: int, size: int) -> bytes:
    """Read bytes of a remote source; fewer than `size` if the object ends before.

    Raises:
        SceneError, SourceUnavailableError: as `look_up`.
    """
    headers = {"Range": f"bytes={start}-{start + size - 1}"}

    def send() -> bytes:
        with shared_client(access).stream(
            "GET",
            readable_url(source, access).url,
            headers=headers,
            extensions=judged_as(source.href),
        ) as answer:
            if answer.status_code == RANGE_NOT_SATISFIABLE:
                return b""
            check_status(answer, source.href)
            whole = answer.status_code == httpx.codes.OK  # a server that ignores ranges
            before = start if whole else 0
            return bounded_body(answer, limit=before + size)[before:]

    return _with_new_token_once(send, access, place=source.href)


@contextlib.contextmanager
def streamed(source: BandSource, access: SourceAccess) -> Iterator[httpx.Response]:
    """Open the body of a source, to be read in chunks within `with_request_retries`."""
    with shared_client(access).stream(
        "GET", readable_url(source, access).url, extensions=judged_as(source.href)
    ) as answer:
        check_status(answer, source.href)
        yield answer


def final_url(source: BandSource, access: SourceAccess) -> SignedUrl:
    """Return the URL of a source after all redirects, each of which was allowed, for other readers.

    Raises:
        SceneError: `forbidden_host`, or as `look_up`.
        SourceUnavailableError: no answer after all retries.
    """
    signed = readable_url(source, access)

    def send() -> SignedUrl:
        answer = _probe(lambda _: signed, access, place=source.href)
        if answer.history and answer.is_success:
            return SignedUrl(str(answer.url), signed.expires)
        return signed

    return with_request_retries(send, access.retry_policy, place=source.href)


def _with_new_token_once(send: Callable[[], Result], access: SourceAccess, *, place: str) -> Result:
    """Run `with_request_retries`; a token that was revoked early is replaced once."""
    try:
        return with_request_retries(send, access.retry_policy, place=place)
    except SceneError as error:
        if error.reason != "forbidden" or access.sign != "planetary-computer":
            raise
        tokens.clear()
        return with_request_retries(send, access.retry_policy, place=place)
