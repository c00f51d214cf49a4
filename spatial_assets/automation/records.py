"""Records of tiles in the database, in the form that conditions need.

Read once per tick, never at import. To Dagster, a quarantined tile and a failed one are the same:
planned but not materialized.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Tiles that are more than just fresh or stale."""

    quarantined: Collection[str] = frozenset()
    """Tiles of which every index is in quarantine, nobody released it and the input is the same."""

    failed: Collection[str] = frozenset()
    """Tiles with a stage whose last attempt failed."""

    changed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Stage -> tile whose inputs changed -> identifier of its new inputs."""


Records: TypeAlias = Callable[[dt.datetime], Recorded]
"""Function from the time of a tick to what was recorded by then."""
