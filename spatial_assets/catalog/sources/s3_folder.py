"""A folder of STAC items on S3: objects and their states from one listing, nothing read."""

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
from spatial_assets.catalog.sources.documents import (
    DocumentState,
    ListedDocument,
    is_item_name,
    remote_document,
)
from spatial_assets.errors import SettingsError, SourceUnavailableError
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.retries import with_retries

if TYPE_CHECKING:
    from obstore import ObjectMeta


MAX_OBJECTS = 1_000_000
OBJECTS_PER_PAGE = 1000  # limit of S3

# obstore retries a request, but not one whose answer broke off half way.
_RETRIES_EXHAUSTED = re.compile(r"after (\d+) retries, max_retries: \1,")
_STATUS = re.compile(r"status code: (\d{3})")
_OTHER_REGION = re.compile(r"without LOCATION")  # a redirect of S3: another region has the bucket


def documents_of_bucket(folder: str, access: SourceAccess) -> Iterator[ListedDocument]:
    """Yield the *.json and *.geojson objects below s3://bucket/prefix, in the order of their keys.

    Args:
        folder: the URL, with or without a slash at its end.
        access: how the source is reached.

    Raises:
        SettingsError: the bucket does not exist, is empty below the prefix, or may not be listed.
        SourceUnavailableError: it did not answer.
    """
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    number = 0
    for found in sorted(_objects(folder, access), key=lambda found: found["path"]):
        number += 1
        key = found["path"]
        below = key.removeprefix(prefix.strip("/")).strip("/").split("/")
        if is_item_name(key) and not any(name.startswith(".") for name in below):
            yield remote_document(f"s3://{bucket}/{key}", access, state=_state(found))
    if not number:
        raise SettingsError(
            f"[scenes] catalog = {folder}: it holds no objects; name a prefix that holds STAC items"
        )


def _objects(folder: str, access: SourceAccess) -> list[ObjectMeta]:
    """Return every object below the prefix; a listing that breaks off is restarted."""
    errors = (BaseError, FileNotFoundError, PermissionError)

    def may_pass(error: Exception) -> bool:
        is_refused = isinstance(_refusal(error, folder), SettingsError)
        return not (is_refused or _RETRIES_EXHAUSTED.search(str(error)))

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
    """List once, page by page."""
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
    """Return the error that a failed listing stands for: obstore has one class for most of them."""
    text = str(error).partition("\n\nDebug source")[0].strip()
    status_code = _STATUS.search(text)
    status = int(status_code[1]) if status_code else None
    if isinstance(error, FileNotFoundError | NotFoundError) or status in MISSING_STATUSES:
        return SettingsError(f"[scenes] catalog = {folder}: the bucket does not exist")
    if (
        isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError)
        or status in FORBIDDEN_STATUSES
    ):
        return SettingsError(
            f"[scenes] catalog = {folder} may not be listed; check [scenes.source] and "
            "$SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID and _SECRET_ACCESS_KEY"
        )
    if _OTHER_REGION.search(text):
        return SettingsError(
            f"[scenes] catalog = {folder} lies in another region; set region in [scenes.source]"
        )
    return SourceUnavailableError(
        f"{folder} could not be listed: {mask_secrets(text)}; retry later"
    )


def _state(found: ObjectMeta) -> DocumentState:
    """Return the state of one object by the listing."""
    modified = found["last_modified"]
    etag = found["e_tag"]
    if etag:
        return DocumentState(f"{etag}:{found['size']}")
    return DocumentState(f"{modified.isoformat()}:{found['size']}", modified)
