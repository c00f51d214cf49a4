"""One hash for everything that decides a stage's bytes; equal fingerprints mean nothing to do.

Never hashed: `updated`, signatures, worker counts, the partition level.
"""

from __future__ import annotations

import hashlib
import json


def fingerprint(*parts: object) -> str:
    """The first 16 hex digits of the SHA-256 of `parts` as canonical JSON.

    64 bits: among a billion fingerprints two collide with a chance of 3 %, and only a
    collision within one tile and stage could do harm.
    """
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
