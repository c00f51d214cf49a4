"""A folder of STAC items on S3: its objects as one listing tells them, nothing read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from spatial_assets.catalog.access.requests import FORBIDDEN_STATUSES, MISSING_STATUSES
from spatial_assets.catalog.access.signing import source_store
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.sources.documents import DocumentState, ListedDocument, remote_document
from spatial_assets.errors import SettingsError, SourceUnavailableError
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.retries import with_retries

if TYPE_CHECKING:
    from obstore import ObjectMeta


MAX_OBJECTS = 1_000_000
OBJECTS_PER_PAGE = 1000  # what S3 gives at once

# obstore tries a request again, but not one whose answer broke off half way.
_USED_UP = re.compile(r"after (\d+) retries, max_retries: \1,")
_STATUS = re.compile(r"status code: (\d{3})")
_ELSEWHERE = re.compile(r"without LOCATION")  # a redirect of S3: another region has the bucket


def documents_of_bucket(folder: str, access: SourceAccess) -> Iterator[ListedDocument]:
    """The *.json objects below s3://bucket/prefix, in the order of their keys.

    Args:
        folder: the URL, with a slash at its end or without.
        access: how the source is reached.

    Raises:
        SettingsError: there is no such bucket, nothing in it, or it may not be listed.
        SourceUnavailableError: it did not answer.
    """
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    number = 0
    for found in sorted(_objects(folder, access), key=lambda found: found["path"]):
        number += 1
        key = found["path"]
        below = key.removeprefix(prefix.strip("/")).strip("/").split("/")
        if key.lower().endswith(".json") and not any(name.startswith(".") for name in below):
            yield remote_document(f"s3://{bucket}/{key}", access, state=_state(found))
    if not number:
        raise SettingsError(
            f"[scenes] catalog = {folder}: there is nothing below it; "
            "name a prefix that holds STAC items"
        )


def _objects(folder: str, access: SourceAccess) -> list[ObjectMeta]:
    """Every object below the prefix; a listing that broke off is begun again."""
    errors = (BaseError, FileNotFoundError, PermissionError)

    def may_pass(error: Exception) -> bool:
        is_refused = isinstance(_refusal(error, folder), SettingsError)
        return not (is_refused or _USED_UP.search(str(error)))

    try:
        return with_retries(
            lambda: _listing(folder, access),
            backoff=access.retry_policy.backoff,
            errors=errors,
            may_pass=may_pass,
        )
    except errors as error:
        raise _refusal(error, folder) from error


def _listing(folder: str, access: SourceAccess) -> list[ObjectMeta]:
    """One try, page by page."""
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    store = source_store(bucket, access)
    found: list[ObjectMeta] = []
    for page in obstore.list(store, prefix.strip("/") or None, chunk_size=OBJECTS_PER_PAGE):
        found += page
        if len(found) > MAX_OBJECTS:
            raise SettingsError(
                f"[scenes] catalog = {folder} holds more than {MAX_OBJECTS:,} objects; "
                "name a narrower prefix, or a .parquet file that lists them"
            )
    return found


def _refusal(error: Exception, folder: str) -> SettingsError | SourceUnavailableError:
    """What a listing that failed means: obstore has one class for most of what can go wrong."""
    said = str(error).partition("\n\nDebug source")[0].strip()
    answered = _STATUS.search(said)
    status = int(answered[1]) if answered else None
    if isinstance(error, FileNotFoundError | NotFoundError) or status in MISSING_STATUSES:
        return SettingsError(f"[scenes] catalog = {folder}: there is no such bucket")
    if (
        isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError)
        or status in FORBIDDEN_STATUSES
    ):
        return SettingsError(
            f"[scenes] catalog = {folder} may not be listed; check [scenes.source] and "
            "$SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID and _SECRET_ACCESS_KEY"
        )
    if _ELSEWHERE.search(said):
        return SettingsError(
            f"[scenes] catalog = {folder} lies in another region; set region in [scenes.source]"
        )
    return SourceUnavailableError(
        f"{folder} could not be listed: {mask_secrets(said)}; try again later"
    )


def _state(found: ObjectMeta) -> DocumentState:
    """What the listing says of one object."""
    modified = found["last_modified"]
    etag = found["e_tag"]
    if etag:
        return DocumentState(f"{etag}:{found['size']}")
    return DocumentState(f"{modified.isoformat()}:{found['size']}", modified)
