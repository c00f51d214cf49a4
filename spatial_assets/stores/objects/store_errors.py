"""Meaning of an object store's errors: retry, try later, or fix something first.

Only the interpretation of errors belongs here; the calls that raise them are in `store`.
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

# obstore raises GenericError for most failures; these patterns mark those that no retry fixes
LASTING = re.compile(
    r"LocalFileSystem"  # full, read-only, not a folder
    r"|status code: 4(?!08|29)\d\d"  # the request is wrong; 408 and 429 are transient
    r"|without LOCATION"  # a redirect of S3: the bucket lives in another region
    r"|Missing(AccessKeyId|SecretAccessKey|Bucket)|Missing \w+AccessKey"
)

# obstore retries a refused request, so that one failed part does not cost the object, but not
# every broken one: neither an interrupted listing nor a conditional put without a response.
BACKOFF = Backoff(first=0.4, largest=8.0, total=20.0, time_limit=180.0)
"""Long enough for a server to restart, or to recover from overload (503)."""

Answer = TypeVar("Answer")


def with_store_retries(request: Callable[[], Answer]) -> Answer:
    """Send a request; retry after transient errors while the run has retries left.

    `request` may have succeeded although it raised, so it must be idempotent.
    """
    return with_retries(
        request, backoff=BACKOFF, errors=(BaseError,), may_pass=may_pass, budget=retry_budget
    )


def may_pass(error: Exception) -> bool:
    """Return True if a retry may succeed."""
    return isinstance(error, GenericError) and not LASTING.search(first_line(error))


def explained(error: Exception, *, action: str, uri: str, hint: str) -> Refusal:
    """Return an error of this package with the attempted action, the answer, and the remedy.

    Returns:
        SourceUnavailableError if a retry may help, else StoreError.
    """
    answer = first_line(error)
    if isinstance(error, FileNotFoundError):
        return StoreError(f"could not {action} {uri}: there is no such object ({hint})")
    if isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError):
        return StoreError(f"could not {action} {uri}: access denied: {answer} ({hint})")
    if isinstance(error, BaseError) and not LASTING.search(answer):
        return SourceUnavailableError(
            f"could not {action} {uri}: the store did not answer, retries included: "
            f"{answer} ({hint})"
        )
    return StoreError(f"could not {action} {uri}: {answer} ({hint})")


def first_line(error: Exception) -> str:
    """Message without obstore's dump of its internal structures."""
    return str(error).split("\n\nDebug source", maxsplit=1)[0].strip()
