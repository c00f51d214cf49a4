"""JSON documents of a catalogue, local or remote, bounded in size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spatial_assets.catalog.access import SourceAccess
from spatial_assets.catalog.hrefs import is_remote
from spatial_assets.errors import SceneError

LARGEST_DOCUMENT = 16 << 20  # bytes; the largest item of a real archive has some 50 kB


def read_document(place: str, access: SourceAccess) -> bytes:
    """The bytes of a JSON document.

    Raises:
        SceneError: `missing_object`, `forbidden_host`, `too_large` or another lasting reason.
        SourceUnavailableError: a remote place does not answer.
    """
    access.places.require(place)
    if not is_remote(place):
        return _read_file(Path(place))
    from spatial_assets.catalog.remote import fetch  # noqa: PLC0415 - only remote ones need HTTP
    from spatial_assets.catalog.signing import signed_url  # noqa: PLC0415

    url = signed_url(place, access).url
    return fetch(url, limit=LARGEST_DOCUMENT, access=access)


def parse_document(content: bytes, place: str) -> Mapping[str, Any]:
    """The object that a JSON document holds.

    Raises:
        SceneError: `bad_json`.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{place} is not JSON: {error}", reason="bad_json") from error
    if not isinstance(document, Mapping):
        raise SceneError(
            f"{place} holds a JSON {type(document).__name__}, expected an object", reason="bad_json"
        )
    return document


def _read_file(path: Path) -> bytes:
    """The bytes of a local document."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_DOCUMENT + 1)
    except FileNotFoundError as error:
        raise SceneError(f"{path} does not exist", reason="missing_object") from error
    except PermissionError as error:
        raise SceneError(f"{path} may not be read", reason="forbidden") from error
    except OSError as error:
        raise SceneError(f"{path} cannot be read: {error}", reason="unreadable_file") from error
    if len(content) > LARGEST_DOCUMENT:
        raise SceneError(
            f"{path} has more than {LARGEST_DOCUMENT} bytes; no STAC item has", reason="too_large"
        )
    return content
