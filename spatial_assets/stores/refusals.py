"""What an object store's refusal means: worth another try or not, and what to do about it.

Only the reading of errors belongs here; the calls that raise them are in `objects`.
"""

from __future__ import annotations

import re

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from spatial_assets.errors import SourceUnavailableError, StoreError

Refusal = StoreError | SourceUnavailableError

# obstore has one class, GenericError, for most of what can go wrong; these mark what no retry mends
LASTING = re.compile(
    r"LocalFileSystem"  # full, read-only, not a folder
    r"|status code: 4(?!08|29)\d\d"  # the request is wrong; 408 and 429 ask for patience
    r"|without LOCATION"  # a redirect of S3: the bucket lives in another region
    r"|Missing(AccessKeyId|SecretAccessKey|Bucket)|Missing \w+AccessKey"
)


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
