"""What an object store's refusal means: ask again, try later, or mend something first.

Only the reading of errors belongs here; the calls that raise them are in `objects`.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from obstore.exceptions import (
    BaseError,
    GenericError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from spatial_assets.errors import SourceUnavailableError, StoreError

Refusal = StoreError | SourceUnavailableError

# obstore has one class, GenericError, for most of what can go wrong; these mark what no retry mends
LASTING = re.compile(
    r"LocalFileSystem"  # full, read-only, not a folder
    r"|status code: 4(?!08|29)\d\d"  # the request is wrong; 408 and 429 ask for patience
    r"|without LOCATION"  # a redirect of S3: the bucket lives in another region
    r"|Missing(AccessKeyId|SecretAccessKey|Bucket)|Missing \w+AccessKey"
)

# obstore retries a refused request, but not every broken one: not a listing that breaks off, nor
# a conditional put without a reply. Where it has used up its own retries, so have we.
USED_UP = re.compile(r"after (\d+) retries, max_retries: \1,")
TRIES = 6
PAUSE_SECONDS = 0.5  # at most, and jittered: the trouble is a connection, not a full server
PATIENCE_SECONDS = 60.0  # a try that took as long has been retried by obstore all the while

Answer = TypeVar("Answer")


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask, and ask again after trouble that obstore itself did not retry.

    `ask` may have worked although it raised, so doing it twice must be doing it once.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    for _ in range(TRIES - 1):
        try:
            return ask()
        except BaseError as error:
            said = first_line(error)
            final = LASTING.search(said) or USED_UP.search(said) or time.monotonic() > deadline
            if final or not isinstance(error, GenericError):
                raise
            time.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - jitter, not a secret
    return ask()


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
