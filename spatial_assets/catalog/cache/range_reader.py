"""Ranges of one remote object, written to their position as they arrive; retried if they break."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from spatial_assets.catalog.access.http_client import judged_as, shared_client
from spatial_assets.catalog.access.rate_limit import limiter_of
from spatial_assets.catalog.access.remote_objects import REPLICA_ATTEMPTS, final_url
from spatial_assets.catalog.access.requests import (
    RANGE_NOT_SATISFIABLE,
    ObjectFacts,
    bounded_body,
    check_status,
    object_facts,
    short_body,
    with_request_retries,
)
from spatial_assets.catalog.access.signing import EXPIRY_MARGIN_SECONDS, readable_url, tokens
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.sparse_file import ByteSpan, SparseFile
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import CHANGED_SINCE_INSPECTION, SceneError
from spatial_assets.project.secrets import mask_secrets

logger = logging.getLogger(__name__)

RANGE_CHUNK_BYTES = 1 << 18
LINK_SECONDS = 300.0
"""Time for which the target of a redirect is reused."""

EXTRA_ATTEMPTS = 4
"""Attempts beyond those of other requests: one failed range wastes all others of its tile."""

Result = TypeVar("Result")

_servers_with_replicas: set[str] = set()
"""Servers that were named in a warning of this process."""

_links: dict[tuple[str, str], tuple[str, float]] = {}
"""(href, query) -> target of the redirects and its expiry; of this process."""


@dataclass(frozen=True)
class ObjectStart:
    """Facts and first bytes of a remote object."""

    facts: ObjectFacts
    data: bytes
    has_ranges: bool
    """True if the server serves ranges of it."""


class _OtherVersionError(Exception):
    """An answer has another ETag; another replica may still send the expected one."""


class RangeReader:
    """Reader of a remote object in ranges."""

    def __init__(self, source: BandSource, access: SourceAccess) -> None:
        self._source = source
        self._access = access

    @property
    def href(self) -> str:
        """Place of the object, without a signature."""
        return self._source.href

    def read_header(self, size: int, require: Callable[[bytes], None]) -> ObjectStart:
        """Return facts and first bytes of the object.

        Args:
            size: number of bytes.
            require: raises an error if the first bytes, none of an empty object, are not of the
                expected kind; a login page is then not taken for another version.

        Raises:
            SceneError: it cannot be read, or is not the version that was found for the scene.
            SourceUnavailableError: no answer after all retries.
        """

        def send() -> ObjectStart:
            with self._answer((0, size)) as answer:
                if answer.status_code == RANGE_NOT_SATISFIABLE:
                    require(b"")
                check_status(answer, self._source.href)
                facts = object_facts(answer)
                body = bounded_body(answer, limit=size + 1)[:size]  # to the end, if it is a part
                if facts.size is not None and len(body) < min(size, facts.size):
                    raise short_body(f"{len(body)} of {size} bytes")
                require(body)
                self._require_catalogued(facts)
                is_part = answer.status_code == httpx.codes.PARTIAL_CONTENT
                return ObjectStart(facts, body, has_ranges=is_part and facts.size is not None)

        return self._of_expected_version(send)

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

        self._of_expected_version(send)
        into.mark_present(span)

    def _require_same(self, found: ObjectFacts, into: SparseFile) -> None:
        """Refuse to mix parts of two objects."""
        if found.size != into.size:
            raise self.changed()
        if found.etag is not None and into.etag is not None and found.etag != into.etag:
            raise _OtherVersionError

    def _require_catalogued(self, found: ObjectFacts) -> None:
        """Refuse an object that is not the version that was found for the scene."""
        if self._source.checksum is not None:
            return
        etag, _, size = (self._source.version or "").rpartition(":")
        if size.isdigit() and int(size) != found.size:
            raise self.changed()
        if etag not in {"", "None"} and found.etag is not None and etag != found.etag:
            raise _OtherVersionError

    def _of_expected_version(self, send: Callable[[], Result]) -> Result:
        """Run `send` until its answer has the expected ETag.

        Replicas behind one name may have ETags of their own. An ETag that comes back is no change,
        and no bytes of two ETags are ever mixed.

        Raises:
            SceneError: `changed_since_inspection`: the expected ETag does not come back.
        """
        for attempt in range(REPLICA_ATTEMPTS):
            try:
                answer = self._with_new_link_once(send)
            except _OtherVersionError:
                continue
            if attempt:
                self._warn_of_replicas()
            return answer
        raise self.changed()

    def _warn_of_replicas(self) -> None:
        """Name a server whose replicas cost requests, once a process."""
        server = urlsplit(self._source.href).netloc
        if server not in _servers_with_replicas:
            _servers_with_replicas.add(server)
            logger.warning(
                "%s answers with ETags that change and come back, as if its replicas disagreed; "
                "requests are repeated until the ETag fits: tell its operator",
                server,
            )

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
                "GET", url, headers=headers, extensions=judged_as(self._source.href)
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
