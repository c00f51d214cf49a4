"""What the database says of tiles, as conditions need it: read once a tick, never at import.

To Dagster a tile in quarantine and one that failed are the same: planned, not materialized.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Tiles that are not merely fresh or stale."""

    quarantined: Collection[str] = frozenset()
    """In quarantine, not released by a person, and of an input that is still the same."""

    failed: Collection[str] = frozenset()
    """Of which a stage failed when it was last tried."""

    changed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Stage -> tile whose inputs changed -> what tells them from others."""


Records: TypeAlias = Callable[[dt.datetime], Recorded]
"""The moment of a tick -> what was recorded by then."""
