"""JSON documents as bytes: one canonical form, so that equal content is equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping


def to_json(document: Mapping[str, object]) -> bytes:
    """Encode with sorted keys, no spaces, UTF-8; refuse NaN, which JSON lacks."""
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def from_json(data: bytes) -> dict[str, object]:
    """Decode a JSON object.

    Raises:
        ValueError: the bytes are not UTF-8, not JSON, or not an object.
    """
    document = json.loads(data.decode())
    if not isinstance(document, dict):
        message = f"wanted a JSON object, got {type(document).__name__}"
        raise ValueError(message)  # noqa: TRY004 - one class for all that can be wrong with bytes
    return document
