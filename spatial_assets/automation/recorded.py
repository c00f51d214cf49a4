"""What the database says of tiles, as conditions need it: read once a tick, never at import.

To Dagster a tile in quarantine and one that failed are the same: planned, not materialized.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from spatial_assets.project import Project


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


class ProjectRecords:
    """What a project's database says; asked once by all conditions of a tick.

    Raises:
        DatabaseError: the database does not answer. It is then not known which tiles are in
            quarantine, so nothing may be asked for.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: tuple[dt.datetime, Recorded] | None = None

    def __call__(self, moment: dt.datetime) -> Recorded:
        """What is recorded now, or was when the same tick asked before."""
        from spatial_assets.automation.reading import read_records  # noqa: PLC0415 - not at import

        if self._known is None or self._known[0] != moment:
            self._known = (moment, read_records(self._project))
        return self._known[1]
