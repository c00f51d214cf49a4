"""Ranges of one remote object, written to their position as they arrive; retried if they break."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import httpx

from spatial_assets.catalog.access.rate_limit import limiter_of
from spatial_assets.catalog.access.remote_objects import final_url
from spatial_assets.catalog.access.requests import (
    JUDGED_HREF,
    RANGE_NOT_SATISFIABLE,
    ObjectFacts,
    check_status,
    object_facts,
    shared_client,
    short_body,
    with_request_retries,
)
from spatial_assets.catalog.access.signing import EXPIRY_MARGIN_SECONDS, readable_url, tokens
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.sparse_file import ByteSpan, SparseFile
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import CHANGED_SINCE_INSPECTION, SceneError
from spatial_assets.project.secrets import mask_secrets

RANGE_CHUNK_BYTES = 1 << 18
LINK_SECONDS = 300.0
"""Time for which the target of a redirect is reused."""

EXTRA_ATTEMPTS = 4
"""Attempts beyond those of other requests: one failed range wastes all others of its tile."""

Result = TypeVar("Result")

_links: dict[tuple[str, str], tuple[str, float]] = {}
"""(href, query) -> target of the redirects and its expiry; of this process."""


class RangeReader:
    """Reader of a remote object in ranges."""

    def __init__(self, source: BandSource, access: SourceAccess) -> None:
        self._source = source
        self._access = access
        self._extensions = {JUDGED_HREF: source.href} if source.href.startswith("s3://") else {}

    def read_header(self, size: int) -> tuple[ObjectFacts, bytes] | None:
        """Return facts and first bytes of the object; None: it is empty, or has no ranges.

        Raises:
            SceneError: it cannot be read.
            SourceUnavailableError: no answer after all retries.
        """

        def send() -> tuple[ObjectFacts, bytes] | None:
            with self._answer((0, size)) as answer:
                if answer.status_code == RANGE_NOT_SATISFIABLE:
                    return None
                check_status(answer, self._source.href)
                if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                    return None
                facts, body = object_facts(answer), answer.read()
                if facts.size is None:
                    return None
                if len(body) < min(size, facts.size):
                    raise short_body(f"{len(body)} of {size} bytes")
                return facts, body[:size]

        return self._with_new_link_once(send)

    def fetch(self, span: ByteSpan, into: SparseFile) -> None:
        """Write the bytes of a span, and mark them as present.

        Raises:
            SceneError: `changed_since_inspection`: the object has changed; or it is gone.
            SourceUnavailableError: no answer after all retries.
            OSError: they cannot be written.
        """
        start, stop = span

        def send() -> None:
            nonlocal start  # a broken answer is continued where it broke
            with self._answer((start, stop)) as answer:
                if answer.status_code == RANGE_NOT_SATISFIABLE:
                    raise self.changed()
                check_status(answer, self._source.href)
                if not answer.headers.get("content-range", "").startswith(f"bytes {start}-"):
                    raise short_body("an answer without the requested range")
                self._require_same(object_facts(answer), into)
                for piece in answer.iter_raw(RANGE_CHUNK_BYTES):
                    into.write(start, piece[: stop - start])
                    start += len(piece)
                if start < stop:
                    raise short_body(f"{stop - start} bytes too few")

        self._with_new_link_once(send)
        into.mark_present(span)

    def _require_same(self, found: ObjectFacts, into: SparseFile) -> None:
        """Refuse to mix parts of two objects."""
        differs = found.etag is not None and into.etag is not None and found.etag != into.etag
        if differs or found.size != into.size:
            raise self.changed()

    def differs_from_catalogue(self, found: ObjectFacts) -> bool:
        """Return True if the object is not the version that was found for the scene."""
        if self._source.checksum is not None:
            return False
        etag, _, size = (self._source.version or "").rpartition(":")
        if size.isdigit() and int(size) != found.size:
            return True
        return etag not in {"", "None"} and found.etag is not None and etag != found.etag

    def changed(self) -> SceneError:
        """Return the error of an object that has changed."""
        return SceneError(
            f"{mask_secrets(self._source.href)} was replaced while it was read; run again",
            reason=CHANGED_SINCE_INSPECTION,
        )

    @contextlib.contextmanager
    def _answer(self, span: ByteSpan) -> Iterator[httpx.Response]:
        """Send one request for a span within a slot of the host's limiter."""
        url = self._link()
        limiter = limiter_of(url)
        headers = {"Range": f"bytes={span[0]}-{span[1] - 1}"}
        with (
            limiter.slot(),
            shared_client(self._access).stream(
                "GET", url, headers=headers, extensions=self._extensions
            ) as answer,
        ):
            limiter.record(answer.status_code)
            yield answer

    def _with_new_link_once(self, send: Callable[[], Result]) -> Result:
        """Run `with_request_retries`; a kept link, or a token, that is refused is replaced once."""
        place, retry_policy = self._source.href, self._access.retry_policy
        retry_policy = replace(retry_policy, attempts=retry_policy.attempts + EXTRA_ATTEMPTS)
        kept = _links.get(self._key)
        try:
            return with_request_retries(send, retry_policy, place=place)
        except SceneError as error:
            may_be_old = kept is not None or self._access.sign == "planetary-computer"
            if error.reason not in {"forbidden", "missing_object"} or not may_be_old:
                raise
            if _links.get(self._key) == kept:  # else another thread has replaced it
                _links.pop(self._key, None)
            tokens.clear()
            return with_request_retries(send, retry_policy, place=place)

    @property
    def _key(self) -> tuple[str, str]:
        return self._source.href, self._source.query

    def _link(self) -> str:
        """Return the URL to read from: signed now if needed, else after all redirects."""
        if self._source.href.startswith("s3://"):
            return readable_url(self._source, self._access).url
        known = _links.get(self._key)
        if known is not None and time.time() < known[1]:
            return known[0]
        link = final_url(self._source, self._access)
        until = time.time() + LINK_SECONDS
        if link.expires is not None:
            until = min(until, link.expires - EXPIRY_MARGIN_SECONDS)
        _links[self._key] = (link.url, until)
        return link.url
