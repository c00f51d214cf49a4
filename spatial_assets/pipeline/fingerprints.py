"""One hash of everything that decides a stage's bytes; if it is equal there is nothing to do.

Never hashed: `updated`, signatures, worker counts, the partition level.
"""

from __future__ import annotations

import hashlib
import json

from spatial_assets.geo.clear_sky import ClearClasses, ClearSky


def fingerprint(*parts: object) -> str:
    """Return the first 16 hex digits of the SHA-256 of `parts` as canonical JSON.

    64 bits: among a billion fingerprints two collide with a chance of 3 %, and only a
    collision within one tile and stage could do harm.
    """
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def rule_of(clear: ClearSky | None) -> object:
    """Return a clear-sky rule as JSON values, the same for equal rules."""
    if clear is None:
        return None
    if isinstance(clear, ClearClasses):
        return ["keep", sorted(clear.keep)]
    return ["drop", sorted(clear.drop)]


def buffer_of(clear: ClearSky | None) -> list[object]:
    """Return the margins of a clear-sky rule as JSON values; nothing if it has none."""
    margins = () if clear is None else clear.clouds.margins
    return [[metres, sorted(members)] for metres, members in margins]


def halo_of(clear: ClearSky | None) -> list[float]:
    """Return the widest margin of a clear-sky rule in metres; nothing if it has none."""
    widest = 0.0 if clear is None else clear.clouds.buffer.widest
    return [widest] if widest else []
