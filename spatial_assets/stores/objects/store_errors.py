"""What an object store's refusal means: ask again, try later, or mend something first.

Only the reading of errors belongs here; the calls that raise them are in `objects`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from obstore.exceptions import (
    BaseError,
    GenericError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from spatial_assets.errors import SourceUnavailableError, StoreError
from spatial_assets.retries import Backoff, retry_budget, with_retries

Refusal = StoreError | SourceUnavailableError

# obstore has one class, GenericError, for most of what can go wrong; these mark what no retry mends
LASTING = re.compile(
    r"LocalFileSystem"  # full, read-only, not a folder
    r"|status code: 4(?!08|29)\d\d"  # the request is wrong; 408 and 429 ask for patience
    r"|without LOCATION"  # a redirect of S3: the bucket lives in another region
    r"|Missing(AccessKeyId|SecretAccessKey|Bucket)|Missing \w+AccessKey"
)

# obstore retries a refused request, so that one of many parts does not cost the object, but not
# every broken one: not a listing that breaks off, nor a conditional put without a reply.
BACKOFF = Backoff(first=0.4, largest=8.0, total=20.0, time_limit=180.0)
"""A server that restarts is back by then, and one that asks to be let alone (503) has been."""

Answer = TypeVar("Answer")


def with_store_retries(ask: Callable[[], Answer]) -> Answer:
    """Ask, and ask again while the trouble may pass and the run has retries left.

    `ask` may have worked although it raised, so doing it twice must be doing it once.
    """
    return with_retries(
        ask, backoff=BACKOFF, errors=(BaseError,), may_pass=may_pass, budget=retry_budget
    )


def may_pass(error: Exception) -> bool:
    """Whether the store may answer otherwise the next time."""
    return isinstance(error, GenericError) and not LASTING.search(first_line(error))


def explained(error: Exception, *, doing: str, uri: str, hint: str) -> Refusal:
    """The error of ours that says what was tried, what came back, and what to do.

    Returns:
        SourceUnavailableError when trying again may help, else StoreError.
    """
    said = first_line(error)
    if isinstance(error, FileNotFoundError):
        return StoreError(f"could not {doing} {uri}: there is no such object ({hint})")
    if isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError):
        return StoreError(f"could not {doing} {uri}: access denied: {said} ({hint})")
    if isinstance(error, BaseError) and not LASTING.search(said):
        return SourceUnavailableError(
            f"could not {doing} {uri}: the store did not answer, retries included: {said} ({hint})"
        )
    return StoreError(f"could not {doing} {uri}: {said} ({hint})")


def first_line(error: Exception) -> str:
    """The message without obstore's dump of its own structures."""
    return str(error).split("\n\nDebug source", maxsplit=1)[0].strip()
